"""Work is counted before it starts, and what could not end is refused by its key."""

from __future__ import annotations

import numpy as np
import pytest

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution import SCHEMES, evaluate, is_sampled
from fedfm_sim.scenarios import load_scenario
from fedfm_sim.scenarios.loader import load_run
from fedfm_sim.scenarios.work import Work, check_work, work_of


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_schemes_say_whether_they_value_every_coalition(scheme: str) -> None:
    players, valued = 6, set()

    def value(masks: np.ndarray) -> np.ndarray:
        valued.update(masks.tolist())
        return masks.astype(float) ** 2

    evaluate(CoalitionGame(players, value), scheme, budget=30 if is_sampled(scheme) else None,
             rng=np.random.default_rng(0))  # fmt: skip
    assert (len(valued) == 2**players) == SCHEMES[scheme].exhaustive


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("free-riders", ["participants.count=30"],
         "free-riders: mechanism.scheme: 'shapley' values all 2**30 coalitions of "
         "participants.count = 30; expected at most 24, or mechanism.scheme = 'permutation'"),
        ("quickstart", ["participants.count=30"],
         "quickstart: contribution.schemes: 'shapley' values all 2**30 coalitions of "
         "participants.count = 30; expected at most 24, or contribution.schemes ="),
        ("quickstart", ["participants.count=70", "contribution.schemes=['permutation']"],
         "'permutation' values coalitions, and participants.count = 70; expected at most 62, "
         "or contribution.every = 0"),
    ],
)  # fmt: skip
def test_what_could_not_end_is_refused_before_it_starts(
    name: str, overrides: list[str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_run(name, overrides)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["participants.count=30", "contribution.every=0"],
        ["participants.count=30", "contribution.schemes=['permutation']"],
        ["participants.count=30", "rounds=1"],  # one is due every two rounds
        ["participants.count=24"],
    ],
)
def test_what_can_end_is_let_be(overrides: list[str]) -> None:
    check_work(load_scenario("quickstart", overrides))


@pytest.mark.parametrize(
    ("name", "overrides", "work"),
    [
        ("quickstart", [], (10 * 10 + 3 * 10 * 6, 5 * 2**10)),
        ("quickstart", ["contribution.every=0"], (280, 0)),
        ("quickstart", ["contribution.schemes=['permutation']"], (280, 5 * 200)),
        ("quickstart", ["contribution.measure='data-size'"], (280, 0)),
        # The round itself and, for each of ten, three other actions.
        ("auction-house", ["mechanism=contribution-share", "rounds=1"], (40, 31 * 2**10)),
        ("auction-house", ["rounds=1"], (40, 0)),
        ("million-clients", [], (0, 0)),
    ],
)
def test_work_is_counted(name: str, overrides: list[str], work: tuple[int, int]) -> None:
    found = work_of(load_scenario(name, overrides))
    assert (found.trainings, found.coalitions) == work
    assert bool(found.why) == (found.coalitions > 0)


def test_the_dearest_part_of_a_sum_is_named() -> None:
    total = sum([Work(1, 5, "a"), Work(2, 7, "b"), Work(3)], Work())
    assert total == Work(6, 12, "b")
