"""Intervals by hand and against scipy: Student, the largest of several, shares, Holm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedfm_sim.core.intervals import Estimate, critical, holm, moves, one_sided, share, student


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=9))
def test_students_interval_and_test_are_scipys(values: list[float]) -> None:
    samples = np.array(values)
    if np.ptp(samples) < 1e-6:
        return
    theirs = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    assert [float(end) for end in student(samples)] == pytest.approx([*theirs])
    chance = stats.ttest_1samp(samples, 0, alternative="greater").pvalue
    assert one_sided(samples) == pytest.approx(chance)


def test_moves_give_the_error_of_any_linear_figure() -> None:
    samples = np.random.default_rng(0).normal(size=(7, 3))
    weights = np.array([2.0, -1, 0.5])
    error = np.linalg.norm(moves(samples) @ weights)
    assert error == pytest.approx(stats.sem(samples @ weights))
    assert np.isnan(moves(samples[:1])).all()
    assert np.isnan(critical(0))


def test_the_largest_by_hand() -> None:
    means, errors = np.array([1.0, 0.5, -3]), np.array([0.2, 0.1, 0.0])
    found = Estimate.of_largest(means, errors, 4)
    two, one = stats.t.ppf(1 - 0.025 / 2, 4), stats.t.ppf(0.975, 4)
    assert found.value == 1
    assert (found.low, found.high) == pytest.approx((1 - two * 0.2, 1 + one * 0.2))
    assert Estimate.of_largest(-means[:2], errors[:2], 4).low == 0
    assert Estimate.of_largest(np.array([2.0, -1]), np.zeros(2), 4) == Estimate(2, 2, 2)
    assert Estimate.of_largest(np.zeros(0), np.zeros(0), 4) == Estimate(0, 0, 0)
    assert np.isnan(Estimate.of_largest(means, errors * np.nan, 0).high)


@given(st.integers(0, 40), st.integers(1, 40))
def test_shares_are_clopper_and_pearsons(successes: int, trials: int) -> None:
    if successes > trials:
        return
    theirs = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert share(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_holm_by_hand() -> None:
    # 0.01 <= 0.05 / 3 falls, 0.03 > 0.05 / 2 ends it, and what comes after stands as well.
    assert holm([0.04, 0.01, 0.03]) == [False, True, False]
    assert holm([0.04, 0.01, 0.02]) == [True, True, True]
    assert holm([]) == []
    assert [one_sided(np.full(3, x)) for x in (1.0, 0.0)] == [0, 1]
    assert one_sided(np.array([5.0])) == 1


def test_an_estimate_survives_json() -> None:
    for own in (Estimate(1.0, 0.5, 2.0), Estimate(1.0, float("nan"), float("nan"))):
        assert str(Estimate.read(**own.plain())) == str(own)  # type: ignore[arg-type]
    assert Estimate(1.0, float("nan"), float("nan")).plain()["low"] is None
