"""Estimates: ratios by hand, infinities, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games import deterrence_ratio
from fedfm_sim.games.estimates import Estimate


def test_ratios_by_hand() -> None:
    rng = np.random.default_rng(0)
    assert deterrence_ratio(2, 4, rng) == Estimate(0.5, 0.5, 0.5)
    assert deterrence_ratio([1, 3], [2, 6], rng) == Estimate(0.5, 0.5, 0.5)
    assert deterrence_ratio(0, 4, rng) == Estimate(0, 0, 0)
    for nothing in (0, -1):
        assert deterrence_ratio(2, nothing, rng) == Estimate(*[float("inf")] * 3)
    # Of means, not the mean of ratios; and one of two replicates brings nothing.
    found = deterrence_ratio([2, 2], [8, 0], rng)
    assert found == Estimate(0.5, 0.25, float("inf"))
    assert str(found) == f"{found}" == "0.500 (0.250 to inf)"
    assert f"{found:.1f}" == "0.5 (0.2 to inf)"


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0.5, 9)), min_size=1, max_size=8),
    st.floats(0.01, 100),
    st.integers(0, 99),
)
def test_the_unit_of_money_does_not_matter(
    pairs: list[tuple[float, float]], unit: float, seed: int
) -> None:
    costs, benefits = np.array(pairs).T
    own = deterrence_ratio(costs, benefits, np.random.default_rng(seed))
    other = deterrence_ratio(unit * costs, unit * benefits, np.random.default_rng(seed))
    assert (own.value, own.low, own.high) == pytest.approx((other.value, other.low, other.high))
    ratios = costs / benefits
    assert ratios.min() - 1e-9 <= own.low <= own.high <= ratios.max() + 1e-9


def test_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cost, benefit = rng.normal(3, 0.5, 30), rng.normal(4, 1, 30)
        found = deterrence_ratio(cost, benefit, rng)
        covered += found.low <= 0.75 <= found.high
    assert 88 <= covered <= 99  # of 100 at 95 %, percentile intervals being a little narrow


def test_what_is_no_ratio() -> None:
    rng = np.random.default_rng(0)
    for cost, benefit in (([], []), ([1], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(UserError, match="as many costs as benefits"):
            deterrence_ratio(cost, benefit, rng)
    with pytest.raises(UserError, match="finite"):
        deterrence_ratio([1, np.nan], [1, 2], rng)
