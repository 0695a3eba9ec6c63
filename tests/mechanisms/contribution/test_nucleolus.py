"""The nucleolus: Kohlberg's criterion, its axioms, and games without an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution import evaluate
from fedfm_sim.mechanisms.contribution.core import excesses, in_core, members, subset_sums
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.contribution.nucleolus import (
    nucleolus,
    prenucleolus,
)

MAJORITY = np.array([0.0, 0, 0, 1, 0, 1, 1, 1])


@st.composite
def tables(draw: st.DrawFn, least: int = 2, most: int = 5) -> Values:
    """Draw games of many kinds; whole numbers make ties and degenerate programmes."""
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "integer", "simple", "max", "additive", "rising"]))
    weights = rng.integers(0, 9, n).astype(float)
    inside = members(np.arange(1 << n), n)
    if kind == "random":
        return rng.normal(size=1 << n) * 10.0 ** rng.integers(-6, 7)
    if kind == "integer":
        return rng.integers(-3, 4, 1 << n).astype(np.float64)
    if kind == "simple":
        return np.asarray(inside @ weights > weights.sum() / 2, np.float64)
    if kind == "max":
        return np.asarray((inside * weights).max(axis=1) * rng.choice([-1, 1]), np.float64)
    if kind == "rising":
        return np.asarray((inside @ weights) * rng.integers(1, 4, 1 << n), np.float64)
    return np.asarray(inside @ weights + rng.integers(0, 2), np.float64)


def spread(table: Values) -> float:
    """Return the largest value, which rounding errors are measured by."""
    return max(float(np.abs(table - table[0]).max()), 1e-300)


def has_imputation(table: Values) -> bool:
    n = table.size.bit_length() - 1
    alone = table[1 << np.arange(n)] - table[0]
    return bool(alone.sum() <= table[-1] - table[0])


def is_balanced(coalitions: Values, floors: Values) -> bool:
    """Whether positive weights on the coalitions, with some on the floors, add up to everyone."""
    rows = np.vstack([coalitions, floors])
    count, n = rows.shape
    # The largest t such that every coalition has weight t at least.
    cost = np.append(np.zeros(count), -1.0)
    above = np.hstack([-np.eye(count), np.ones((count, 1))])[: len(coalitions)]
    everyone = np.hstack([rows.T, np.zeros((n, 1))])
    result = linprog(
        cost, A_ub=above, b_ub=np.zeros(len(above)), A_eq=everyone, b_eq=np.ones(n), bounds=(0, 1)
    )
    return result.x is not None and bool(result.x[-1] > 1e-9)


def meets_kohlberg(table: Values, allocation: Values, rational: bool) -> bool:
    """Kohlberg 1971 (and Sobolev 1975 for the prenucleolus): every top of the excesses balances."""
    n, scale = allocation.size, spread(table)
    gains = (excesses(CoalitionGame.from_table(table), allocation) / scale)[1:-1]
    inside = members(np.arange(1, (1 << n) - 1), n)
    alone = table[1 << np.arange(n)] - table[0]
    floors = np.eye(n)[np.abs(allocation - alone) <= 1e-8 * scale] if rational else np.eye(n)[:0]
    return all(
        is_balanced(inside[gains >= level - 1e-8], floors) for level in np.unique(gains.round(9))
    )


@settings(max_examples=150)
@given(tables())
@example(MAJORITY)
def test_the_prenucleolus_meets_the_criterion_of_sobolev(table: Values) -> None:
    allocation = prenucleolus(CoalitionGame.from_table(table)).allocation
    assert allocation.sum() == pytest.approx(table[-1] - table[0], abs=1e-9 * spread(table))
    assert meets_kohlberg(table, allocation, rational=False)


@settings(max_examples=150)
@given(tables())
@example(MAJORITY)
def test_the_nucleolus_meets_the_criterion_of_kohlberg(table: Values) -> None:
    assume(has_imputation(table))
    game = CoalitionGame.from_table(table)
    allocation = nucleolus(game).allocation
    alone = table[1 << np.arange(game.players)] - table[0]
    slack = 1e-9 * spread(table)
    assert allocation.sum() == pytest.approx(table[-1] - table[0], abs=slack)
    assert (allocation >= alone - slack).all()
    assert meets_kohlberg(table, allocation, rational=True)


def test_the_criterion_refuses_other_allocations() -> None:
    assert not meets_kohlberg(MAJORITY, np.array([0.4, 0.3, 0.3]), rational=False)
    assert not meets_kohlberg(MAJORITY, np.array([0.4, 0.3, 0.3]), rational=True)


@given(tables())
def test_levels_are_excesses_that_fall_from_the_largest(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    solution, scale = prenucleolus(game), spread(table)
    gains = excesses(game, solution.allocation)[1:-1]
    assert solution.levels[0] / scale == pytest.approx(gains.max() / scale, abs=1e-9)
    assert (np.diff(solution.levels) <= 1e-8 * scale).all()
    assert len(solution.levels) < game.players
    for level in solution.levels:
        assert np.abs(gains - level).min() <= 1e-8 * scale


@given(tables())
def test_the_prenucleolus_is_in_the_least_core(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    scale = spread(table)
    assert prenucleolus(game).levels[0] / scale == pytest.approx(
        least_core(game).excess / scale, abs=1e-8
    )


@given(tables())
def test_it_is_in_the_core_where_there_is_one(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    assume(least_core(game).excess <= 0)
    assert in_core(game, nucleolus(game).allocation)
    assert in_core(game, prenucleolus(game).allocation)


@given(tables())
def test_both_coincide_where_the_prenucleolus_is_individually_rational(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    allocation = prenucleolus(game).allocation
    alone = table[1 << np.arange(game.players)] - table[0]
    assume((allocation >= alone).all())
    np.testing.assert_allclose(
        nucleolus(game).allocation, allocation, atol=1e-8 * spread(table), rtol=0
    )


def test_they_differ_where_a_player_would_get_less_than_alone() -> None:
    # CoopGame's game 67: v = 2, 6, 5, 15, 1, 18, 14 by size, then in order of the players.
    game = CoalitionGame.from_table([0, 2, 6, 15, 5, 1, 18, 14])
    assert prenucleolus(game).allocation == pytest.approx([-1, 13, 2], abs=1e-9)
    assert nucleolus(game).allocation == pytest.approx([2, 7, 5], abs=1e-9)


@given(tables(), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
def test_covariance(table: Values, factor: float, seed: int) -> None:
    table = table / max(np.abs(table).max(), 1.0)
    n = table.size.bit_length() - 1
    shift = np.random.default_rng(seed).integers(-5, 6, n).astype(np.float64)
    moved = CoalitionGame.from_table(factor * table + subset_sums(shift) + 3.0)
    expected = factor * prenucleolus(CoalitionGame.from_table(table)).allocation + shift
    np.testing.assert_allclose(prenucleolus(moved).allocation, expected, atol=1e-7)


@given(tables(), st.permutations(range(5)))
def test_anonymity(table: Values, order: list[int]) -> None:
    n = table.size.bit_length() - 1
    order = [player for player in order if player < n]
    inside = members(np.arange(table.size), n).astype(np.int64)
    renamed = CoalitionGame.from_table(table[inside @ (1 << np.array(order))])
    allocation = prenucleolus(CoalitionGame.from_table(table)).allocation
    np.testing.assert_allclose(
        prenucleolus(renamed).allocation, allocation[order], atol=1e-8 * spread(table), rtol=0
    )


@given(tables(most=4), st.integers(-3, 3))
def test_a_dummy_gets_what_it_is_worth_alone(table: Values, alone: int) -> None:
    game = CoalitionGame.from_table(np.concatenate([table, table + alone]))
    slack = 1e-8 * spread(game.table())
    assert prenucleolus(game).allocation[-1] == pytest.approx(alone, abs=slack)
    if has_imputation(table):
        assert nucleolus(game).allocation[-1] == pytest.approx(alone, abs=slack)


def test_subadditive_costs_leave_no_imputation() -> None:
    # A shared taxi: what a coalition is worth is the fare of its farthest member.
    table = [0, 6, 12, 12, 42, 42, 42, 42]
    with pytest.raises(UserError, match=r"no imputation: its players alone are worth 60.*42"):
        nucleolus(CoalitionGame.from_table(table))
    assert prenucleolus(CoalitionGame.from_table(table)).allocation.sum() == pytest.approx(42)


@pytest.mark.parametrize("solve", [nucleolus, prenucleolus])
def test_one_player_gets_everything(solve: object) -> None:
    assert callable(solve)
    solution = solve(CoalitionGame.from_table([2.0, 5.0]))
    assert solution.allocation.tolist() == [3.0]
    assert solution.levels.size == 0


@pytest.mark.parametrize("n", [2, 3, 6])
def test_games_with_nothing_to_dispute(n: int) -> None:
    weights = np.arange(n) / 7
    for table in (np.full(1 << n, 4.0), 1e6 + subset_sums(weights)):
        solution = nucleolus(CoalitionGame.from_table(table))
        expected = (table - table[0])[1 << np.arange(n)]
        assert solution.allocation == pytest.approx(expected, abs=1e-9)
        assert solution.levels == pytest.approx([0.0])


def test_the_only_imputation_is_the_nucleolus() -> None:
    game = CoalitionGame.from_table([0, 1, 2, 9, 3, 9, 9, 6])
    assert nucleolus(game).allocation == pytest.approx([1, 2, 3], abs=1e-9)


def test_two_players_split_the_surplus() -> None:
    assert nucleolus(CoalitionGame.from_table([1, 2, 5, 11])).allocation == pytest.approx(
        [3.5, 6.5]
    )


def test_fourteen_players_with_a_known_answer() -> None:
    # A two-sided market of one good: the short side takes all, whatever the sizes.
    n, sellers = 14, 5
    inside = members(np.arange(1 << n), n)
    pairs = np.minimum(inside[:, :sellers].sum(axis=1), inside[:, sellers:].sum(axis=1))
    solution = nucleolus(CoalitionGame.from_table(pairs))
    assert solution.allocation == pytest.approx([1.0] * sellers + [0.0] * (n - sellers), abs=1e-9)
    assert solution.constraints < 2000


def test_large_common_worth_does_not_drown_the_surplus() -> None:
    table = MAJORITY + subset_sums(np.array([1e6, 2e6, 3e6]))
    allocation = nucleolus(CoalitionGame.from_table(table)).allocation
    assert allocation - [1e6, 2e6, 3e6] == pytest.approx([1 / 3] * 3, abs=1e-9)


def test_too_many_players_are_refused() -> None:
    with pytest.raises(UserError, match="too large"):
        nucleolus(CoalitionGame(30, lambda masks: np.bitwise_count(masks).astype(float)))


def test_as_contribution_schemes() -> None:
    game = CoalitionGame.from_table(MAJORITY)
    for name, solve in (("nucleolus", nucleolus), ("prenucleolus", prenucleolus)):
        found, solution = evaluate(game, name), solve(game)
        assert found.values.tolist() == solution.allocation.tolist()
        assert found.excess == solution.levels[0] == pytest.approx(1 / 3)
        assert found.evaluations == 8


def test_a_worth_that_falls_short_by_rounding_is_an_additive_game() -> None:
    table = [0, 1, 1, 2 + 1e-9, 1, 2, 2, 3 - 1e-9]
    for unit in (1e-9, 1.0, 1e15):
        game = CoalitionGame.from_table(unit * np.array(table))
        assert nucleolus(game).allocation / unit == pytest.approx([1, 1, 1], abs=1e-9)
        assert nucleolus(game).levels[0] / unit == pytest.approx(1e-9, rel=1)
        assert prenucleolus(game).allocation / unit == pytest.approx([1, 1, 1], abs=1e-8)


@given(st.integers(0, 2**32 - 1), st.integers(-9, 15), st.integers(3, 12))
@settings(max_examples=20, deadline=None)
def test_units_and_a_coalition_that_fails_utterly_change_nothing(
    seed: int, power: int, failure: int
) -> None:
    rng = np.random.default_rng(seed)
    table = np.r_[0.0, rng.random(14) / 2, 3.0]
    alone = rng.random(4)
    plain = nucleolus(CoalitionGame.from_table(table + subset_sums(alone))).allocation
    unit = 10.0**power
    changed = nucleolus(CoalitionGame.from_table(unit * (table + subset_sums(alone)))).allocation
    assert changed / unit == pytest.approx(plain, abs=1e-8)
    # How far a pair is below the others, or above all that there is to share, does not matter.
    for sign in (-1.0, 1.0):
        far, further = table.copy(), table.copy()
        far[3], further[3] = 100.0 * sign, 10.0**failure * sign
        shares = [nucleolus(CoalitionGame.from_table(own)).allocation for own in (far, further)]
        assert shares[0] == pytest.approx(shares[1], abs=1e-8)
