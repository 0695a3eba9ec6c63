"""Long work is told of before it starts, and short work is not measured."""

from __future__ import annotations

import pytest

from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments import cost
from fedfm_sim.experiments.cost import Pace, pace_of, warn_of_cost
from fedfm_sim.experiments.workshop import Plan, Workshop
from fedfm_sim.scenarios import load_scenario
from fedfm_sim.scenarios.work import Work, work_of


def told(monkeypatch: pytest.MonkeyPatch, works: list[Work], at_once: int = 1) -> list[str]:
    monkeypatch.setattr(cost, "pace_of", lambda scenario: Pace(training=0.1, coalition=0.01))
    lines: list[str] = []
    scenario = load_scenario("honest-only")
    warn_of_cost([(scenario, work) for work in works], lines.append, at_once)
    return lines


def test_long_work_is_told_of_with_what_costs_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, [Work(40, 31 * 2**10, "x"), Work(100)]) == [
        "this takes about 5 min 31 s here: 140 local trainings and 31,744 valuations of coalitions",
        "most of it is for x",
    ]
    assert told(monkeypatch, [Work(3000)] * 2, at_once=2) == [
        "this takes about 5 min here: 6,000 local trainings"
    ]
    assert told(monkeypatch, [Work(500, 10_001, "x")], at_once=4) == []  # half a minute


def test_what_is_short_is_not_even_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(_: object) -> Pace:
        raise AssertionError

    monkeypatch.setattr(cost, "pace_of", measured)
    scenario = load_scenario("quickstart")
    warn_of_cost([(scenario, work_of(scenario))], print)


def test_the_pace_is_measured() -> None:
    pace = pace_of(load_scenario("honest-only", ["participants.count=2", "training.epochs=1"]))
    assert 0 < pace.coalition < 1
    assert 0 < pace.training < 10
    assert pace.seconds(Work(2, 3)) == pytest.approx(2 * pace.training + 3 * pace.coalition)


def test_a_study_is_refused_whole_where_one_of_its_runs_could_not_end() -> None:
    ran: list[tuple[int, int]] = []
    plans = [
        Plan(name, load_scenario("quickstart", [f"participants.count={count}"]), 0)
        for name, count in (("small", 4), ("large", 30))
    ]
    with pytest.raises(UserError, match=r"contribution\.schemes: 'shapley' values all 2\*\*30"):
        Workshop(progress=lambda done, total: ran.append((done, total))).make(plans)
    assert ran == []
