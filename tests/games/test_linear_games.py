"""Linear programs over games: published answers, and what theory says of all games."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games import linear
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


units = st.tuples(st.sampled_from([-9.0, -3.0, 6.0, 15.0]), st.floats(-9, 15))


@given(seeds, units)
@settings(max_examples=20, deadline=None)
def test_linear_games_are_the_same_in_any_money(seed: int, powers: tuple[float, float]) -> None:
    """Each player's payoffs in a unit and from a zero of its own."""
    rng = np.random.default_rng(seed)
    own, others = rng.integers(0, 4, (2, 3, 4)) / 3
    unit, other = 10.0 ** np.array(powers)
    changed = unit * own + 2 * unit, other * others - other
    solved, same = zero_sum(own), zero_sum(changed[0])
    np.testing.assert_allclose(solved.strategies[0], same.strategies[0], atol=1e-9)
    assert same.payoffs[0] / unit - 2 == pytest.approx(solved.payoffs[0], abs=1e-9)
    led, again = stackelberg(own, others), stackelberg(*changed)
    assert led.reply == again.reply
    np.testing.assert_allclose(led.strategy, again.strategy, atol=1e-9)
    assert again.value / unit - 2 == pytest.approx(led.value, abs=1e-9)
    # A sum of payoffs needs one unit for all.
    plain = correlated(NormalFormGame.from_bimatrix(own, others))
    scaled = correlated(NormalFormGame.from_bimatrix(unit * own, unit * others))
    np.testing.assert_allclose(plain[0], scaled[0], atol=1e-9)
    assert scaled[1] / unit == pytest.approx(plain[1], abs=1e-9)
    good, bad = np.maximum(own[0], own[1]), np.minimum(own[0], own[1])
    caught, free = np.minimum(*others[:2]), np.maximum(*others[:2])
    guarded = security_game((good, caught), (bad, free), 1.5)
    same_guard = security_game((unit * good, other * caught), (unit * bad, other * free), 1.5)
    assert same_guard.value / unit == pytest.approx(guarded.value, abs=1e-9)


@pytest.mark.parametrize("cell", [-1e5, -1e8, -1e12])
def test_an_outlying_payoff_does_not_drown_the_others(cell: float) -> None:
    payoffs = np.array([[0.0, 2.0], [1.0, 0.0], [cell, 5.0]])
    solved = zero_sum(payoffs)
    assert solved.payoffs[0] >= 2 / 3  # what the first two rows guarantee
    values = payoffs.T @ solved.strategies[0]
    assert values.min() == pytest.approx(solved.payoffs[0], rel=1e-6)
    # The second reply is better by 1e-3 against the first row: it can't be had for the first.
    follower = np.array([[0.0, 1e-3], [cell, 0.0]])
    led = stackelberg(np.array([[5.0, 1.0], [0.0, 0.0]]), follower)
    assert led.reply == 1
    assert led.value == pytest.approx(1.0)


def test_a_small_programme_and_a_large_one_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size HiGHS's floats have to do; below, they only guess the basis."""
    games = [drawn(seed, 4, 4) for seed in range(4)]
    exact = [correlated(game)[1] for game in games]
    monkeypatch.setattr(linear, "MOST_ENTRIES", 0)
    assert [correlated(game)[1] for game in games] == pytest.approx(exact, abs=1e-8)
    monkeypatch.undo()
    monkeypatch.setattr(linear, "_in_floats", lambda *_: None)  # without a guess
    assert [correlated(game)[1] for game in games] == pytest.approx(exact, abs=1e-12)
