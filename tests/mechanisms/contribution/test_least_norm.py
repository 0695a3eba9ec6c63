"""The shortest vector under inequalities: optimality conditions, and thin feasible sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms.contribution.least_norm import least_norm


def check_optimal(rows: Values, bounds: Values, y: Values) -> None:
    """Karush-Kuhn-Tucker: feasible, and pushed by the tight rows alone."""
    slacks = rows @ y - bounds
    assert slacks.min() >= -1e-9
    tight = rows[np.abs(slacks) < 1e-7]
    assert nnls(np.vstack([tight, np.zeros_like(y)]).T, y)[1] < 1e-7 * (1 + np.linalg.norm(y))


@given(st.integers(1, 6), st.integers(1, 30), st.booleans(), st.integers(0, 2**32 - 1))
def test_optimality_conditions(n: int, m: int, whole: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, inside, slack = rng.normal(size=(m, n)), rng.normal(size=n), rng.exponential(size=m)
    if whole:  # many ties and dependent rows
        rows, inside, slack = (np.abs(rows) > 0.7).astype(np.float64), inside.round(), slack.round()
    bounds = rows @ inside - slack
    check_optimal(rows, bounds, least_norm(rows, bounds, 1e-10))


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_single_point_is_found_from_both_sides(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = rng.integers(-9, 10, n).astype(np.float64)
    half = rng.integers(0, 2, (12, n)).astype(np.float64)
    rows = np.vstack([half, -half, np.eye(n), -np.eye(n)])
    assert least_norm(rows, rows @ point, 1e-10) == pytest.approx(point, abs=1e-9)


def test_zero_is_shortest_where_it_is_allowed() -> None:
    rows = np.array([[1.0, 0], [1, 1]])
    assert least_norm(rows, np.array([-1.0, 0]), 1e-10).tolist() == [0, 0]


def test_a_nearer_inequality_replaces_one_that_it_implies() -> None:
    # x >= 2 is met first and dropped again once x + y >= 6 pushes further.
    rows = np.array([[1.0, 0], [1, 1]])
    assert least_norm(rows, np.array([2.0, 6.0]), 1e-10) == pytest.approx([3, 3])


def test_contradictions_are_refused() -> None:
    with pytest.raises(RuntimeError, match="contradict"):
        least_norm(np.array([[1.0], [-1.0]]), np.array([1.0, 0.0]), 1e-10)
    with pytest.raises(RuntimeError, match="contradict"):
        least_norm(np.zeros((1, 2)), np.array([1.0]), 1e-10)
