"""The Shapley value: its axioms, the definition by brute force, and limits."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution import evaluate
from fedfm_sim.mechanisms.contribution.leave_one_out import leave_one_out_values
from fedfm_sim.mechanisms.contribution.shapley import shapley_values


@st.composite
def tables(draw: st.DrawFn, most: int = 6) -> Values:
    n = draw(st.integers(1, most))
    table: Array = draw(
        arrays.arrays(np.float64, 1 << n, elements=st.floats(-1e3, 1e3, allow_subnormal=False))
    )
    return table


def close(a: Values | float, b: Values | float) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-9)


def players(table: Values) -> int:
    return table.size.bit_length() - 1


@given(tables())
def test_efficiency(table: Values) -> None:
    close(shapley_values(CoalitionGame.from_table(table)).sum(), table[-1] - table[0])


@given(tables(most=5), st.data())
def test_symmetry_under_renaming(table: Values, data: st.DataObject) -> None:
    n = players(table)
    order = data.draw(st.permutations(range(n)))
    masks = np.arange(table.size)
    renamed = sum(((masks >> i) & 1) << order[i] for i in range(n))
    moved = np.empty_like(table)
    moved[renamed] = table
    values = shapley_values(CoalitionGame.from_table(table))
    close(shapley_values(CoalitionGame.from_table(moved))[list(order)], values)


@given(tables(most=5), st.data())
def test_null_players_get_exactly_nothing(table: Values, data: st.DataObject) -> None:
    n = players(table)
    null = data.draw(st.integers(0, n))
    masks = np.arange(2 * table.size)
    without = (masks >> (null + 1) << null) | (masks & ((1 << null) - 1))
    values = shapley_values(CoalitionGame.from_table(table[without]))
    assert values[null] == 0
    close(np.delete(values, null), shapley_values(CoalitionGame.from_table(table)))


@given(tables(most=5), st.integers(0, 2**32 - 1), st.floats(-5, 5))
def test_additivity(table: Values, seed: int, factor: float) -> None:
    other = np.random.default_rng(seed).normal(size=table.size)
    both = CoalitionGame.from_table(table + factor * other)
    parts = [shapley_values(CoalitionGame.from_table(part)) for part in (table, other)]
    close(shapley_values(both), parts[0] + factor * parts[1])


@given(tables(most=5))
def test_equals_the_mean_over_all_orders(table: Values) -> None:
    n = players(table)
    total = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        mask = 0
        for player in order:
            total[player] += table[mask | 1 << player] - table[mask]
            mask |= 1 << player
    close(shapley_values(CoalitionGame.from_table(table)), total / len(orders))


def test_a_voting_game_of_sixteen_states() -> None:
    # A different route to the same value: counts of coalitions by weight and
    # size (Mann and Shapley 1962), exact in integers.
    weights = [45, 41, 27, 26, 26, 25, 21, 17, 17, 14, 13, 13, 12, 12, 12, 11]
    quota = sum(weights) // 2 + 1
    table = np.zeros(1 << 16)
    for i, weight in enumerate(weights):
        table[1 << i : 2 << i] = table[: 1 << i] + weight
    values = shapley_values(CoalitionGame.from_table((table >= quota).astype(float)))
    np.testing.assert_allclose(values, [mann_shapley(i, weights, quota) for i in range(16)])


def mann_shapley(player: int, weights: list[int], quota: int) -> float:
    n = len(weights)
    counts = {(0, 0): 1}
    for weight in weights[:player] + weights[player + 1 :]:
        longer = dict(counts)
        for (size, total), count in counts.items():
            longer[size + 1, total + weight] = longer.get((size + 1, total + weight), 0) + count
        counts = longer
    swings = sum(
        count * factorial(size) * factorial(n - size - 1)
        for (size, total), count in counts.items()
        if quota - weights[player] <= total < quota
    )
    return swings / factorial(n)


def test_large_common_value_does_not_drown_the_differences() -> None:
    worth = np.array([0.25, 0.5, 1.0, 2.0])
    table = 1e9 + ((np.arange(16)[:, None] >> np.arange(4)) & 1) @ worth
    assert shapley_values(CoalitionGame.from_table(table)).tolist() == worth.tolist()


@pytest.mark.parametrize("method", ["shapley", "leave-one-out", "least-core"])
def test_one_player_gets_everything(method: str) -> None:
    result = evaluate(CoalitionGame.from_table([2.0, 5.0]), method)
    assert result.values.tolist() == [3.0]
    assert result.method == method


@given(tables())
def test_leave_one_out_is_the_last_marginal(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    everyone = game.grand
    expected = [table[everyone] - table[everyone & ~(1 << i)] for i in range(game.players)]
    assert leave_one_out_values(game).tolist() == expected
    assert game.evaluations == evaluate(game, "leave-one-out").evaluations == game.players + 1


def test_leave_one_out_takes_a_game_too_large_for_a_table() -> None:
    game = CoalitionGame(60, lambda masks: np.bitwise_count(masks).astype(float) ** 2)
    assert leave_one_out_values(game).tolist() == [60**2 - 59**2] * 60
    for method in ("shapley", "least-core"):
        with pytest.raises(UserError, match="too large"):
            evaluate(game, method)


def test_results_say_what_they_took() -> None:
    game = CoalitionGame.from_table([0, 0, 0, 1, 0, 1, 1, 1])
    assert evaluate(game).method == "shapley"
    assert evaluate(game).evaluations == 8
    assert evaluate(game).excess is None
    assert evaluate(game, "least-core").evaluations == 8


def test_unknown_schemes_are_refused() -> None:
    game = CoalitionGame.from_table([0, 1])
    with pytest.raises(UserError, match="did you mean 'shapley'"):
        evaluate(game, "shapely")
