"""Conditions of rules in a run: asked of those really aggregated, and told with the result."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.contribution.result import NoValueError
from fedfm_sim.mechanisms.protocol import Market
from fedfm_sim.reporting.tables import print_result
from fedfm_sim.scenarios.loader import load_scenario
from fedfm_sim.simulation.budgets import check_budgets
from fedfm_sim.simulation.conditions import gathered, remarks_of
from fedfm_sim.simulation.result import RunResult

SMALL = [
    *("rounds=2", "participants.count=5", "participants.semi_honest=0", "training.epochs=1"),
    *("contribution.every=0", "deviations.rounds=0", "participants.malicious=2"),
]


def test_a_round_below_the_condition_is_told_everywhere(tmp_path: Path) -> None:
    # Five can be covered; of the five the auction takes three.
    result = fs.run(
        "quickstart",
        1,
        overrides=[
            *SMALL,
            "mechanism={name='lowest-price', winners=3, reserve=10.0}",
            "defence={name='krum', attackers=1}",
            "policies.malicious={name='fixed', action='free-ride'}",
        ],
        report=False,
    )
    assert isinstance(result, RunResult)
    (said,) = [line for line in result.summary["remarks"] if line.startswith("defence")]
    assert said.startswith("defence 'krum': attackers = 1 needs n >= 2 f + 3 = 5 updates; with 3")
    assert "it is f = 0" in said
    assert said.endswith("(rounds 1 to 2)")
    assert result.rounds["conditions"].str.contains("defence 'krum'").all()
    assert said in repr(result)
    told = io.StringIO()
    print_result(result, Console(file=told, width=80))
    assert f"note: {said}" in told.getvalue()
    page = result.report(tmp_path / "report.html").read_text()
    assert "attackers = 1 needs n &gt;= 2 f + 3 = 5 updates; with 3 it is f = 0" in page


def test_rounds_are_told_by_their_numbers() -> None:
    table = pd.DataFrame({"round": [1, 2, 3, 4], "conditions": ["a | b", "a", "", "a"]})
    assert remarks_of(["first"], table) == [
        "first",
        "a (rounds 1 to 4, 3 of them)",
        "b (round 1)",
    ]


def test_several_runs_are_told_once() -> None:
    runs = ["a (rounds 1 to 4, 3 of them) | fitted (3 channels)", "", "a (round 2)", "a (round 1)"]
    assert gathered(runs) == ["a (in 3 of 4 runs)", "fitted (3 channels) (in 1 of 4 runs)"]
    assert gathered([]) == []


def market(linear: list[float], capacity: float = 100.0) -> Market:
    each = np.array(linear)
    return Market(each, np.zeros_like(each), np.full_like(each, capacity))


@pytest.mark.parametrize(
    ("section", "linear", "said"),
    [
        ({"name": "fmore", "winners": 3}, [0.01] * 3, "winners = 3 for 3 bidders"),
        ({"name": "fmore", "winners": 2}, [0.01] * 3, None),
        ({"name": "mcafee", "values": [0.1]}, [0.01] * 3, "1 buyers, 3 sellers"),
        ({"name": "mcafee"}, [0.01] * 3, None),
        ({"name": "vcg-double", "values": [0.1]}, [0.01] * 3, None),
        ({"name": "fli", "unit_cost": 0.01}, [0.01] * 3, None),
        ({"name": "fli", "unit_cost": 0.01}, [0.01, 0.02], "it costs 0.01 to 0.02"),
        ({"name": "yardstick"}, [0.01], "nobody to be compared with"),
        ({"name": "yardstick", "kappa": 1e-4}, [0.01, 0.01], None),
        ({"name": "yardstick", "kappa": 1e-4}, [0.01, 0.02], "up to 100% off"),
    ],
)
def test_assumptions_of_mechanisms(
    section: dict[str, object], linear: list[float], said: str | None
) -> None:
    found = MECHANISMS.build(section).condition(market(linear))
    assert found is None if said is None else said in (found or "")


def test_budgets_that_are_too_small_are_refused_before_anything_runs() -> None:
    scenario = load_scenario(
        "quickstart", ["contribution.schemes=['permutation']", "contribution.budget=5"]
    )
    with pytest.raises(UserError, match=r"contribution\.budget: 'permutation': .* at least 11"):
        check_budgets(scenario)
    paid = "mechanism={name='contribution-share', scheme='permutation', evaluations=5}"
    with pytest.raises(UserError, match=r"mechanism\.evaluations: 'permutation'"):
        check_budgets(load_scenario("quickstart", [paid]))


def test_a_round_whose_game_has_no_such_value_is_told_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(self: object, game: object, rng: object) -> None:
        raise NoValueError("the game has no imputation")

    monkeypatch.setattr(
        "fedfm_sim.mechanisms.contribution.nucleolus.NucleolusScheme.evaluate", none
    )
    own = [*SMALL, "rounds=1", "contribution.every=1", "contribution.schemes=['nucleolus']"]
    result = fs.run("quickstart", 0, overrides=own, report=False)
    assert result.summary["remarks"] == [
        "contribution 'nucleolus': the game of the round has no such value (round 1)"
    ]
    assert isinstance(result, RunResult)
    assert result.participants["nucleolus"].isna().all()
