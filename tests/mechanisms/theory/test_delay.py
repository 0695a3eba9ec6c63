"""Paying for speed: followers by brute force, leaders by closed forms and searches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import best_round, cheapest_delay, delay_response, fastest_round

above = st.floats(0.1, 5)
followers = st.lists(st.tuples(above, above), min_size=1, max_size=5)


@given(above, above, above)
def test_no_other_speed_is_better(price: float, work: float, kappa: float) -> None:
    speed = delay_response([price], [work], [kappa])[0]
    others = np.linspace(0, 3 * speed + 1, 500)
    utility = price * others - kappa * work * others**2
    assert price * speed - kappa * work * speed**2 >= utility.max() - 1e-9


@given(followers, above)
def test_the_deadline_is_met_by_all_and_no_price_can_be_lower(
    kinds: list[tuple[float, float]], time: float
) -> None:
    work, kappa = np.array(kinds).T
    found = cheapest_delay(time, work, kappa)
    np.testing.assert_allclose(delay_response(found.prices, work, kappa), found.speeds)
    np.testing.assert_allclose(work / found.speeds, time)
    assert (work / delay_response(found.prices * 0.99, work, kappa) > time).all()
    energy = kappa * work * found.speeds**2
    np.testing.assert_allclose(found.payments, 2 * energy)  # so nobody loses


def test_a_budget_by_hand() -> None:
    # 2 * 0.5 * 2**3 / T**2 = 8 / T**2, and 2 * 1 * 1**3 / T**2 = 2 / T**2, are 10 at T = 1.
    found = fastest_round(10.0, [2.0, 1.0], [0.5, 1.0])
    assert found.time == pytest.approx(1.0)
    assert found.payments == pytest.approx([8.0, 2.0])
    assert found.speeds == pytest.approx([2.0, 1.0])
    assert found.prices == pytest.approx([4.0, 2.0])


@settings(max_examples=30)
@given(followers, above, st.integers(0, 2**32 - 1))
def test_no_other_prices_within_the_budget_are_faster(
    kinds: list[tuple[float, float]], budget: float, seed: int
) -> None:
    work, kappa = np.array(kinds).T
    found = fastest_round(budget, work, kappa)
    assert found.payments.sum() == pytest.approx(budget)
    prices = found.prices * np.random.default_rng(seed).uniform(0.5, 1.5, (200, len(kinds)))
    spent = (prices**2 / (2 * kappa * work)).sum(axis=1, keepdims=True)
    prices *= np.sqrt(budget / spent)  # scaled to spend all
    times = (work / (prices / (2 * kappa * work))).max(axis=1)
    assert (times >= found.time * (1 - 1e-9)).all()


@settings(max_examples=20)
@given(followers, st.floats(0.5, 5))
def test_the_best_round_is_the_closed_form(
    kinds: list[tuple[float, float]], per_time: float
) -> None:
    work, kappa = np.array(kinds).T
    best = (4 * (kappa * work**3).sum() / per_time) ** (1 / 3)
    found = best_round(work, kappa, lambda time: -per_time * time, 0.3 * best, 4 * best)
    assert found.time == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    ("work", "kappa"), [([], []), ([1.0], [1.0, 1.0]), ([0.0], [1.0]), ([1.0], [np.nan])]
)
def test_impossible_followers_are_refused(work: list[float], kappa: list[float]) -> None:
    for call in (cheapest_delay, fastest_round):
        with pytest.raises(UserError, match="work and kappa"):
            call(1.0, work, kappa)
    with pytest.raises(UserError, match="work and kappa"):
        best_round(work, kappa, lambda time: -time, 1.0, 2.0)


def test_impossible_prices_times_and_budgets_are_refused() -> None:
    for prices in ([-1.0], [np.nan], [1.0, 1.0]):
        with pytest.raises(UserError, match="prices of speed"):
            delay_response(prices, [1.0], [1.0])
    for number in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UserError, match="time of a round"):
            cheapest_delay(number, [1.0], [1.0])
        with pytest.raises(UserError, match="budget for speed"):
            fastest_round(number, [1.0], [1.0])
    with pytest.raises(UserError, match="time of a round"):
        best_round([1.0], [1.0], lambda time: -time, 0.0, 2.0)
