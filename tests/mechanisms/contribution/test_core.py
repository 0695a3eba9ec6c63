"""Excesses, the core, and the properties of games, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.core import (
    excesses,
    in_core,
    is_convex,
    is_superadditive,
    members,
)
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.contribution.shapley import shapley_values


@st.composite
def tables(draw: st.DrawFn) -> Values:
    n = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["integer", "rising", "power"]))
    if kind == "integer":
        return rng.integers(0, 3, 1 << n).astype(np.float64)
    inside = members(np.arange(1 << n), n)
    weights = rng.integers(1, 4, n).astype(float)
    if kind == "rising":
        return np.asarray((inside @ weights) * inside.sum(axis=1) - rng.integers(0, 2, 1 << n))
    return np.asarray((inside @ weights) ** rng.choice([0.5, 1.0, 2.0]))


@given(tables(), st.integers(0, 2**32 - 1))
def test_excess_is_what_a_coalition_is_worth_beyond_what_it_gets(table: Values, seed: int) -> None:
    game = CoalitionGame.from_table(table)
    allocation = np.random.default_rng(seed).normal(size=game.players)
    for mask, excess in enumerate(excesses(game, allocation)):
        got = sum(allocation[i] for i in range(game.players) if mask >> i & 1)
        assert excess == pytest.approx(table[mask] - table[0] - got, abs=1e-9)


@given(tables())
def test_superadditive_and_convex_are_what_the_definitions_say(table: Values) -> None:
    game = CoalitionGame.from_table(table)
    worth = table - table[0]
    pairs = [(s, t) for s in range(worth.size) for t in range(worth.size)]
    superadditive = all(worth[s] + worth[t] <= worth[s | t] + 1e-9 for s, t in pairs if not s & t)
    convex = all(worth[s] + worth[t] <= worth[s | t] + worth[s & t] + 1e-9 for s, t in pairs)
    assert is_superadditive(game) == superadditive
    assert is_convex(game) == convex
    if convex:
        assert in_core(game, shapley_values(game))


def test_an_allocation_in_the_core_shares_out_all_there_is() -> None:
    game = CoalitionGame.from_table([0, 0, 0, 1])
    assert in_core(game, [0.3, 0.7])
    assert not in_core(game, [0.3, 0.6])
    assert not in_core(game, [0.3, 0.8])
    assert not in_core(game, [-0.1, 1.1])


def test_the_majority_game_has_no_core_and_is_superadditive_but_not_convex() -> None:
    game = CoalitionGame.from_table([0, 0, 0, 1, 0, 1, 1, 1])
    assert not in_core(game, [1 / 3] * 3)
    assert is_superadditive(game)
    assert not is_convex(game)


@pytest.mark.parametrize("allocation", [[1.0], [1.0, np.nan], [[0.5, 0.5]]])
def test_impossible_allocations_are_refused(allocation: list[float]) -> None:
    with pytest.raises(UserError, match="one finite number"):
        in_core(CoalitionGame.from_table([0, 0, 0, 1]), allocation)


def test_games_too_large_are_refused() -> None:
    large = CoalitionGame(17, lambda masks: np.bitwise_count(masks).astype(float))
    with pytest.raises(UserError, match="16 players"):
        is_superadditive(large)
    huge = CoalitionGame(30, lambda masks: np.bitwise_count(masks).astype(float))
    with pytest.raises(UserError, match="too large"):
        is_convex(huge)


@pytest.mark.parametrize("unit", [1e-9, 1e15])
def test_one_outlying_value_excuses_no_other(unit: float) -> None:
    """A core allocation stays one in any unit, and one that is not does not become one."""
    table = np.array([0.0, 0, 0, -1e12, 0, 0.5, 0.5, 1])
    game = CoalitionGame.from_table(unit * table)
    assert in_core(game, unit * np.array([0.25, 0.25, 0.5]))
    assert not in_core(game, unit * np.array([0.75, 0.24, 0.01]))
    assert not is_superadditive(game)
    assert not is_convex(game)
    fair = least_core(game)
    assert fair.excess / unit == pytest.approx(-0.25, abs=1e-9)
    assert in_core(game, fair.allocation)
    assert fair.allocation == pytest.approx(
        least_core(CoalitionGame.from_table(unit * np.maximum(table, -50))).allocation,
        abs=1e-8 * unit,
    )
