"""Large populations: closed forms of congestion, free riding and security."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.mean_field import PopulationGame, mean_field_equilibrium


@given(st.lists(st.floats(0.2, 5), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_parallel_roads_all_cost_the_same(slopes: list[float]) -> None:
    """Wardrop: delays ``a_i x_i`` are equal, so x_i is in proportion to 1 / a_i."""
    steep = np.array(slopes)
    found = mean_field_equilibrium(lambda x: -steep * x, (len(slopes),))
    assert found.regret <= 1e-8 * steep.max()
    np.testing.assert_allclose(found.strategies[0], (1 / steep) / (1 / steep).sum(), atol=1e-6)
    assert found.payoffs[0] == pytest.approx(-1 / (1 / steep).sum())


def test_pigous_road() -> None:
    """A constant road of delay 1 beside one of delay x: all take the second."""
    found = mean_field_equilibrium(lambda x: np.array([-1.0, -x[1]]), (2,))
    np.testing.assert_allclose(found.strategies[0], [0, 1], atol=1e-6)
    found = mean_field_equilibrium(lambda x: np.array([-0.3, -x[1]]), (2,))
    np.testing.assert_allclose(found.strategies[0], [0.7, 0.3], atol=1e-8)


def test_free_riding_has_as_many_workers_as_pay() -> None:
    """A worker gets ``b (1 - x)`` more than a rider and pays c: x = 1 - c / b."""
    found = mean_field_equilibrium(lambda x: np.array([4 * (1 - x[0]) - 1, 0]), (2,))
    np.testing.assert_allclose(found.strategies[0], [0.75, 0.25], atol=1e-9)
    # From nobody at all who rides the replicator stays, and the regret says so.
    stuck = mean_field_equilibrium(
        lambda x: np.array([4 * (1 - x[0]) - 1, 0]), (2,), np.array([1.0, 0])
    )
    assert stuck.regret == pytest.approx(1)


def test_the_start_chooses_among_equilibria() -> None:
    def meet(x: np.ndarray) -> np.ndarray:
        return np.array([2 * x[0], x[1]])

    high = mean_field_equilibrium(meet, (2,), np.array([0.4, 0.6]))
    low = mean_field_equilibrium(meet, (2,), np.array([0.3, 0.7]))
    assert high.strategies[0].tolist() == [1, 0]
    assert low.strategies[0].tolist() == [0, 1]
    found = PopulationGame(meet, (2,)).equilibria(np.random.default_rng(0), starts=2)
    shares = sorted(float(own.strategies[0][0]) for own in found)
    np.testing.assert_allclose(shares, [0, 1 / 3, 1], atol=1e-9)


def test_two_roles_that_go_round_each_other() -> None:
    """Matching pennies of two populations: the replicator never rests, polishing does."""
    a = np.array([[2.0, -1], [-1, 1]])
    found = mean_field_equilibrium(
        lambda x: np.r_[a @ x[2:], -a.T @ x[:2]], (2, 2), np.array([0.6, 0.4, 0.3, 0.7])
    )
    np.testing.assert_allclose(found.strategies, np.full((2, 2), [0.4, 0.6]), atol=1e-8)
    np.testing.assert_allclose(found.payoffs, [0.2, -0.2], atol=1e-8)


def test_a_cycle_that_drives_play_to_the_border() -> None:
    """Losing costs more than winning pays: the centre repels, and still is the equilibrium."""
    bad = np.array([[0, -2, 1], [1, 0, -2], [-2, 1, 0.0]])
    start = np.array([0.9, 0.05, 0.05])
    game = PopulationGame(lambda x: bad @ x, (3,))
    assert game.followed(start).min() < 0.01
    found = mean_field_equilibrium(game.payoff, game.actions, start)
    np.testing.assert_allclose(found.strategies[0], 1 / 3, atol=1e-8)


def test_jumps_leave_regret_in_sight() -> None:
    found = mean_field_equilibrium(lambda x: np.array([1.0 if x[0] < 0.5 else -1.0, 0]), (2,))
    assert found.regret > 0.1


def test_bad_starts_and_payoffs() -> None:
    for start in ([1.0], [0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]):
        with pytest.raises(UserError, match="shares"):
            mean_field_equilibrium(lambda x: -x, (2,), np.array(start))
    with pytest.raises(UserError, match="finite"):
        mean_field_equilibrium(lambda x: x * np.inf, (1,))
    with pytest.raises(UserError, match="2 finite numbers"):
        mean_field_equilibrium(lambda x: x[:1], (2,))
    for actions in ((), (2, 0)):
        with pytest.raises(UserError, match="at least one action"):
            mean_field_equilibrium(lambda x: x, actions)


def level(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the shares at which ``a - b s`` is the same on all that are used, by bisection."""
    low, high = a.min() - b.max(), a.max()
    for _ in range(200):
        middle = (low + high) / 2
        over = np.maximum(0, (a - middle) / b).sum() > 1
        low, high = (middle, high) if over else (low, middle)
    return np.asarray(np.maximum(0, (a - low) / b))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1.0, 1e15]))
@settings(max_examples=25, deadline=None)
def test_actions_that_are_not_worth_it_end_unused(seed: int, unit: float) -> None:
    r = np.random.default_rng([16, seed])
    n = int(r.integers(2, 6))
    a, b = r.uniform(0, 1, n), r.uniform(0.5, 3, n)
    found = mean_field_equilibrium(lambda s: unit * (a - b * s) + unit, (n,))
    np.testing.assert_allclose(found.strategies[0], level(a, b), atol=1e-7)


def test_the_last_of_five_roads_is_empty() -> None:
    r = np.random.default_rng([16, 9])
    n = int(r.integers(2, 6))
    a, b = r.uniform(0, 1, n), r.uniform(0.5, 3, n)
    found = mean_field_equilibrium(lambda s: a - b * s, (n,))
    assert found.strategies[0][-1] == 0
    assert found.regret < 1e-12


def test_roles_have_units_of_their_own_and_one_outlier_changes_nothing() -> None:
    a = np.array([[2.0, -1], [-1, 1]])

    def payoff(x: np.ndarray) -> np.ndarray:
        cliff = -1e8 if x[0] == 1 else 0.0
        paid = np.r_[1e-9 * (a @ x[2:]), -1e9 * (a.T @ x[:2])]
        return np.asarray(paid + np.r_[cliff, 0, 0, 0])

    found = mean_field_equilibrium(payoff, (2, 2), np.array([0.6, 0.4, 0.3, 0.7]))
    np.testing.assert_allclose(found.strategies, np.full((2, 2), [0.4, 0.6]), atol=1e-7)
