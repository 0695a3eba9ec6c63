"""Eq. 11: zero for the truth in any unit, and two at most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.contribution.loss import contribution_loss, rank_correlation

positive = st.lists(st.floats(0.01, 100), min_size=2, max_size=8)


def test_by_hand() -> None:
    assert contribution_loss([3, 1], [1, 1]) == pytest.approx(0.5)
    assert contribution_loss([5, -5], [1, 1]) == pytest.approx(1.0)
    assert contribution_loss([1, 0], [0, 1]) == pytest.approx(2.0)
    assert contribution_loss([-1, -1], [1, 1]) == pytest.approx(0.0)


@given(positive, st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_units_do_not_matter_and_the_truth_costs_nothing(
    truth: list[float], unit: float, seed: int
) -> None:
    assert contribution_loss(np.multiply(truth, unit), truth) == pytest.approx(0, abs=1e-9)
    other = np.random.default_rng(seed).normal(size=len(truth))
    assert 0 <= contribution_loss(other, truth) <= 2 + 1e-12


def test_ranks() -> None:
    assert rank_correlation([1, 5, 9], [0.1, 0.2, 30]) == pytest.approx(1)
    assert rank_correlation([3, 2, 1], [0.1, 0.2, 30]) == pytest.approx(-1)
    assert rank_correlation([2, 2], [0, 1]) == 0


@pytest.mark.parametrize(
    ("values", "truth"), [([1, 2], [1]), ([np.nan, 1], [1, 1]), ([1, 1], [-1, 2]), ([], [])]
)
def test_what_cannot_be_compared_is_refused(values: list[float], truth: list[float]) -> None:
    with pytest.raises(UserError, match="contributions"):
        contribution_loss(values, truth)
