"""The sampled least core: its bound, held to over seeds, and its limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.core import excesses, members
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.contribution.monte_carlo_least_core import (
    monte_carlo_least_core,
    sample_size,
    violated_share,
    violation_bound,
)


def saturating(n: int, seed: int) -> CoalitionGame:
    """Return a game of data of unequal size with diminishing returns and some noise."""
    rng = np.random.default_rng(seed)
    inside = members(np.arange(1 << n), n)
    table = 1 - np.exp(-2 * inside @ rng.dirichlet(np.ones(n)))
    return CoalitionGame.from_table(table + 0.02 * rng.normal(size=table.size))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_with_every_coalition_it_is_the_least_core(n: int, seed: int) -> None:
    game = saturating(n, seed)
    # Of 30 coalitions at most, 1000 draws miss one with probability 1e-13.
    sampled = monte_carlo_least_core(game, 1000, np.random.default_rng(seed))
    exact = least_core(game)
    assert sampled.excess == pytest.approx(exact.excess, abs=1e-9)
    np.testing.assert_allclose(sampled.allocation, exact.allocation, atol=1e-7)
    assert sampled.evaluations == game.evaluations == 1 << n


def test_the_bound_holds_as_often_as_it_says() -> None:
    game, drawn, failure = saturating(8, 0), 80, 0.3
    shares = []
    for seed in range(200):
        sampled = monte_carlo_least_core(game, drawn, np.random.default_rng(seed), failure=failure)
        gains = excesses(game, sampled.allocation)[1:-1]
        shares.append((gains > sampled.excess + 1e-9).mean())
        assert sampled.excess <= least_core(game).excess + 1e-9
        assert sampled.allocation.sum() == pytest.approx(game.table()[-1] - game.table()[0])
    failures = np.mean(np.array(shares) > violation_bound(8, drawn, failure))
    # Four standard errors of 200 draws above 0.3.
    assert failures <= failure + 4 * np.sqrt(failure * (1 - failure) / 200)
    # The bound is no empty one: shares half as large are exceeded.
    assert np.max(shares) > violation_bound(8, drawn, failure) / 2


def test_fewer_coalitions_say_less() -> None:
    game = saturating(9, 1)
    few = monte_carlo_least_core(game, 20, np.random.default_rng(0))
    many = monte_carlo_least_core(game, 400, np.random.default_rng(0))
    assert few.excess < many.excess <= least_core(game).excess + 1e-9
    assert few.violation > many.violation


@given(st.integers(1, 30), st.floats(0.01, 0.5), st.floats(0.001, 0.5))
def test_sample_size_is_the_smallest_that_keeps_the_bound(
    n: int, violation: float, failure: float
) -> None:
    size = sample_size(n, violation, failure)
    assert binom.cdf(n - 1, size, violation) <= failure
    assert violation_bound(n, size, failure) <= violation * (1 + 1e-9)
    assert size == n or violation_bound(n, size - 1, failure) > violation * (1 - 1e-9)


def test_bounds_of_one_variable_by_hand() -> None:
    # One player's excess: the bound is that none of m draws falls in a share d.
    assert violation_bound(1, 10, 0.05) == pytest.approx(1 - 0.05 ** (1 / 10))
    assert violation_bound(5, 4) == 1.0


def test_measured_violations_are_those_of_all_coalitions() -> None:
    game = saturating(8, 2)
    sampled = monte_carlo_least_core(game, 60, np.random.default_rng(1))
    exact = float((excesses(game, sampled.allocation)[1:-1] > sampled.excess + 1e-9).mean())
    measured = violated_share(
        game, sampled.allocation, sampled.excess, 20000, np.random.default_rng(2)
    )
    assert exact > 0
    assert measured == pytest.approx(exact, abs=4 * np.sqrt(exact / 20000))


def test_a_game_too_large_for_a_table() -> None:
    game = CoalitionGame(50, lambda masks: np.bitwise_count(masks).astype(float) ** 2)
    sampled = monte_carlo_least_core(game, 300, np.random.default_rng(0))
    assert sampled.allocation.sum() == pytest.approx(2500)
    assert sampled.evaluations == game.evaluations == 300 + 50 + 2


@pytest.mark.parametrize("table", [[0.0, 0, 0, 0], [2.0, 2, 2, 2]])
def test_nothing_to_dispute(table: list[float]) -> None:
    sampled = monte_carlo_least_core(CoalitionGame.from_table(table), 10, np.random.default_rng(0))
    assert sampled.allocation == pytest.approx([0, 0])
    assert sampled.excess == pytest.approx(0)


def test_one_player_gets_everything() -> None:
    game = CoalitionGame.from_table([2.0, 5.0])
    sampled = monte_carlo_least_core(game, 3, np.random.default_rng(0))
    assert sampled.allocation.tolist() == [3.0]
    assert sampled.excess == 0


def test_the_same_seed_gives_the_same() -> None:
    once, again = (
        monte_carlo_least_core(saturating(7, 3), 40, np.random.default_rng(9)) for _ in range(2)
    )
    assert once.allocation.tolist() == again.allocation.tolist()
    assert once.excess == again.excess


def test_impossible_samples_are_refused() -> None:
    game, rng = saturating(3, 0), np.random.default_rng(0)
    with pytest.raises(UserError, match="at least one coalition"):
        monte_carlo_least_core(game, 0, rng)
    with pytest.raises(UserError, match="failure"):
        monte_carlo_least_core(game, 10, rng, failure=0.0)
    with pytest.raises(UserError, match="violations must lie"):
        sample_size(3, 1.0)
    with pytest.raises(UserError, match="at least one player"):
        sample_size(0, 0.1)
    with pytest.raises(UserError, match="two players"):
        violated_share(CoalitionGame.from_table([0.0, 1.0]), np.ones(1), 0.0, 5, rng)
