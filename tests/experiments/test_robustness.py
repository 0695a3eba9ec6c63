"""The table of attacks and defences: each cell is what its own run would give."""

from __future__ import annotations

import pytest

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.robustness import robustness

SMALL = ["rounds=2", "participants.count=6", "participants.malicious=2", "deviations.rounds=0"]


def test_a_cell_is_a_run_of_its_own() -> None:
    scenario = fs.load_scenario("poisoning-vs-defences", overrides=SMALL)
    attacks = {
        "none": ["contribute"],
        "backdoor": ["backdoor"],
        "swarm": ["backdoor", "sybil"],
        "min-max": ["min-max"],
    }
    defences: dict[str, dict[str, object]] = {
        "fedavg": {"name": "fedavg"},
        "krum": {"name": "krum", "attackers": 1},
        "fltrust": {"name": "fltrust"},
        "frozen-a": {"name": "frozen-a"},
        "centred": {"name": "centred-clipping"},
    }
    done: list[tuple[int, int]] = []
    table = robustness(scenario, attacks, defences, 3, lambda *step: done.append(step))
    assert done == [(1, 2), (2, 2)]
    assert len(table) == 20
    for attack, defence in (("swarm", "krum"), ("min-max", "centred"), ("backdoor", "frozen-a")):
        alone = fs.run(
            "poisoning-vs-defences",
            3,
            overrides=[
                *SMALL,
                f"policies.malicious.action={attacks[attack]}".replace("'", '"'),
                "defence={"
                + ", ".join(
                    f"{k}={v}" if k != "name" else f'{k}="{v}"'
                    for k, v in defences[defence].items()
                )
                + "}",
                "contribution.every=0",
                "deviations.rounds=0",
            ],
        )
        chosen = (table["attack"] == attack) & (table["defence"] == defence)
        cell = table[chosen].iloc[0]
        assert cell["accuracy"] == pytest.approx(alone.summary["accuracy_after"], abs=0.011)
        assert cell["base_accuracy"] == alone.summary["accuracy_before"]
        assert cell["attack_success"] == pytest.approx(alone.summary["attack_success"], abs=0.02)
        assert cell["detection_auc"] == pytest.approx(alone.rounds["detection_auc"].mean())
    assert table.loc[table["attack"] == "none", "detection_auc"].isna().all()


def test_what_does_not_fit_is_said() -> None:
    scenario = fs.load_scenario("poisoning-vs-defences", overrides=SMALL)
    with pytest.raises(UserError, match="attack 'x': unknown action 'y'; expected one of: contr"):
        robustness(scenario, {"x": ["y"]}, {"fedavg": {"name": "fedavg"}}, 0)
    honest = fs.load_scenario("honest-only")
    with pytest.raises(UserError, match=r"participants\.malicious: expected at least 1"):
        robustness(honest, {"x": ["contribute"]}, {"fedavg": {"name": "fedavg"}}, 0)
    with pytest.raises(UserError, match="defence 'x': name: unknown defence 'nothing'"):
        robustness(scenario, {"none": ["contribute"]}, {"x": {"name": "nothing"}}, 0)
    with pytest.raises(UserError, match=r"defence 'x': attackers: .*greater than or equal to 0"):
        robustness(scenario, {"none": ["contribute"]}, {"x": {"name": "krum", "attackers": -1}}, 0)
