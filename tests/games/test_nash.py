"""All equilibria of bimatrix games: published cases, and the counts that nashpy misses."""

from __future__ import annotations

import warnings
from fractions import Fraction

import nashpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.nash import extreme_equilibria, support_enumeration
from fedfm_sim.games.nash_reference import extreme_equilibria_reference
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


def test_von_stengels_75_equilibria() -> None:
    """Von Stengel (1999): more than the 63 that were thought to be the most of 6 x 6."""
    first = [
        [9504, -660, 19976, -20526, 1776, -8976],
        [-111771, 31680, -130944, 168124, -8514, 52764],
        [397584, -113850, 451176, -586476, 29216, -178761],
        [171204, -45936, 208626, -263076, 14124, -84436],
        [1303104, -453420, 1227336, -1718376, 72336, -461736],
        [737154, -227040, 774576, -1039236, 48081, -300036],
    ]
    second = [
        [72336, 48081, 29216, 14124, 1776, -8514],
        [-461736, -300036, -178761, -84436, -8976, 52764],
        [1227336, 774576, 451176, 208626, 19976, -130944],
        [-1718376, -1039236, -586476, -263076, -20526, 168124],
        [1303104, 737154, 397584, 171204, 9504, -111771],
        [-453420, -227040, -113850, -45936, -660, 31680],
    ]
    game = NormalFormGame.from_bimatrix(first, second)
    found = extreme_equilibria(game)
    assert len(found) == 75
    assert found.complete
    assert max(own.regret for own in found) < 1e-14 * game.scale
    assert (found[-1].strategies[0] > 0).all()  # the completely mixed one


def test_a_degenerate_game_by_hand() -> None:
    """The row player never cares: x = (1, 0), (0, 1) and (2/3, 1/3), where the other is torn."""
    game = NormalFormGame.from_bimatrix([[0, 2], [0, 2]], [[2, 1], [0, 2]])
    found = extreme_equilibria(game)
    pairs = {tuple(np.round(np.concatenate(own.strategies), 9)) for own in found}
    third = round(1 / 3, 9), round(2 / 3, 9)
    assert pairs == {
        (1, 0, 1, 0), (0, 1, 0, 1), (third[1], third[0], 1, 0), (third[1], third[0], 0, 1),
    }  # fmt: skip
    assert found.complete
    assert found.note == ""
    assert len(support_enumeration(game, unequal=False)) == 2


kinds = st.sampled_from(["floats", "ties", "outlier", "near"])


def awkward(kind: str, seed: int) -> np.ndarray:
    """Return payoffs that are random, tie, have an outlier, or are all but dependent."""
    rng = np.random.default_rng(seed)
    shape = (2, *rng.integers(1, 4, 2))
    payoffs = rng.normal(size=shape) if kind != "ties" else rng.integers(0, 3, shape) / 3
    if kind == "outlier":
        payoffs[tuple(rng.integers(0, own) for own in shape)] = -(10.0 ** rng.integers(3, 9))
    if kind == "near":
        payoffs[0][-1] = payoffs[0].mean(axis=0) + 1e-12 * rng.normal(size=shape[2])
    return payoffs


@given(kinds, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_walk_finds_what_all_bases_hold(kind: str, seed: int) -> None:
    game = NormalFormGame(awkward(kind, seed))
    found = extreme_equilibria(game)
    expected = extreme_equilibria_reference(game)
    assert len(found) == len(expected)
    assert found.complete
    close = {tuple(round(float(p), 9) for own in pair for p in own) for pair in expected}
    assert close == {
        tuple(round(float(p), 9) for p in np.concatenate(own.strategies)) for own in found
    }
    for own in found:
        assert (game.regrets(own.strategies) <= 1e-12 * game.units).all()


money = st.tuples(st.floats(-9, 15), st.floats(-9, 15), st.floats(-3, 3), st.floats(-3, 3))


@given(kinds, st.integers(0, 2**32 - 1), money)
@settings(max_examples=60, deadline=None)
def test_each_players_own_unit_and_offset_do_not_matter(
    kind: str, seed: int, unit: tuple[float, float, float, float]
) -> None:
    payoffs = awkward(kind, seed)
    scale, offset = 10 ** np.array(unit[:2]), np.array(unit[2:]) * (kind in ("floats", "ties"))
    changed = (payoffs + offset[:, None, None]) * scale[:, None, None]
    plain, other = (extreme_equilibria(NormalFormGame(own)) for own in (payoffs, changed))
    assert len(plain) == len(other)
    for own, its in zip(plain, other, strict=True):
        for a, b in zip(own.strategies, its.strategies, strict=True):
            # A mixture is as sure as payoffs are: 1e-12 apart, they are known to 1e-4.
            np.testing.assert_allclose(a, b, atol=1e-3 if kind == "near" else 1e-7)


def test_decimal_ties_are_ties_in_any_money() -> None:
    """0.1 + 0.2 is not 0.3 in floats: the middle row is the mean of the others all the same."""
    first = np.array([[0.1, 0.5], [0.2, 0.3], [0.3, 0.1]])
    second = np.array([[0.3, 0.1], [0.1, 0.2], [0.2, 0.2]])
    counts = {
        len(extreme_equilibria(NormalFormGame.from_bimatrix(unit * first + away, second)))
        for unit in (1.0, 1e-9, 0.7, 1 / 3, 1e15)
        for away in (0.0, 3 * unit, -0.1 * unit)
    }
    assert counts == {len(extreme_equilibria_reference(
        NormalFormGame.from_bimatrix(10 * first.round(1), second)))}  # fmt: skip


def test_a_large_game_says_that_there_may_be_others() -> None:
    game = NormalFormGame(np.random.default_rng(0).integers(0, 1000, (2, 16, 16)).astype(float))
    found = extreme_equilibria(game)
    assert not found.complete
    assert "too many vertices" in found.note
    assert 1 <= len(found) <= 40
    assert max(own.regret for own in found) < 1e-9


def test_one_action_and_nothing_to_choose() -> None:
    (only,) = extreme_equilibria(NormalFormGame.from_bimatrix([[2.0]], [[3.0]]))
    assert only.payoffs.tolist() == [2, 3]
    assert len(extreme_equilibria(NormalFormGame(np.zeros((2, 16, 16))))) == 256
    with pytest.raises(UserError, match="two players"):
        support_enumeration(NormalFormGame(np.zeros((3, 2, 2, 2))))
