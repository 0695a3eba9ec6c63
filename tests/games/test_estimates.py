"""Estimates: ratios by hand, infinities, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import Estimate, student
from fedfm_sim.games import deterrence_ratio


def test_ratios_by_hand() -> None:
    alone = deterrence_ratio(2, 4)
    assert (alone.value, np.isnan(alone.low), np.isnan(alone.high)) == (0.5, True, True)
    assert str(alone) == "0.500 (no interval: one replicate)"
    assert deterrence_ratio([1, 3], [2, 6]).value == 0.5
    assert deterrence_ratio([0, 0], [4, 4]) == Estimate(0, 0, 0)
    for nothing in (0, -1):
        assert deterrence_ratio([2, 2], [nothing] * 2) == Estimate(*[float("inf")] * 3)
    # Of means, not the mean of ratios; of two replicates that differ, the benefit may be nothing.
    found = deterrence_ratio([2, 2], [8, 0])
    assert (found.value, found.high) == (0.5, float("inf"))
    assert found.low == pytest.approx(2 / (4 + 12.7062 * 4), rel=1e-5)  # t(0.975, 1)
    assert f"{found:.1f}" == "0.5 (0.0 to inf)"


def test_a_fixed_cost_has_the_interval_of_the_benefit_turned_over() -> None:
    benefit = np.array([3.0, 4, 5, 4.5])
    half = 3.182446 * benefit.std(ddof=1) / 2  # t(0.975, 3)
    found = deterrence_ratio(np.full(4, 2.0), benefit)
    ends = 2 / (benefit.mean() + half), 2 / (benefit.mean() - half)
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-5)


def normal(pair: tuple[float, float]) -> tuple[float, float]:
    """Return the pair with 0 for what has not all its digits in another unit."""
    first, second = (value if abs(value) > 1e-300 else 0.0 for value in pair)
    return first, second


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(-5, 9)).map(normal), min_size=2, max_size=8),
    st.floats(0.01, 100),
)
def test_fieller_holds_what_students_test_does_not_refuse(
    pairs: list[tuple[float, float]], unit: float
) -> None:
    costs, benefits = np.array(pairs).T
    own = deterrence_ratio(costs, benefits)
    other = deterrence_ratio(unit * costs, unit * benefits)
    assert (own.low, own.high) == pytest.approx((other.low, other.high), rel=1e-5, abs=1e-7)
    assert own.low <= own.value + 1e-9
    assert own.value <= own.high + 1e-9
    if own.high == np.inf:
        return
    for q in np.linspace(own.low, own.high, 5):
        low, high = student(costs - q * benefits)
        assert low <= 1e-6
        assert high >= -1e-6


def test_what_is_no_ratio() -> None:
    for cost, benefit in (([], []), ([1], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(UserError, match="as many costs as benefits"):
            deterrence_ratio(cost, benefit)
    with pytest.raises(UserError, match="finite"):
        deterrence_ratio([1, np.nan], [1, 2])
