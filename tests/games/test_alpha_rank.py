"""alpha-Rank: published ranks, fixation in closed form, and strong selection."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.alpha_rank import alpha_rank
from fedfm_sim.games.normal_form import NormalFormGame

ROCK = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])


def symmetric(payoffs: Array) -> NormalFormGame:
    return NormalFormGame.from_bimatrix(payoffs, payoffs.T)


def test_the_commitment_game_of_han_2013() -> None:
    """Five strategies; the expected ranks are those that OpenSpiel tests (m 20, alpha 0.1)."""
    r, t, p, s, delta, epsilon = 1.0, 2.0, 0.0, -1.0, 4.0, 0.25
    payoffs = np.array(
        [
            [r - epsilon / 2, r - epsilon, 0, s + delta - epsilon, r - epsilon],
            [r, r, s, s, s],
            [0, t, p, p, p],
            [t - delta, t, p, p, p],
            [r, t, p, p, p],
        ]
    )
    ranks = alpha_rank(symmetric(payoffs), 0.1, population=20, symmetric=True)
    expected = [0.40966787, 0.07959841, 0.20506998, 0.08505983, 0.2206039]
    np.testing.assert_allclose(ranks, expected, atol=1e-8)


def slow(game: NormalFormGame, alpha: float, m: int) -> Array:
    """Return the stationary distribution by the paper's equations 9 to 12, as they stand."""
    shape = game.payoffs.shape[1:]
    profiles = list(product(*map(range, shape)))
    chain = np.zeros((len(profiles), len(profiles)))
    share = 1 / sum(a - 1 for a in shape)
    for (x, here), (y, there) in product(enumerate(profiles), repeat=2):
        changed = [k for k in range(len(shape)) if here[k] != there[k]]
        if len(changed) == 1:
            gain = game.payoffs[changed[0]][there] - game.payoffs[changed[0]][here]
            equal = alpha * gain == 0
            rho = 1 / m if equal else (1 - np.exp(-alpha * gain)) / (1 - np.exp(-m * alpha * gain))
            chain[x, y] = share * rho
    chain += np.diag(1 - chain.sum(1))
    system = np.r_[(chain.T - np.eye(len(chain)))[:-1], np.ones((1, len(chain)))]
    return np.asarray(np.linalg.solve(system, np.eye(len(chain))[-1])).reshape(shape)


@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=3),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 1),
    st.integers(2, 12),
)
@settings(max_examples=25, deadline=None)
def test_parity_with_the_equations(shape: list[int], seed: int, alpha: float, m: int) -> None:
    if max(shape) == 1:
        return
    payoffs = np.random.default_rng(seed).integers(-2, 3, (len(shape), *shape)).astype(float)
    game = NormalFormGame(payoffs)
    ranks = alpha_rank(game, alpha, m)
    assert ranks.sum() == pytest.approx(1)
    np.testing.assert_allclose(ranks, slow(game, alpha, m), atol=1e-7)


def test_two_strategies_by_the_ratio_of_fixations() -> None:
    """A gets 1 more than B whatever is met: rho_AB / rho_BA is ``exp(-alpha (m - 1))``."""
    ranks = alpha_rank(symmetric(np.array([[1.0, 1], [0, 0]])), 0.3, 7, symmetric=True)
    assert ranks[1] / ranks[0] == pytest.approx(np.exp(-0.3 * 6))


def test_cycles_and_no_selection_are_uniform() -> None:
    np.testing.assert_allclose(alpha_rank(symmetric(ROCK), 5.0, symmetric=True), 1 / 3)
    np.testing.assert_allclose(alpha_rank(symmetric(ROCK), 0.0), np.full((3, 3), 1 / 9))
    lone = NormalFormGame(np.zeros((2, 1, 1)))
    assert alpha_rank(lone, 1.0).tolist() == [[1.0]]


@pytest.mark.parametrize("alpha", [1e2, 1e4, 1e7])
def test_strong_selection(alpha: float) -> None:
    """Matching pennies goes round for ever; in the dilemma and the stag hunt it settles."""
    pennies = NormalFormGame.from_bimatrix([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])
    np.testing.assert_allclose(alpha_rank(pennies, alpha), np.full((2, 2), 0.25))
    dilemma = symmetric(np.array([[3.0, 0], [5, 1]]))
    np.testing.assert_allclose(alpha_rank(dilemma, alpha), [[0, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(alpha_rank(dilemma, alpha, symmetric=True), [0, 1], atol=1e-12)
    hunt = alpha_rank(symmetric(np.array([[4.0, 1], [3, 3]])), alpha)
    np.testing.assert_allclose(hunt, [[0, 0], [0, 1]], atol=1e-12)  # risk-dominant


def test_hostile_input() -> None:
    game = symmetric(ROCK)
    for alpha, m in ((-1.0, 50), (np.nan, 50), (np.inf, 50), (1.0, 1)):
        with pytest.raises(UserError, match="alpha is at least 0"):
            alpha_rank(game, alpha, m)
    with pytest.raises(UserError, match="too strong"):
        alpha_rank(game, 1e12)
    with pytest.raises(UserError, match="symmetric game of two"):
        alpha_rank(NormalFormGame.from_bimatrix(ROCK, ROCK + 1), 1.0, symmetric=True)
    with pytest.raises(UserError, match="too many"):
        alpha_rank(NormalFormGame(np.zeros((2, 40, 40))), 1.0)
