"""Leader problems: the nested search against closed forms, and followers by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms import Market, best_prize, contest, posted_price, saturating_valuation
from fedfm_sim.mechanisms.leader import (
    best_responses,
    cheapest_delay,
    delay_response,
    privacy_response,
    solve_leader,
)
from fedfm_sim.mechanisms.stackelberg import best_response

above = st.floats(0.1, 5)


@settings(max_examples=15)
@given(st.lists(above, min_size=2, max_size=4))
def test_the_search_finds_the_posted_price(costs: list[float]) -> None:
    n = len(costs)
    market = Market(np.array(costs) / 1000, np.full(n, 2e-5), np.full(n, 200.0))
    value = saturating_valuation(20.0, 400.0)
    exact = posted_price(market, value)
    found = solve_leader(
        lambda price, work: value(float(work.sum())) - float(price[0] * work.sum()),
        lambda price: best_response(float(price[0]), market),
        [(0.0, 0.03)],
        points=200,
    )
    assert found.utility == pytest.approx(exact.leader_utility, abs=1e-4)


def test_the_search_finds_the_prize_of_a_contest() -> None:
    costs = np.array([1.0, 1.5, 2.0])

    def value(efforts: Values) -> float:
        return 10 * float(np.log1p(np.log1p(efforts).sum()))

    exact = best_prize(costs, value, most=20.0)
    found = solve_leader(
        lambda prize, efforts: value(efforts) - float(prize[0]),
        lambda prize: contest(costs, float(prize[0])).efforts,
        [(0.0, 20.0)],
    )
    assert found.decision[0] == pytest.approx(exact.prize, rel=1e-4)
    assert found.utility == pytest.approx(4.496377, abs=1e-6)


def test_two_decisions_at_once() -> None:
    found = solve_leader(
        lambda d, r: float(-((d[0] - 1) ** 2) - (d[1] + 2) ** 2 + 0 * r.sum()),
        lambda d: d,
        [(-3, 3), (-3, 3)],
        points=13,
    )
    assert found.decision == pytest.approx([1, -2], abs=1e-5)


@given(st.lists(st.floats(1, 3), min_size=2, max_size=5), st.floats(1, 50))
def test_best_responses_find_the_contests_equilibrium(costs: list[float], prize: float) -> None:
    exact = contest(costs, prize).efforts

    def reply(player: int, efforts: Values) -> float:
        others = efforts.sum() - efforts[player]
        return max(0.0, float(np.sqrt(prize * others / costs[player]) - others))

    found = best_responses(reply, np.ones(len(costs)))
    np.testing.assert_allclose(found, exact, atol=1e-5 * prize)


def test_responses_that_never_settle_are_refused() -> None:
    with pytest.raises(UserError, match="did not settle"):
        best_responses(lambda i, x: 1.0 if x[1 - i] * (1 - 2 * i) <= 0 else -1.0, [1.0, 1.0])


@given(above, above, above)
def test_no_other_speed_is_better(price: float, work: float, kappa: float) -> None:
    speed = delay_response([price], [work], [kappa])[0]
    others = np.linspace(0, 3 * speed + 1, 500)
    utility = price * others - kappa * work * others**2
    assert price * speed - kappa * work * speed**2 >= utility.max() - 1e-9


@given(st.lists(st.tuples(above, above), min_size=1, max_size=5), above)
def test_the_deadline_is_met_by_all_and_no_price_can_be_lower(
    kinds: list[tuple[float, float]], time: float
) -> None:
    work, kappa = np.array(kinds).T
    prices = cheapest_delay(time, work, kappa)
    times = work / delay_response(prices, work, kappa)
    np.testing.assert_allclose(times, time)
    assert (work / delay_response(prices * 0.99, work, kappa) > time).all()


@given(st.floats(0, 5), st.floats(0, 5), above)
def test_no_other_epsilon_is_better(price: float, sensitivity: float, most: float) -> None:
    epsilon = privacy_response(price, [sensitivity], most)[0]
    grid = np.linspace(0, most, 500)
    utility = price * grid - sensitivity * grid**2
    assert 0 <= epsilon <= most
    assert price * epsilon - sensitivity * epsilon**2 >= utility.max() - 1e-9


@pytest.mark.parametrize("bounds", [[], [(1, 0)], [(0, np.inf)], [(0, 1)] * 4, [0, 1]])
def test_impossible_bounds_are_refused(bounds: list[tuple[float, float]]) -> None:
    with pytest.raises(UserError, match="leader"):
        solve_leader(lambda d, r: 0.0, lambda d: d, bounds)


def test_impossible_followers_are_refused() -> None:
    with pytest.raises(UserError, match="prices"):
        delay_response([-1], [1], [1])
    with pytest.raises(UserError, match="time"):
        cheapest_delay(0, [1], [1])
    with pytest.raises(UserError, match="price and sensitivity"):
        privacy_response(-1, [1], 1)
