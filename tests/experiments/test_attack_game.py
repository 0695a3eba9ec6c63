"""The game of attackers and server on two small trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fedfm_sim as fs
from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.attack_game import attack_game, priced
from fedfm_sim.experiments.attack_result import AttackGame

SMALL = ["rounds=2", "participants.count=6", "participants.malicious=2"]


def test_prices_by_hand() -> None:
    scenario = fs.load_scenario("attack-defence-game")
    frame = pd.DataFrame(
        {
            "attack": ["contribute", "backdoor", "sign-flip"] * 2,
            "defence": ["fedavg"] * 3 + ["median"] * 3,
            "base_accuracy": 0.6,
            "accuracy": [0.9, 0.85, 0.7, 0.8, 0.8, 0.85],
            "attack_success": [0.1, 0.5, 0.0, 0.0, 0.0, 0.0],
        }
    )
    cells = priced(frame, scenario)
    np.testing.assert_allclose(cells["accuracy_lost"], [0, 0.05, 0.2, 0, 0, -0.05], atol=1e-12)
    # Effort is 0.2 and 0.1 for each of 4 attackers in 4 rounds.
    np.testing.assert_allclose(cells["cost"], [0, 3.2, 1.6] * 2)
    # The median's own loss is nobody's doing, and a better model nobody's loss.
    benefit = [0, 20 * 0.5 + 50 * 0.05, 50 * 0.2, 0, 0, 0]
    np.testing.assert_allclose(cells["benefit"], benefit, atol=1e-12)
    np.testing.assert_allclose(cells["attackers"], cells["benefit"] - cells["cost"])
    np.testing.assert_allclose(cells["server"], [15, 12.5 - 10, 5, 10, 10, 12.5])


def test_what_rules_leave_to_gain_by_hand() -> None:
    """Against "open" an attack costs 2 and brings 8 or 4; against "shut" it brings nothing."""
    rows = [
        {"seed": seed, "attack": attack, "defence": rule, "cost": cost, "benefit": benefit,
         "attackers": benefit - cost, "server": 10 - benefit}
        for seed, brought in ((0, 8.0), (1, 4.0))
        for attack, cost in (("contribute", 0.0), ("backdoor", 2.0))
        for rule, benefit in (("open", brought * (cost > 0)), ("shut", 0.0))
    ]  # fmt: skip
    cells = pd.DataFrame(rows)
    game = AttackGame(fs.load_scenario("attack-defence-game"), cells)
    exploited = game.exploitability().set_index("defence")
    most = 4 + 12.7062 * 2  # t(0.975, 1) at a standard error of 2
    assert list(exploited.loc["open"]) == ["backdoor", 4, 0, pytest.approx(most, rel=1e-5), 4]
    assert list(exploited.loc["shut"]) == ["contribute", 0, 0, 0, 10]
    ratios = game.deterrence()
    assert not ratios["pays"].any()  # two seeds that differ by half can't tell
    assert game.told()[1].startswith("more seeds may still change what is played; most would tell")
    assert game.remarks == game.notes() == []
    cells["conditions"] = ["", "rule 'shut': too few"] * 4
    assert game.notes() == ["note: rule 'shut': too few (in 4 of 8 runs)"]
    assert ratios["attack"].tolist() == ["backdoor"] * 2  # who contributes attacks nothing
    figures = ratios.set_index("defence")[["cost", "benefit", "ratio", "low", "high"]]
    least = 2 / (6 + 12.7062 * 2)
    assert list(figures.loc["open"]) == pytest.approx([2, 6, 1 / 3, least, np.inf], rel=1e-5)
    assert list(figures.loc["shut"]) == [2, 0, *[float("inf")] * 3]


@pytest.mark.slow
def test_it_is_kept_resumed_and_the_same(tmp_path: Path) -> None:
    scenario = fs.load_scenario("attack-defence-game", SMALL)
    chosen = ("contribute", "sign-flip"), ("fedavg", "median")
    first = attack_game(scenario, [3], *chosen, fs.Workshop.at(tmp_path))
    assert first.actions == chosen
    kept = tmp_path / "seed-00003" / "cells.parquet"
    stamp = kept.stat().st_mtime_ns
    again = attack_game(scenario, [3], *chosen, fs.Workshop.at(tmp_path, resume=True))
    assert kept.stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(first.cells, again.cells)
    # Another scenario is played anew, and the cells of this one are not taken for it.
    other = fs.load_scenario("attack-defence-game", [*SMALL, "training.learning_rate=0.002"])
    new = attack_game(other, [3], *chosen, fs.Workshop.at(tmp_path, resume=True))
    assert (new.cells["accuracy"] != first.cells["accuracy"]).any()
    # Undefended, scaled sign flips pay; nobody earns by contributing.
    payoffs = first.empirical.game.payoffs
    assert payoffs[0, 1, 0] > 1
    assert payoffs[0, 0].tolist() == [0, 0]


@pytest.mark.slow
def test_more_runs_go_where_the_answer_hangs() -> None:
    scenario = fs.load_scenario("attack-defence-game", [*SMALL, "rounds=1"])
    chosen = ("contribute", "sign-flip"), ("fedavg", "median")
    first = attack_game(scenario, [3, 4], *chosen)
    more = attack_game(scenario, [3, 4], *chosen, extra=1)
    (place,) = first.empirical.most_wanted()
    counts = np.full((2, 2), 2)
    counts[place] = 3
    assert more.empirical.counts.tolist() == counts.tolist()
    rest = np.ones((2, 2), dtype=bool)
    rest[place] = False
    assert (more.empirical.game.payoffs == first.empirical.game.payoffs)[:, rest].all()


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    arguments = ["equilibrium", "attack-defence-game", "--replicates", "2", "--jobs", "1",
                 "--attacks", "contribute,sign-flip", "--defences", "fedavg,median",
                 "--out", str(tmp_path / "eq"), "--json"]  # fmt: skip
    for override in SMALL:
        arguments += ["--set", override]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["replicates"] == 2
    for found in facts["equilibria"]:
        assert sum(found["server"].values()) == pytest.approx(1, abs=1e-5)
        assert found["regret"] < 1e-6
        assert found["low"][0] <= found["high"][0]
    assert [row["defence"] for row in facts["exploitability"]] == ["fedavg", "median"]
    assert all(row["low"] <= row["gain"] <= row["high"] for row in facts["exploitability"])
    assert {row["attack"] for row in facts["deterrence"]} == {"sign-flip"}
    assert (tmp_path / "eq" / "payoffs.png").stat().st_size > 10_000
    assert (tmp_path / "eq" / "deterrence.png").stat().st_size > 5_000
    wrong = CliRunner().invoke(app, ["equilibrium", "attack-defence-game", "--attacks", "a,a"])
    assert isinstance(wrong.exception, UserError)


def test_bad_games() -> None:
    scenario = fs.load_scenario("attack-defence-game", SMALL)
    with pytest.raises(UserError, match="at least one seed"):
        attack_game(scenario, [])
    with pytest.raises(UserError, match="unknown action 'nothing'"):
        attack_game(scenario, [0], ("nothing",), ("fedavg",))
    with pytest.raises(UserError, match="unknown defence 'nothing'"):
        attack_game(scenario, [0], ("contribute",), ("nothing",))
    attacks = attack_game(scenario, [0], ("sign-flip",), ("fedavg",))
    with pytest.raises(UserError, match="gains over 'contribute'"):
        attacks.exploitability(np.random.default_rng(0))
    honest = attack_game(scenario, [0], ("contribute",), ("fedavg",))
    assert honest.deterrence(np.random.default_rng(0)).empty
    assert honest.exploitability(np.random.default_rng(0))["gain"].item() == 0
