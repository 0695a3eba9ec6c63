"""Games in normal form: regrets against the slow way, and inputs that are no game."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import LARGEST, NormalFormGame

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4)


def random_game(shape: list[int], seed: int) -> NormalFormGame:
    return NormalFormGame(np.random.default_rng(seed).normal(size=(len(shape), *shape)))


@given(shapes, seeds)
def test_expected_payoffs_are_sums_over_profiles(shape: list[int], seed: int) -> None:
    game, rng = random_game(shape, seed), np.random.default_rng(seed)
    strategies = [rng.dirichlet(np.ones(count)) for count in shape]
    slow = np.zeros(len(shape))
    for profile in product(*map(range, shape)):
        chance = np.prod([own[a] for own, a in zip(strategies, profile, strict=True)])
        slow += chance * np.array([game.payoffs[i][profile] for i in range(len(shape))])
    np.testing.assert_allclose(game.expected(strategies), slow, atol=1e-12)
    for i, count in enumerate(shape):
        for action in range(count):
            other = [np.eye(count)[action] if j == i else own for j, own in enumerate(strategies)]
            value = game.action_values(strategies, i)[action]
            assert value == pytest.approx(game.expected(other)[i])
            assert game.regrets(strategies)[i] >= value - game.expected(strategies)[i] - 1e-12


@given(shapes, seeds)
def test_pure_equilibria_are_those_without_regret(shape: list[int], seed: int) -> None:
    game = random_game(shape, seed)
    found = set(game.pure_profiles())
    for profile in product(*map(range, shape)):
        pure = [np.eye(count)[a] for count, a in zip(shape, profile, strict=True)]
        assert (profile in found) == bool(game.regrets(pure).max() <= 1e-9)


def test_the_prisoners_dilemma() -> None:
    game = NormalFormGame.from_bimatrix([[3, 0], [5, 1]], [[3, 5], [0, 1]])
    (found,) = game.pure_equilibria()
    assert [own.tolist() for own in found.strategies] == [[0, 1], [0, 1]]
    assert found.regret == 0
    assert game.price_of_anarchy([found]) == 3  # 3 + 3 over 1 + 1


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.zeros((2, 2)), "expected"),
        (np.zeros((3, 2, 2)), "expected"),
        (np.zeros((2, 0, 2)), "expected"),
        (np.full((2, 2, 2), np.nan), "must be finite; the one at"),
        (np.full((2, 2, 2), np.inf), "must be finite"),
    ],
)
def test_what_is_no_game(payoffs: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        NormalFormGame(payoffs)


def test_bad_names_sizes_and_ratios() -> None:
    game = NormalFormGame.from_bimatrix([[1, 2]], [[3, -9]])
    with pytest.raises(UserError, match="names for"):
        NormalFormGame(game.payoffs, (("a", "b"), ("c", "d")))
    with pytest.raises(UserError, match="differ"):
        NormalFormGame.from_bimatrix([[1, 2]], [[1], [2]])
    with pytest.raises(UserError, match="price of anarchy"):
        game.price_of_anarchy(game.pure_equilibria())
    huge = np.broadcast_to(np.float64(0), (2, LARGEST, 1))
    with pytest.raises(UserError, match="at most"):
        NormalFormGame(huge)


def test_a_gain_is_judged_by_the_payoffs_compared() -> None:
    """Not by the range of all players' payoffs, nor by an outlying cell."""
    large, small = 1e9 * np.eye(2), np.array([[0, 0.5], [0.5, 0]])
    assert list(NormalFormGame.from_bimatrix(large, small).pure_profiles()) == []
    assert list(NormalFormGame.from_bimatrix(small, large).pure_profiles()) == []
    rng = np.random.default_rng(3)
    payoffs = rng.normal(size=(3, 3, 3, 3))
    plain = set(NormalFormGame(payoffs).pure_profiles())
    payoffs[0, 2, 2, 2] = -1e8
    outlying = NormalFormGame(payoffs)
    assert {own for own in outlying.pure_profiles() if own != (2, 2, 2)} >= plain - {(2, 2, 2)}
    assert all(own.regret < 1e-12 for own in outlying.pure_equilibria())
    assert NormalFormGame(payoffs).units[0] < 10  # what a wrong action costs, not the range


def test_decimals_that_round_apart_are_a_tie() -> None:
    game = NormalFormGame.from_bimatrix([[0.3], [0.1 + 0.2]], [[1], [1]])
    assert list(game.pure_profiles()) == [(0, 0), (1, 0)]
    assert game.units.tolist() == [1, 1]
    assert NormalFormGame(1e-300 * np.ones((2, 2, 2))).scale == 1.0
