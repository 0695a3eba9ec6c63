"""Shapley value and least core of games whose answers are published.

Sources: [WVG] Chalkiadakis, Elkind and Wooldridge, "Computational Aspects of
Cooperative Game Theory", 2011, example 2.3, and OpenSpiel's
``coalitional_games/wvg_test.py``. [EEC] the Council of the European Economic
Community of 1958, Leech 2002. [airport] Littlechild and Owen 1973.
[taxi] the tests of CoopGT. [ice cream] OpenSpiel's ``basic_games.py``.
[CoopGame] the R package CoopGame. [assignment] Shapley and Shubik 1971. The
fractions are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution import evaluate
from fedfm_sim.mechanisms.contribution.least_core import least_core


def of_sets(n: int, worth: Callable[[tuple[int, ...]], float]) -> CoalitionGame:
    """Return the game of a function of the tuple of members."""
    members = [tuple(i for i in range(n) if mask >> i & 1) for mask in range(1 << n)]
    return CoalitionGame.from_table([float(worth(who)) for who in members])


def glove(left: int, right: int) -> CoalitionGame:
    return of_sets(left + right, lambda s: min(sum(i < left for i in s), sum(i >= left for i in s)))


def weighted(quota: float, weights: Sequence[float]) -> CoalitionGame:
    return of_sets(len(weights), lambda s: sum(weights[i] for i in s) >= quota)


def by_size(n: int, values: Sequence[float]) -> CoalitionGame:
    """Return the game of values listed by size, and lexicographically within one."""
    coalitions = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
    return CoalitionGame.from_dict(n, dict(zip(coalitions, values, strict=True)))


def assignment(surplus: Sequence[Sequence[float]]) -> CoalitionGame:
    """Return the game of sellers (rows, first) and buyers (columns) of one house each."""
    rows, columns = len(surplus), len(surplus[0])

    def worth(s: tuple[int, ...]) -> float:
        sellers = [i for i in s if i < rows]
        buyers = [i - rows for i in s if i >= rows]
        short = min(len(sellers), len(buyers))
        return max(
            sum(surplus[i][j] for i, j in zip(chosen, order, strict=True))
            for chosen in combinations(sellers, short)
            for order in permutations(buyers, short)
        )

    return of_sets(rows + columns, worth)


AIRPORT = (8, 11, 13, 18)
TAXI = (6, 12, 42)

# name, game, Shapley value, least excess over the proper nonempty coalitions
GOLDEN = [
    ("glove 1L2R", glove(1, 2), "2/3 1/6 1/6", "0"),
    ("glove 2L3R", glove(2, 3), "13/20 13/20 7/30 7/30 7/30", "0"),
    ("majority of 3", weighted(2, (1, 1, 1)), "1/3 1/3 1/3", "1/3"),
    ("WVG [51; 40, 22, 30, 9]", weighted(51, (40, 22, 30, 9)), "1/3 1/3 1/3 0", "1/3"),
    (
        "EEC 1958 [12; 4, 4, 4, 2, 2, 1]",
        weighted(12, (4, 4, 4, 2, 2, 1)),
        "7/30 7/30 7/30 3/20 3/20 0",
        "1/4",
    ),
    (
        "airport",
        of_sets(4, lambda s: -max((AIRPORT[i] for i in s), default=0)),
        "-2 -3 -4 -9",
        "-13/4",
    ),
    ("taxi", of_sets(3, lambda s: max((TAXI[i] for i in s), default=0)), "2 5 35", "6"),
    ("ice cream", by_size(3, (0, 0, 0, 500, 500, 750, 1000)), "250 375 375", "-250/3"),
    (
        "CoopGame, 4 players",
        by_size(4, (0, 0, 0, 0, 5, 5, 8, 9, 10, 8, 13, 15, 16, 17, 21)),
        "47/12 21/4 21/4 79/12",
        "-1/2",
    ),
    ("CoopGame67", by_size(3, (2, 6, 5, 15, 1, 18, 14)), "1/6 32/3 19/6", None),
    ("CoopGT, 3 players", by_size(3, (5, 3, 2, 12, 5, 4, 13)), "20/3 31/6 7/6", "1/2"),
    (
        "Shapley-Shubik assignment",
        assignment(((5, 8), (7, 6))),
        "47/12 43/12 41/12 49/12",
        "0",
    ),
]


@pytest.mark.parametrize(
    ("game", "expected"), [pytest.param(g, s, id=name) for name, g, s, _ in GOLDEN]
)
def test_shapley_value(game: CoalitionGame, expected: str) -> None:
    exact = [float(Fraction(value)) for value in expected.split()]
    assert evaluate(game, "shapley").values == pytest.approx(np.array(exact), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize(
    ("game", "expected"), [pytest.param(g, e, id=name) for name, g, _, e in GOLDEN if e]
)
def test_least_core_excess(game: CoalitionGame, expected: str) -> None:
    exact = float(Fraction(expected))
    assert least_core(game).excess == pytest.approx(exact, rel=1e-12, abs=1e-12)
    assert evaluate(game, "least-core").excess == pytest.approx(exact, rel=1e-12, abs=1e-12)
    subsidised = least_core(game, subsidy=True)
    assert subsidised.excess == pytest.approx(max(exact, 0), rel=1e-12, abs=1e-12)


GAMES = {name: game for name, game, _, _ in GOLDEN}

# The prenucleolus lies in the least core: it has the least largest excess.
PRENUCLEOLI = {
    "glove 1L2R": (1, 0, 0),
    "glove 2L3R": (1, 1, 0, 0, 0),
    "WVG [51; 40, 22, 30, 9]": (1 / 3, 1 / 3, 1 / 3, 0),
    "EEC 1958 [12; 4, 4, 4, 2, 2, 1]": (1 / 4, 1 / 4, 1 / 4, 1 / 8, 1 / 8, 0),
    "airport": (-3.25, -3.25, -3.25, -8.25),
    "ice cream": (500 / 3, 1250 / 3, 1250 / 3),
    "CoopGame, 4 players": (3.5, 4.5, 5.5, 7.5),
    "CoopGame67": (-1, 13, 2),
    "CoopGT, 3 players": (6.75, 4.75, 1.5),
    "Shapley-Shubik assignment": (3.5, 3.5, 3.5, 4.5),
}


@pytest.mark.parametrize("name", PRENUCLEOLI)
def test_the_published_prenucleolus_attains_the_least_excess(name: str) -> None:
    game, published = GAMES[name], np.array(PRENUCLEOLI[name])
    members = (np.arange(game.grand + 1)[:, None] >> np.arange(game.players)) & 1
    excess = (game.table() - members @ published)[1:-1].max()
    solution = least_core(game)
    assert solution.excess == pytest.approx(excess, abs=1e-9)
    equal = game.value(*range(game.players)) / game.players
    distance = np.linalg.norm(solution.allocation - equal)
    assert distance <= np.linalg.norm(published - equal) + 1e-9


@pytest.mark.parametrize("name", ["glove 1L2R", "glove 2L3R", "ice cream"])
def test_least_core_of_one_point(name: str) -> None:
    allocation = least_core(GAMES[name]).allocation
    assert allocation == pytest.approx(np.array(PRENUCLEOLI[name]), rel=1e-9, abs=1e-9)
