"""Repeated games: folk-theorem bounds, Nash reversion and automata of the prisoner's dilemma."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.automata import (
    Automaton,
    always,
    grim,
    one_shot_deviation,
    pavlov,
    play,
    tit_for_tat,
)
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.repeated import (
    critical_discount,
    feasible,
    individually_rational,
    minmax_values,
    sustainable,
)
from fedfm_sim.mechanisms import deterring_discount

PENNIES = NormalFormGame.from_bimatrix([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])


def dilemma(t: float = 5, r: float = 3, p: float = 1, s: float = 0) -> NormalFormGame:
    return NormalFormGame.from_bimatrix([[r, s], [t, p]], [[r, t], [s, p]])


GAME = dilemma()
(DEFECTION,) = GAME.pure_equilibria()


def test_minmax_values() -> None:
    assert minmax_values(GAME).tolist() == [1, 1]
    assert minmax_values(PENNIES).tolist() == [1, 1]
    np.testing.assert_allclose(minmax_values(PENNIES, mixed=True), [0, 0], atol=1e-9)
    uneven = NormalFormGame.from_bimatrix([[1, 4, 2], [3, 0, 2]], [[0, 5, 1], [7, 2, 3]])
    assert minmax_values(uneven).tolist() == [2, 5]
    rows = np.linspace(0, 1, 10_001)[:, None] * [1, -1] + [0, 1]
    second = (rows @ uneven.payoffs[1]).max(1).min()
    np.testing.assert_allclose(minmax_values(uneven, mixed=True)[1], second, atol=1e-3)
    assert second < 4.5
    three = NormalFormGame(np.random.default_rng(0).normal(size=(3, 2, 2, 2)))
    slow = [min(own[:, a, b].max() for a in (0, 1) for b in (0, 1)) for own in three.payoffs[:1]]
    assert minmax_values(three)[0] == slow[0]
    with pytest.raises(UserError, match="two players"):
        minmax_values(three, mixed=True)


def test_what_is_feasible_and_rational() -> None:
    for payoffs, can, may in (
        ([3, 3], True, True),
        ([2.5, 2.5], True, True),
        ([0.5, 4], True, False),
        ([4, 4], False, True),
        ([0, 5], True, False),
        ([-1, 3], False, False),
    ):
        assert feasible(GAME, payoffs) == can, payoffs
        assert individually_rational(GAME, payoffs) == may, payoffs
    assert individually_rational(PENNIES, [0, 0], mixed=True)
    assert not individually_rational(PENNIES, [0, 0])
    for bad in ([1.0], [np.nan, 1], [[1, 1]]):
        with pytest.raises(UserError, match="finite payoffs"):
            feasible(GAME, bad)


@given(st.integers(0, 2**32 - 1), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_lotteries_are_feasible_and_what_is_above_all_is_not(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    game = NormalFormGame(rng.normal(size=(n, *[2] * n)))
    corners = game.payoffs.reshape(n, -1)
    inside = corners @ rng.dirichlet(np.ones(corners.shape[1]))
    assert feasible(game, inside)
    direction = rng.normal(size=n)
    top = corners[:, int(np.argmax(direction @ corners))]
    assert feasible(game, top)
    assert not feasible(game, top + 1e-4 * direction)


@given(st.floats(0.1, 3), st.floats(0.1, 3), st.floats(0, 3))
@settings(max_examples=30)
def test_the_critical_discount_of_the_dilemma(above: float, between: float, below: float) -> None:
    """Friedman (1971): ``(T - R) / (T - P)``."""
    p, r, t = 1.0, 1 + between, 1 + between + above
    game = dilemma(t, r, p, p - 0.1 - below)
    (defection,) = game.pure_equilibria()
    critical = critical_discount(game, (0, 0), defection)
    assert critical == pytest.approx((t - r) / (t - p))
    for discount, holds in ((critical + 1e-6, True), (critical - 1e-6, False)):
        assert sustainable(game, (0, 0), discount, defection) == holds
        pair = [grim(game, i, (0, 0), 1) for i in range(2)]
        assert (one_shot_deviation(game, pair, discount).gain <= 1e-12) == holds


def test_exclusion_is_reversion_with_imperfect_monitoring() -> None:
    """Cheating earns h + g unless caught, with chance q: then the round's profit and all later."""
    gain, profit, audits, found = 0.8, 1.5, 0.4, 0.5
    caught = audits * found
    cheating = (1 - caught) * (profit + gain)
    game = NormalFormGame.from_bimatrix([[profit, 0], [cheating, 0]], [[1, 0], [0, 0]])
    out = game.evaluated([np.array([0.0, 1]), np.array([0.0, 1])])
    assert out.payoffs[0] == 0
    ours = critical_discount(game, (0, 0), out, detection=caught)
    assert ours == pytest.approx(deterring_discount(gain, profit, audits, found))
    assert 0 < ours < 1


def test_patience_that_is_not_needed_or_never_enough() -> None:
    assert critical_discount(GAME, (1, 1), DEFECTION) == 0
    assert critical_discount(GAME, (0, 1), DEFECTION) == inf  # the victim prefers punishment
    assert not sustainable(GAME, (0, 1), 0.999, DEFECTION)
    with pytest.raises(UserError, match="must be an equilibrium"):
        critical_discount(GAME, (0, 0), GAME.evaluated([np.array([1.0, 0])] * 2))
    for profile in ((0,), (0, 2), (-1, 0)):
        with pytest.raises(UserError, match="no profile"):
            critical_discount(GAME, profile, DEFECTION)
    for discount in (1.0, -0.1, np.nan):
        with pytest.raises(UserError, match="discount"):
            sustainable(GAME, (0, 0), discount, DEFECTION)
    with pytest.raises(UserError, match="noticed"):
        critical_discount(GAME, (0, 0), DEFECTION, detection=0.0)


