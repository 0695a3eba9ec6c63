"""Linear programs over games: published answers, and what theory says of all games."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.linear import (
    correlated,
    inspection_game,
    security_game,
    stackelberg,
    zero_sum,
)
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import NormalFormGame

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, rows: int = 3, columns: int = 3) -> NormalFormGame:
    rng = np.random.default_rng(seed)
    return NormalFormGame.from_bimatrix(rng.random((rows, columns)), rng.random((rows, columns)))


def test_rock_paper_scissors_and_matching_pennies() -> None:
    rock = zero_sum(np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0.0]]))
    np.testing.assert_allclose(rock.strategies, np.full((2, 3), 1 / 3), atol=1e-9)
    uneven = zero_sum(np.array([[2, -1], [-1, 1.0]]))
    np.testing.assert_allclose(uneven.strategies[0], [2 / 5, 3 / 5], atol=1e-9)
    assert uneven.payoffs[0] == pytest.approx(1 / 5)


@given(seeds)
def test_zero_sum_values_agree_with_enumeration(seed: int) -> None:
    payoffs = np.random.default_rng(seed).normal(size=(3, 4))
    solved = zero_sum(payoffs)
    assert solved.regret < 1e-8
    found = support_enumeration(NormalFormGame.from_bimatrix(payoffs, -payoffs))
    assert found[0].payoffs[0] == pytest.approx(solved.payoffs[0], abs=1e-8)


def test_aumanns_game_of_chicken() -> None:
    """Aumann (1974): the best correlated equilibrium is worth 10.5, the best Nash one 9."""
    game = NormalFormGame.from_bimatrix([[6, 2], [7, 0]], [[6, 7], [2, 0]])
    advice, value = correlated(game)
    np.testing.assert_allclose(advice, [[0.5, 0.25], [0.25, 0]], atol=1e-9)
    assert value == pytest.approx(10.5)
    assert max(own.payoffs.sum() for own in support_enumeration(game)) == pytest.approx(28 / 3)


@given(seeds)
def test_nash_within_correlated_within_coarse(seed: int) -> None:
    game = drawn(seed)
    best = max(own.payoffs.sum() for own in support_enumeration(game))
    told, fine = correlated(game)
    _, coarse = correlated(game, coarse=True)
    assert best <= fine + 1e-8
    assert fine <= coarse + 1e-8
    assert told.sum() == pytest.approx(1)
    for i in range(2):  # nobody gains by doing something else than advised
        payoffs, advice = np.moveaxis(game.payoffs[i], i, 0), np.moveaxis(told, i, 0)
        gains = payoffs @ advice.T - (payoffs * advice).sum(1)[None]
        assert gains.max() < 1e-8


@pytest.mark.parametrize(
    ("leader", "follower", "commit", "value"),
    [
        ([[2, 4], [1, 3]], [[1, 0], [0, 1]], [0.5, 0.5], 3.5),  # Conitzer and Sandholm 2006
        ([[3, 9], [9, 1]], [[0, 0], [1, 8]], [1, 0], 9),  # OpenSpiel's stackelberg_lp_test
    ],
)
def test_published_commitments(
    leader: list[list[float]], follower: list[list[float]], commit: list[float], value: float
) -> None:
    found = stackelberg(np.array(leader, float), np.array(follower, float))
    np.testing.assert_allclose(found.strategy, commit, atol=1e-9)
    assert found.value == pytest.approx(value)


@given(seeds)
def test_a_leader_gets_at_least_its_best_nash_payoff(seed: int) -> None:
    """Von Stengel and Zamir (2010)."""
    game = drawn(seed)
    found = stackelberg(*game.payoffs)
    assert found.value >= max(own.payoffs[0] for own in support_enumeration(game)) - 1e-8
    reply = found.strategy @ game.payoffs[1]
    assert reply[found.reply] >= reply.max() - 1e-8
    for grid in np.random.default_rng(seed).dirichlet(np.ones(3), 200):
        replies = grid @ game.payoffs[1]
        ties = replies >= replies.max() - 1e-12
        assert found.value >= (grid @ game.payoffs[0])[ties].max() - 1e-8


def test_two_targets_by_hand() -> None:
    """One audit over targets worth 2 and 1 makes the attacker indifferent at c = 2/3, 1/3."""
    values = np.array([2.0, 1.0])
    zero = np.zeros(2)
    found = security_game((zero, zero), (-values, values), 1.0)
    np.testing.assert_allclose(found.strategy, [2 / 3, 1 / 3], atol=1e-9)
    assert found.value == pytest.approx(-2 / 3)
    assert found.follower_value == pytest.approx(2 / 3)
    assert security_game((zero, zero), (-values, values), 2.0).value == pytest.approx(0)
    assert security_game((zero, zero), (-values, values), 0.0).value == -2
    with pytest.raises(UserError, match="must not hurt"):
        security_game((-values, zero), (zero, values), 1.0)
    with pytest.raises(UserError, match="resources"):
        security_game((zero, zero), (-values, values), -1.0)


@given(seeds, st.floats(0, 3))
def test_no_other_coverage_is_better(seed: int, resources: float) -> None:
    rng = np.random.default_rng(seed)
    caught, free = -rng.random(4), rng.random(4)
    good, bad = rng.random(4), -rng.random(4)
    found = security_game((good, caught), (bad, free), resources)
    assert found.strategy.sum() <= resources + 1e-8
    for draw in rng.dirichlet(np.ones(4), 100):
        cover = np.minimum(draw * resources, 1)
        attack = cover * caught + (1 - cover) * free
        ties = attack >= attack.max() - 1e-12
        assert found.value >= (cover * good + (1 - cover) * bad)[ties].max() - 1e-7


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0.1, 50))
def test_the_inspection_game(gain: float, fine: float, loss: float, cost: float) -> None:
    found = inspection_game(gain, fine, loss, cost)
    assert found.regret < 1e-9 * (gain + fine + loss + cost)
    if cost < loss:
        assert found.strategies[1][1] == pytest.approx(gain / (gain + fine))
        assert found.strategies[0][1] == pytest.approx(cost / loss)
    with pytest.raises(UserError, match="above 0"):
        inspection_game(gain, 0, loss, cost)
