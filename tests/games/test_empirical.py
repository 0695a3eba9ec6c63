"""Empirical games: intervals that cover the truth, and where more replicates are wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedfm_sim.core.errors import UserError
from fedfm_sim.games import EmpiricalGame, NormalFormGame, solve
from fedfm_sim.games.solve import Concept

NAMES = (("attack", "rest"), ("audit", "trust"))
#: The prisoners' dilemma.
DILEMMA = np.array([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]])
#: An inspection game: its one equilibrium is mixed, with payoffs 0 and -1.
TRUTH = np.array([[[-8.0, 2], [0, 0]], [[-1, -5], [-1, 0]]])


def measured(replicates: int, seed: int, noise: float = 0.5) -> EmpiricalGame:
    rng = np.random.default_rng(seed)
    return EmpiricalGame(TRUTH + noise * rng.normal(size=(replicates, *TRUTH.shape)), NAMES)


def test_without_noise_it_is_the_game() -> None:
    (found,) = measured(3, 0, noise=0).solve(np.random.default_rng(0))
    (truth,) = solve(NormalFormGame(TRUTH))
    np.testing.assert_allclose(found.equilibrium.payoffs, truth.payoffs, atol=1e-9)
    np.testing.assert_allclose(found.low, found.high)
    assert found.regret_high < 1e-9


def test_a_pure_equilibrium_has_students_interval() -> None:
    """Both defect: what it pays is one cell, and nothing else enters."""
    rng = np.random.default_rng(3)
    game = EmpiricalGame(DILEMMA + 0.2 * rng.normal(size=(4, 2, 2, 2)), NAMES)
    (found,) = game.solve()
    for player in (0, 1):
        cell = game.samples[:, player, 1, 1]
        half = 3.182446 * cell.std(ddof=1) / 2  # t(0.975, 3)
        assert found.equilibrium.payoffs[player] == pytest.approx(cell.mean())
        assert found.high[player] - cell.mean() == pytest.approx(half, rel=1e-5)
        assert cell.mean() - found.low[player] == pytest.approx(half, rel=1e-5)


@pytest.mark.parametrize("concept", ["nash", "stackelberg"])
def test_payoffs_move_as_the_solved_game_does(concept: Concept) -> None:
    """The first-order change against games whose means were really moved."""
    game = measured(6, 1, noise=0.01)
    (found,) = game.solve(concept=concept)
    squares = np.zeros(2)
    for move in game.moves:
        ends = [
            solve(NormalFormGame(game.game.payoffs + sign * move), concept)[0] for sign in (1, -1)
        ]
        squares += ((ends[0].payoffs - ends[1].payoffs) / 2) ** 2
    half = 2.570582 * np.sqrt(squares)  # t(0.975, 5)
    np.testing.assert_allclose(found.high - found.equilibrium.payoffs, half, rtol=1e-3)


def test_one_replicate_has_no_interval() -> None:
    (found,) = measured(1, 0).solve()
    assert np.isnan([*found.low, *found.high, found.regret_high]).all()
    assert np.isnan(measured(1, 0).exploitability([np.array([0.0, 1.0])] * 2).low)
    assert not measured(1, 0).settled


def test_independent_estimates_agree_and_shrink() -> None:
    (few,), (many,) = (measured(count, 0).solve() for count in (12, 200))
    assert many.high[0] - many.low[0] < (few.high[0] - few.low[0]) / 2
    (one,), (other,) = (measured(30, seed).solve() for seed in (1, 2))
    assert one.covers(other)


def test_exploitability_is_the_gain_from_leaving() -> None:
    # The prisoners' dilemma: 3 for both, 5 for who defects alone, 0 for the other, 1 for both.
    noise = np.random.default_rng(0).normal(0, 0.1, (40, 1, 2, 1))
    game = EmpiricalGame(DILEMMA + noise, NAMES)
    together, apart = [np.array([1.0, 0.0])] * 2, [np.array([0.0, 1.0])] * 2
    rng = np.random.default_rng(1)
    found = game.exploitability(together, rng)
    assert found.low < found.value < found.high
    assert found.low <= 2 <= found.high
    assert found.high - found.low < 0.2
    assert game.exploitability(apart, rng).high == 0
    # Noise came with the first player's action: what the second gains is exact.
    second = game.exploitability(together, rng, player=1)
    assert (second.low, second.value, second.high) == pytest.approx((2, 2, 2))


def test_a_table_becomes_a_game() -> None:
    rows = [
        {"seed": seed, "x": x, "y": y, "a": 10 * i + j + seed, "b": -i - j}
        for seed in (5, 3)
        for i, x in enumerate("pq")
        for j, y in enumerate("rst")
    ]
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0)
    frame = frame.sort_values(["x", "y"])
    game = EmpiricalGame.from_frame(frame, ("x", "y"), ("a", "b"))
    assert game.actions == (("p", "q"), ("r", "s", "t"))
    assert game.replicates == 2
    np.testing.assert_allclose(game.game.payoffs[0], [[4, 5, 6], [14, 15, 16]])
    np.testing.assert_allclose(game.standard_errors[0], np.ones((2, 3)))
    with pytest.raises(UserError, match="5 profiles were played of 6"):
        EmpiricalGame.from_frame(frame.iloc[2:], ("x", "y"), ("a", "b"))
    with pytest.raises(UserError, match="twice for a seed"):
        EmpiricalGame.from_frame(pd.concat([frame, frame]), ("x", "y"), ("a", "b"))


def test_some_profiles_may_be_played_more_often() -> None:
    rows = [{"seed": s, "x": x, "y": "r", "a": s, "b": 0.0} for x in "pq" for s in (1, 3)]
    rows += [{"seed": s, "x": "q", "y": "r", "a": s, "b": 0.0} for s in (9, 0)]
    game = EmpiricalGame.from_frame(pd.DataFrame(rows), ("x", "y"), ("a", "b"))
    assert game.counts.tolist() == [[2], [4]]
    # What all have in common stands first, so that it is resampled together.
    assert game.samples[:2, 0, :, 0].tolist() == [[1, 1], [3, 3]]
    np.testing.assert_allclose(game.game.payoffs[0], np.array([[2], [13 / 4]]))
    own = float(np.std([1, 3, 9, 0], ddof=1)) / 2
    np.testing.assert_allclose(game.standard_errors[0], np.array([[1], [own]]))
    # What pays 13/4 gains 5/4 over what pays 2: seed 1 and 3 cancel out but for their weights.
    found = game.exploitability([np.array([1.0, 0.0]), np.ones(1)], player=0)
    assert found.value == pytest.approx(5 / 4)
    away = [-1 / 2**0.5, 1 / 2**0.5, 0, 0], [-9 / 4, -1 / 4, 23 / 4, -13 / 4]
    error = np.linalg.norm(np.array(away[1]) / 12**0.5 - np.array(away[0]))
    assert found.high - found.value == pytest.approx(12.7062 * error, rel=1e-5)  # one degree


def test_replicates_are_wanted_where_the_answer_hangs() -> None:
    """The second action is nearly as good against the equilibrium, the third never is."""
    rng = np.random.default_rng(0)
    means = np.array([[[5.0], [4.9], [-50]], [[0.0], [0], [0]]])
    samples = means + np.array([1.0, 1.0, 0.01])[None, None, :, None] * rng.normal(
        size=(10, 2, 3, 1)
    )
    game = EmpiricalGame(samples, (("a", "b", "c"), ("only",)))
    assert (2, 0) not in game.most_wanted(2)
    assert not game.settled
    clear = EmpiricalGame(samples - np.array([0, 40, 0])[None, None, :, None], game.actions)
    assert clear.settled


def test_what_is_no_empirical_game() -> None:
    with pytest.raises(UserError, match="at least one replicate"):
        EmpiricalGame(np.zeros((0, 2, 2, 2)), NAMES)
    with pytest.raises(UserError, match="must be finite"):
        EmpiricalGame(np.full((2, 2, 2, 2), np.nan), NAMES)
    holes = np.zeros((3, 2, 2, 2))
    holes[1, :, 0, 0] = np.nan
    with pytest.raises(UserError, match="NaN only ends"):
        EmpiricalGame(holes, NAMES)


def test_payoffs_that_are_known_agree_but_for_rounding() -> None:
    """Attackers who do nothing have a payoff of 0, of either sign, and an interval of no width."""
    made = measured(3, 0).solve()[0]
    one = replace(made, low=np.array([0.0, 12.6]), high=np.array([0.0, 13.6]))
    two = replace(made, low=np.array([-3e-17, 12.2]), high=np.array([-3e-17, 13.4]))
    assert one.covers(two)
    assert two.covers(one)
    assert not one.covers(replace(two, high=np.array([-3e-17, 12.5])))
    assert not one.covers(replace(two, low=np.array([1e-3, 12.2]), high=np.array([2e-3, 13.4])))
