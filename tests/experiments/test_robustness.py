"""The table of attacks and defences: each cell is the run that it stands for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.robustness import cell_scenario, robustness
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.result import RunResult
from fedfm_sim.simulation.round import step_together
from fedfm_sim.simulation.setting import Setting

SMALL = ["rounds=2", "participants.count=6", "participants.malicious=2", "deviations.rounds=0"]

DEFENCES: dict[str, dict[str, object]] = {
    "fedavg": {"name": "fedavg"},
    "krum": {"name": "krum", "attackers": 1},
    "fltrust": {"name": "fltrust"},
    "frozen-a": {"name": "frozen-a"},
    "foolsgold": {"name": "foolsgold"},
}


def scenario(*overrides: str) -> fs.Scenario:
    return fs.load_scenario("poisoning-vs-defences", overrides=[*SMALL, *overrides])


def alone(setting: fs.Scenario, *cell: Any) -> RunResult:
    result = fs.run(cell_scenario(setting, *cell), 3)
    assert isinstance(result, RunResult)
    return result


@pytest.mark.slow
def test_a_row_is_what_its_run_says() -> None:
    done: list[tuple[int, int]] = []
    attacks = {"none": ["contribute"], "swarm": ["backdoor", "sybil"], "min-max": ["min-max"]}
    rules = {name: DEFENCES[name] for name in ("fedavg", "krum")}
    table = robustness(scenario(), attacks, rules, 3, lambda *step: done.append(step))
    assert done == [(0, 2), (1, 2), (2, 2)]
    assert len(table) == 6
    run = alone(scenario(), "swarm", attacks["swarm"], "krum", rules["krum"])
    assert run.participants["action"].tolist() == [*["contribute"] * 4, "backdoor", "sybil"] * 2
    cell = table[(table["attack"] == "swarm") & (table["defence"] == "krum")].iloc[0]
    assert cell["accuracy"] == run.summary["accuracy_after"]
    assert cell["base_accuracy"] == run.summary["accuracy_before"]
    assert cell["attack_success"] == run.summary["attack_success"]
    assert cell["detection_auc"] == run.rounds["detection_auc"].mean()
    assert cell["residual"] == run.rounds["residual"].mean()
    assert table.loc[table["attack"] == "none", "detection_auc"].isna().all()


#: What a cell once left out: marks, trust, the price of privacy, protection, drop-outs, audits.
WORLDS = [
    (["watermark=fedtracker", "prices.privacy=50.0"], "fedavg"),
    pytest.param(["watermark=waffle"], "fedavg", marks=pytest.mark.slow),
    (
        [
            "mechanism={name='reputation-auction', budget=40.0, threshold=0.45}",
            "sanctions.audit_rate=1.0",
            "protection.name=gaussian-mechanism",
        ],
        "foolsgold",
    ),
    pytest.param(
        ["watermark={name='fedipr', bits=16}", "prices.privacy=20.0", "mechanism=fli"],
        "frozen-a",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("overrides", "defence"), WORLDS)
def test_a_cell_is_the_run_itself_bit_for_bit(overrides: list[str], defence: str) -> None:
    own = scenario(*overrides, "participants.count=4")
    shared = Setting.create(own, 3)
    cells = {
        rule: FederationModel(cell, 3, like=shared, recording=False)
        for rule in ("krum", defence)
        for cell in [cell_scenario(own, "x", ["backdoor"], rule, DEFENCES[rule])]
    }
    for _ in range(2):
        played = dict(zip(cells, step_together([*cells.values()]), strict=True))
    run = alone(own, "x", ["backdoor"], defence, DEFENCES[defence])
    assert torch.equal(cells[defence].adapter, run.adapter)
    last = played[defence]
    final = run.participants[run.participants["round"] == 2]
    assert last.play.weights.tolist() == final["weight"].tolist()
    assert last.play.trust.tolist() == final["reputation"].tolist()


def test_drop_outs_are_those_of_the_run() -> None:
    own, rule = scenario(), {"name": "secure-sum", "dropout": 0.4}
    table = robustness(own, {"x": ["backdoor"]}, {"sum": rule}, 3)
    run = alone(own, "x", ["backdoor"], "sum", rule)
    assert table["accuracy"].tolist() == [run.summary["accuracy_after"]]


def test_what_does_not_fit_is_said() -> None:
    own = scenario()
    with pytest.raises(UserError, match="attack 'x': unknown action 'y'; expected one of: contr"):
        robustness(own, {"x": ["y"]}, {"fedavg": {"name": "fedavg"}}, 0)
    honest = fs.load_scenario("honest-only")
    with pytest.raises(UserError, match=r"participants\.malicious: expected at least 1"):
        robustness(honest, {"x": ["contribute"]}, {"fedavg": {"name": "fedavg"}}, 0)
    with pytest.raises(UserError, match="defence 'x': name: unknown defence 'nothing'"):
        robustness(own, {"none": ["contribute"]}, {"x": {"name": "nothing"}}, 0)
    with pytest.raises(UserError, match=r"defence 'x': attackers: .*greater than or equal to 0"):
        robustness(own, {"none": ["contribute"]}, {"x": {"name": "krum", "attackers": -1}}, 0)
