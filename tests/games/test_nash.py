"""All equilibria of bimatrix games: published cases, and the counts that nashpy misses."""

from __future__ import annotations

import warnings
from fractions import Fraction

import nashpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import NormalFormGame


def drawn(n: int, seed: int) -> NormalFormGame:
    rng = np.random.default_rng(seed)
    return NormalFormGame.from_bimatrix(rng.random((n, n)), rng.random((n, n)))


def test_von_stengel_2007() -> None:
    """Three equilibria of a 3 x 2 game (also in QuantEcon's tests)."""
    game = NormalFormGame.from_bimatrix([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])
    third = Fraction(1, 3)
    expected = [
        ([1, 0, 0], [1, 0]),
        ([Fraction(4, 5), Fraction(1, 5), 0], [2 * third, third]),
        ([0, third, 2 * third], [third, 2 * third]),
    ]
    found = support_enumeration(game)
    assert len(found) == 3
    for own, (x, y) in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.strategies[0], np.array(x, dtype=float), atol=1e-12)
        np.testing.assert_allclose(own.strategies[1], np.array(y, dtype=float), atol=1e-12)
        assert own.regret < 1e-12


def test_the_battle_of_the_sexes() -> None:
    found = support_enumeration(NormalFormGame.from_bimatrix([[3, 0], [0, 2]], [[2, 0], [0, 3]]))
    assert len(found) == 3
    mixed = found[-1].strategies
    np.testing.assert_allclose(mixed[0], [3 / 5, 2 / 5])
    np.testing.assert_allclose(mixed[1], [2 / 5, 3 / 5])


@pytest.mark.parametrize(("n", "seed", "count"), [(4, 13, 5), (5, 9, 3), (6, 6, 1)])
def test_games_on_which_nashpy_misses_some(n: int, seed: int, count: int) -> None:
    """Counts by an exact solver; nashpy 0.0.43 finds one fewer of each."""
    found = support_enumeration(drawn(n, seed))
    assert len(found) == count
    assert max(own.regret for own in found) < 1e-12


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_everything_nashpy_finds_is_found_and_counts_are_odd(n: int, seed: int) -> None:
    """Non-degenerate games have an odd number of equilibria (Wilson 1971)."""
    game = drawn(n, seed)
    found = support_enumeration(game)
    assert len(found) % 2 == 1
    assert all(own.regret < 1e-10 for own in found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = list(nashpy.Game(*game.payoffs).support_enumeration())
    for x, y in theirs:
        assert any(
            np.abs(own.strategies[0] - x).max() < 1e-6
            and np.abs(own.strategies[1] - y).max() < 1e-6
            for own in found
        )


def test_units_of_money_do_not_matter() -> None:
    rng = np.random.default_rng(13)
    first, second = rng.random((4, 4)), rng.random((4, 4))
    for unit in (1e-6, 1.0, 1e6):
        found = support_enumeration(NormalFormGame.from_bimatrix(unit * first, second / unit))
        assert len(found) == 5


def test_degenerate_games_and_one_action() -> None:
    """A continuum ([0, p, 1 - p], [1/2, 1/2]) has extreme points off equal supports."""
    game = NormalFormGame.from_bimatrix([[1, -1], [-1, 1], [0, 0]], [[1, 0], [0, 0], [0, 0]])
    found = support_enumeration(game, unequal=True)
    assert found
    assert all(own.regret < 1e-9 for own in found)
    ends = [own for own in found if own.strategies[0][2] == 1]
    assert any(np.allclose(own.strategies[1], 0.5) for own in ends)
    (only,) = support_enumeration(NormalFormGame.from_bimatrix([[2.0]], [[3.0]]))
    assert only.payoffs.tolist() == [2, 3]


def test_what_support_enumeration_is_not_for() -> None:
    with pytest.raises(UserError, match="two players"):
        support_enumeration(NormalFormGame(np.zeros((3, 2, 2, 2))))
    with pytest.raises(UserError, match="too many"):
        support_enumeration(NormalFormGame(np.zeros((2, 16, 16))))
