"""Paying for privacy: followers by brute force, the leader against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Market,
    posted_price,
    privacy_price,
    privacy_response,
    saturating_valuation,
)

above = st.floats(0.1, 5)
sensitivities = st.lists(above, min_size=1, max_size=5)


@given(st.floats(0, 5), st.floats(0, 5), above)
def test_no_other_epsilon_is_better(price: float, sensitivity: float, most: float) -> None:
    epsilon = privacy_response(price, [sensitivity], most)[0]
    grid = np.linspace(0, most, 500)
    utility = price * grid - sensitivity * grid**2
    assert 0 <= epsilon <= most
    assert price * epsilon - sensitivity * epsilon**2 >= utility.max() - 1e-9


@settings(max_examples=20)
@given(sensitivities, st.floats(1, 20))
def test_where_the_sum_counts_it_is_the_posted_price(values: list[float], worth: float) -> None:
    market = Market(np.zeros(len(values)), np.array(values), np.full(len(values), 3.0))
    value = saturating_valuation(worth, 4.0)
    found = privacy_price(values, 3.0, lambda budgets: value(float(budgets.sum())))
    exact = posted_price(market, value)
    assert found.utility == pytest.approx(exact.leader_utility, rel=1e-6, abs=1e-9)


@settings(max_examples=20)
@given(sensitivities)
def test_where_noise_costs_it_is_the_closed_form(values: list[float]) -> None:
    # The leader loses sum(1 / e) to noise; with e = p / (2 v) that is A / p for
    # A = 2 sum(v), and it pays p**2 B for B = sum(1 / (2 v)), so p = (A / (2 B))**(1/3).
    sensitivity = np.array(values)
    best = (sensitivity.sum() / (0.5 / sensitivity).sum()) ** (1 / 3)

    def value(budgets: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return -float((1 / np.maximum(budgets, 1e-12)).sum())

    most = best / (2 * sensitivity.min()) + 1  # binds nobody
    found = privacy_price(values, most, value)
    assert found.decision[0] == pytest.approx(best, rel=1e-4)
    assert found.utility == pytest.approx(
        value(best / (2 * sensitivity)) - best**2 * (0.5 / sensitivity).sum(), rel=1e-7
    )


def test_whom_privacy_is_worth_nothing_sells_all_for_nothing() -> None:
    assert privacy_response(0.0, [0.0, 1.0], 2.0).tolist() == [2.0, 0.0]
    found = privacy_price([0.0, 0.0], 2.0, lambda budgets: float(budgets.sum()))
    assert (found.decision.item(), found.utility) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("price", "values", "most", "message"),
    [
        (-1, [1.0], 1, "price of privacy"),
        (np.nan, [1.0], 1, "price of privacy"),
        (1, [-1.0], 1, "sensitivity"),
        (1, [np.inf], 1, "sensitivity"),
        (1, [], 1, "sensitivity"),
        (1, [1.0], 0, "largest epsilon"),
        (1, [1.0], np.inf, "largest epsilon"),
    ],
)
def test_impossible_numbers_are_refused(
    price: float, values: list[float], most: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        privacy_response(price, values, most)
