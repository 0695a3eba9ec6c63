"""Quantal response and learning: where theory says they go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games import dynamics
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.quantal import quantal_response

PENNIES = NormalFormGame.from_bimatrix([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])
DILEMMA = NormalFormGame.from_bimatrix([[3, 0], [5, 1]], [[3, 5], [0, 1]])
SHAPLEY = NormalFormGame.from_bimatrix(
    [[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
)
UNEVEN = [np.array([0.7, 0.3]), np.array([0.4, 0.6])]


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
@settings(max_examples=8)
def test_quantal_strategies_reproduce_themselves(seed: int, precision: float) -> None:
    game = NormalFormGame(np.random.default_rng(seed).random((2, 3, 3)))
    found = quantal_response(game, precision)
    for i, own in enumerate(found.strategies):
        weights = np.exp(precision * game.action_values(found.strategies, i))
        np.testing.assert_allclose(own, weights / weights.sum(), atol=1e-7)


def test_quantal_response_goes_from_uniform_to_nash() -> None:
    np.testing.assert_allclose(quantal_response(DILEMMA, 0).strategies, np.full((2, 2), 0.5))
    np.testing.assert_allclose(
        quantal_response(DILEMMA, 30).strategies, [[0, 1], [0, 1]], atol=1e-6
    )
    np.testing.assert_allclose(quantal_response(PENNIES, 2).strategies, np.full((2, 2), 0.5))
    with pytest.raises(UserError, match="precision"):
        quantal_response(DILEMMA, -1)


def test_all_come_to_the_dominant_actions() -> None:
    rng = np.random.default_rng(0)
    ends = {
        "replicator": dynamics.replicator(DILEMMA, UNEVEN, 400).final,
        "best response": dynamics.best_response(DILEMMA, UNEVEN, 3).final,
        "fictitious play": dynamics.fictitious_play(DILEMMA, UNEVEN, 500).final,
        "logit": dynamics.logit(DILEMMA, UNEVEN, 200, precision=10).final,
        "regret matching": dynamics.regret_matching(DILEMMA, 500).final,
        "exp3": dynamics.exp3(DILEMMA, 10_000, rng, exploration=0.05).final,
        "q-learning": dynamics.q_learning(DILEMMA, 3_000, rng).final,
    }
    for name, strategies in ends.items():
        for own in strategies:
            assert own[1] > 0.85, name


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_averages_solve_zero_sum_games(seed: int) -> None:
    """Robinson (1951) for fictitious play; regret matching's bound falls as 1 / sqrt(T)."""
    payoffs = np.random.default_rng(seed).uniform(-1, 1, (3, 3))
    game = NormalFormGame.from_bimatrix(payoffs, -payoffs)
    uniform = [np.full(3, 1 / 3)] * 2
    assert dynamics.fictitious_play(game, uniform, 1500).regrets[-1] < 0.1
    assert dynamics.regret_matching(game, 1500).regrets[-1] < 0.1


def test_the_replicator_goes_round_matching_pennies() -> None:
    path = dynamics.replicator(PENNIES, UNEVEN, 2000, rate=0.01)
    centre = support_enumeration(PENNIES)[0].strategies
    gaps = path.distance(centre)
    assert gaps[1000:].min() > 0.15  # never comes near
    crossings = np.diff(np.sign(path.strategies[0][:, 0] - 0.5)) != 0
    assert crossings.sum() >= 3


def test_fictitious_play_cycles_in_shapleys_game() -> None:
    """Shapley (1964): it never comes to the uniform equilibrium."""
    start = [np.array([1.0, 0, 0]), np.array([0, 1.0, 0])]
    path = dynamics.fictitious_play(SHAPLEY, start, 5000)
    assert path.distance((np.full(3, 1 / 3), np.full(3, 1 / 3)))[2000:].max() > 0.2


def test_bad_starts() -> None:
    with pytest.raises(UserError, match="at least one step"):
        dynamics.replicator(PENNIES, UNEVEN, 0)
    for start in ([0.5, 0.6], [1.5, -0.5], [1.0]):
        with pytest.raises(UserError, match="must be a distribution"):
            dynamics.replicator(PENNIES, [np.array(start), UNEVEN[1]], 5)


@pytest.mark.parametrize("unit", [1e-9, 1e15])
def test_learning_is_the_same_in_any_money(unit: float) -> None:
    """Each player's payoffs in a unit and from a zero of its own."""
    own = unit * DILEMMA.payoffs[0] - 3 * unit
    other = NormalFormGame(np.stack([own, DILEMMA.payoffs[1] / unit + 7 / unit]))
    paths = [
        [
            dynamics.replicator(game, UNEVEN, 50),
            dynamics.fictitious_play(game, UNEVEN, 50),
            dynamics.regret_matching(game, 50),
            dynamics.logit(game, UNEVEN, 50, precision=5 / game.scales),
            dynamics.exp3(game, 200, np.random.default_rng(1)),
            dynamics.q_learning(game, 200, np.random.default_rng(1)),
        ]
        for game in (DILEMMA, other)
    ]
    for path, same in zip(*paths, strict=True):
        for a, b in zip(path.final, same.final, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)