def test_play_by_hand() -> None:
    """Tit-for-tat against defection: S, then P; discounted means of 0, 1, 1 and 5, 1, 1."""
    pair = [tit_for_tat(GAME, 0), always(GAME, 1)]
    weights = np.array([1, 0.5, 0.25]) / 1.75
    np.testing.assert_allclose(play(GAME, pair, 3, 0.5), [weights @ [0, 1, 1], weights @ [5, 1, 1]])
    # Two Pavlovs after one slip: both defect, then both cooperate.
    slipped = Automaton(np.array([1, 0]), 1 - pavlov(GAME).transitions)
    mean = play(GAME, [pavlov(GAME), slipped], 4, 1.0)
    np.testing.assert_allclose(mean, [(0 + 1 + 3 + 3) / 4, (5 + 1 + 3 + 3) / 4])
    trigger = [grim(GAME, 0, (0, 0), 1), always(GAME, 1)]
    assert (trigger[0].transitions[1] == 1).all()  # it never forgives
    np.testing.assert_allclose(play(GAME, trigger, 2, 1.0), [0.5, 3])


@pytest.mark.parametrize("discount", [0.1, 0.5, 0.67, 0.9, 0.99])
def test_tit_for_tat_is_not_subgame_perfect(discount: float) -> None:
    """After one defection the two echo it for ever; patient players would forgive."""
    pair = [tit_for_tat(GAME, i) for i in range(2)]
    found = one_shot_deviation(GAME, pair, discount)
    assert found.gain > 1e-3
    if discount > 2 / 3:  # else one defects at once
        assert found.states in ((0, 1), (1, 0), (1, 1))


def test_pavlov_holds_from_its_own_discount_on() -> None:
    """Defecting pays T + D P instead of R + D R: ``D* = (T - R) / (R - P)``."""
    game = dilemma(4, 3, 1, 0)
    pair = [pavlov(game)] * 2
    assert one_shot_deviation(game, pair, 0.501).gain <= 1e-12
    slip = one_shot_deviation(game, pair, 0.499)
    assert slip.gain > 0
    assert (slip.action, slip.states) == (1, (0, 0))


def test_always_defecting_is_perfect_and_always_cooperating_is_not() -> None:
    assert one_shot_deviation(GAME, [always(GAME, 1)] * 2, 0.9).gain == pytest.approx(-0.1)
    assert one_shot_deviation(GAME, [always(GAME, 0)] * 2, 0.9).gain == pytest.approx(0.1 * 2)


def test_automata_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="1 automata for 2 players"):
        play(GAME, [pavlov(GAME)], 3, 0.9)
    wide = NormalFormGame(np.zeros((2, 3, 3)))
    for strategy in (
        pavlov(GAME),
        always(GAME, 2),
        Automaton(np.array([0]), np.ones((1, 2, 2), int)),
    ):
        with pytest.raises(UserError, match="does not fit"):
            one_shot_deviation(GAME if len(strategy.actions) == 1 else wide, [strategy] * 2, 0.5)
    with pytest.raises(UserError, match="two actions"):
        pavlov(wide)
    with pytest.raises(UserError, match="two players with the same actions"):
        tit_for_tat(NormalFormGame(np.zeros((2, 2, 3))), 0)
    with pytest.raises(UserError, match="no profile"):
        grim(GAME, 0, (0, 5), 1)
    for player in (-1, 2):
        with pytest.raises(UserError, match=f"player {player} of"):
            grim(GAME, player, (0, 0), 1)
        with pytest.raises(UserError, match=f"player {player} of"):
            tit_for_tat(GAME, player)
    turns = [
        Automaton(
            np.zeros(size, int), np.tile((np.arange(size)[:, None, None] + 1) % size, (1, 2, 2))
        )
        for size in (50, 51)
    ]
    with pytest.raises(UserError, match="joint states"):
        one_shot_deviation(GAME, turns, 0.5)
    for rounds, discount in ((0, 0.5), (3, 0.0), (3, 1.1)):
        with pytest.raises(UserError, match="rounds >= 1"):
            play(GAME, [pavlov(GAME)] * 2, rounds, discount)
    with pytest.raises(UserError, match="discount factor"):
        one_shot_deviation(GAME, [pavlov(GAME)] * 2, 1.0)


@pytest.mark.parametrize("unit", [1e-9, 1e15])
def test_what_the_future_enforces_has_no_unit(unit: float) -> None:
    payoffs = np.array([[[3.0, 0], [5, 1]], [[3, 5], [0, 1]]])
    units = np.array([unit, 1 / unit])
    game = NormalFormGame(payoffs * units[:, None, None])
    (defect,) = game.pure_equilibria()
    assert critical_discount(game, (0, 0), defect) == pytest.approx(0.5)
    assert sustainable(game, (0, 0), 0.5 + 1e-9, defect)
    assert not sustainable(game, (0, 0), 0.5 - 1e-6, defect)
    for mixed in (False, True):
        np.testing.assert_allclose(minmax_values(game, mixed) / units, [1, 1])
    assert feasible(game, units * np.array([2.5, 2.5]))
    assert not feasible(game, units * np.array([4.0, 2.5]))
    assert individually_rational(game, units)
    assert not individually_rational(game, units * np.array([0.999, 1.0]))
