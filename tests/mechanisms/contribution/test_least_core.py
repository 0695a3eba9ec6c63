"""The least core: its definition, the written-out programme, and degenerate games."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.least_core import LeastCore, least_core
from fedfm_sim.mechanisms.contribution.least_core_reference import least_core_reference


def subset_sums(x: Values) -> Values:
    members = (np.arange(1 << x.size)[:, None] >> np.arange(x.size)) & 1
    return members.astype(np.float64) @ x


@st.composite
def tables(draw: st.DrawFn, most: int = 5) -> Values:
    """Draw games of many kinds: whole-number values make degenerate programmes."""
    n = draw(st.integers(2, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "integer", "simple", "max", "additive"]))
    weights = rng.integers(0, 9, n).astype(float)
    members = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    if kind == "random":
        return rng.normal(size=1 << n) * 10.0 ** rng.integers(-6, 7)
    if kind == "integer":
        return rng.integers(-3, 4, 1 << n).astype(np.float64)
    if kind == "simple":
        return np.asarray(members @ weights > weights.sum() / 2, np.float64)
    if kind == "max":
        return np.asarray((members * weights).max(axis=1) * rng.choice([-1, 1]), np.float64)
    return np.asarray(members @ weights + rng.integers(0, 2), np.float64)


def spread(table: Values) -> float:
    """Return the largest value, which rounding errors are measured by."""
    return max(float(np.abs(table - table[0]).max()), 1e-300)


def check_definition(table: Values, solution: LeastCore, subsidy: bool, scale: float) -> None:
    excesses = ((table - table[0]) - subset_sums(solution.allocation))[1:-1] / scale
    total = (table[-1] - table[0]) / scale
    assert solution.allocation.sum() / scale == pytest.approx(total, abs=1e-9)
    assert excesses.max() <= solution.excess / scale + 1e-9
    if not subsidy:
        assert excesses.max() == pytest.approx(solution.excess / scale, abs=1e-9)


@given(tables(), st.booleans())
def test_no_excess_is_above_and_one_attains_it(table: Values, subsidy: bool) -> None:
    solution = least_core(CoalitionGame.from_table(table), subsidy=subsidy)
    check_definition(table, solution, subsidy, spread(table))


@settings(max_examples=60, deadline=None)
@given(tables(), st.booleans())
@example(np.array([0.0, 0, 0, 1, 0, 1, 1, 1]), False)
@example(np.array([0.0, 0, 0, 1, 0, 1, 1, 1]), True)
def test_equals_the_programme_with_every_constraint(table: Values, subsidy: bool) -> None:
    game = CoalitionGame.from_table(table)
    scale = spread(table)
    fast, reference = (solve(game, subsidy=subsidy) for solve in (least_core, least_core_reference))
    assert fast.excess / scale == pytest.approx(reference.excess / scale, abs=1e-9)
    np.testing.assert_allclose(fast.allocation / scale, reference.allocation / scale, atol=1e-4)


@given(tables(), st.integers(0, 2**32 - 1))
def test_an_additive_game_moves_the_allocations_and_not_the_excess(
    table: Values, seed: int
) -> None:
    players = table.size.bit_length() - 1
    shift = np.random.default_rng(seed).integers(-5, 6, players).astype(np.float64)
    shifted = table + subset_sums(shift)
    # Of both games: the shift may leave nothing of the values but rounding errors.
    scale = max(spread(table), spread(shifted))
    before = least_core(CoalitionGame.from_table(table))
    after = least_core(CoalitionGame.from_table(shifted))
    assert after.excess / scale == pytest.approx(before.excess / scale, abs=1e-9)
    moved = LeastCore(before.allocation + shift, after.excess, 0)
    check_definition(shifted, moved, False, scale)


@given(tables(), st.floats(0.01, 100), st.floats(-100, 100))
def test_units_and_the_value_of_nobody_change_nothing_else(
    table: Values, factor: float, constant: float
) -> None:
    table = table / max(np.abs(table).max(), 1.0)
    before = least_core(CoalitionGame.from_table(table))
    after = least_core(CoalitionGame.from_table(factor * (table + constant)))
    assert after.excess / factor == pytest.approx(before.excess, abs=1e-7)
    np.testing.assert_allclose(after.allocation / factor, before.allocation, atol=1e-5)


def test_the_subsidy_option_takes_the_most_equal_allocation_of_the_core() -> None:
    # v(01) = 60 of 100, nothing else: the core is x0 + x1 >= 60, x >= 0.
    game = CoalitionGame.from_dict(3, {(0, 1): 60, (0, 1, 2): 100})
    free, subsidised = least_core(game), least_core(game, subsidy=True)
    # The least excess is -20, of 2 alone and of 0 and 1 together; ...
    assert free.excess == pytest.approx(-20)
    assert free.allocation == pytest.approx([40, 40, 20])
    # ... but the equal split is already in the core.
    assert subsidised.excess == pytest.approx(0, abs=1e-12)
    assert subsidised.allocation == pytest.approx([100 / 3] * 3)


def test_of_many_least_core_allocations_the_most_equal_is_taken() -> None:
    # x0 + x1 = 12 whatever is done (the excess of {2} and of {0, 1} is 2), x2 = -2.
    game = CoalitionGame.from_dict(3, {(0, 1): 14, (0,): 7, (0, 1, 2): 10})
    solution = least_core(game)
    assert solution.excess == pytest.approx(2)
    assert solution.allocation == pytest.approx([6, 6, -2])


def test_interchangeable_players_are_paid_alike() -> None:
    table = 1 - np.exp(-subset_sums(np.array([0.3, 0.7, 0.3, 0.7, 0.3, 0.1])))
    allocation = least_core(CoalitionGame.from_table(table)).allocation
    assert allocation[0] == pytest.approx(allocation[2], abs=1e-9)
    assert allocation[0] == pytest.approx(allocation[4], abs=1e-9)
    assert allocation[1] == pytest.approx(allocation[3], abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_additive_game_of_small_weights_pays_the_weights(n: int) -> None:
    # The core is a single point that every coalition touches. With weights
    # 0, 8, 1, 8 a solver that decides rank on the bounds too misses it by 20.
    for weights in product((0, 1, 8), repeat=n):
        solution = least_core(CoalitionGame.from_table(subset_sums(np.array(weights, float))))
        assert solution.allocation == pytest.approx(np.array(weights), abs=1e-9)
        assert solution.excess == pytest.approx(0, abs=1e-9)


def test_two_players_split_the_surplus() -> None:
    solution = least_core(CoalitionGame.from_table([1, 2, 5, 11]))
    assert solution.allocation == pytest.approx([3.5, 6.5])
    assert solution.excess == pytest.approx(-2.5)


@pytest.mark.parametrize("table", [[0.0, 7.0], [3.0, 3.0], np.full(8, 4.0)])
def test_games_with_nothing_to_dispute(table: list[float]) -> None:
    solution = least_core(CoalitionGame.from_table(table))
    assert solution.excess == 0
    assert solution.allocation.sum() == pytest.approx(table[-1] - table[0])
    assert np.ptp(solution.allocation) == 0


def test_twelve_players_with_a_known_answer() -> None:
    # v = |S|^2: the equal split gives coalitions of s players s^2 - 12 s, whose
    # largest value over 1..11 is -11.
    sizes = np.bitwise_count(np.arange(1 << 12)).astype(float)
    solution = least_core(CoalitionGame.from_table(sizes**2))
    assert solution.excess == pytest.approx(-11)
    assert solution.allocation == pytest.approx(np.full(12, 12.0))
    assert solution.constraints < 200
