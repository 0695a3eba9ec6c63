"""Posted prices: hand-solved markets, a dense grid, and the followers' replies."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    Delivery,
    Market,
    Offers,
    PostedPrice,
    best_response,
    posted_price,
    saturating_valuation,
)


def market(linear: list[float], quadratic: list[float], capacity: list[float]) -> Market:
    return Market(np.array(linear), np.array(quadratic), np.array(capacity))


@st.composite
def markets(draw: st.DrawFn) -> Market:
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # A few cost levels only, so that ties and jumps at one price are common.
    linear = rng.choice([0.0, 0.1, 0.25, 0.5, 1.3], n)
    quadratic = rng.choice([0.0, 0.0, 0.01, 0.05, 0.4], n)
    return Market(linear, quadratic, rng.choice([0.0, 1.0, 3.0, 10.0], n))


def test_one_follower_by_the_first_order_condition() -> None:
    # x = p / 2, so the leader maximises g(x) - 2 x^2 with g' = 100 / (1 + x):
    # 100 / (1 + x) = 4 x, x (1 + x) = 25.
    found = posted_price(market([0.0], [1.0], [1e3]), lambda work: 100 * float(np.log1p(work)))
    x = (-1 + 101**0.5) / 2
    assert found.quantities[0] == pytest.approx(x, rel=1e-6)
    assert found.price == pytest.approx(2 * x, rel=1e-6)
    assert found.leader_utility == pytest.approx(100 * log(1 + x) - 2 * x * x, rel=1e-12)
    assert found.follower_utilities[0] == pytest.approx(x * x, rel=1e-6)


def test_capacity_stops_the_price() -> None:
    # Even the last of the 3 units is worth more than its cost, so the leader
    # pays just what brings out all 3: 1 + 2 * 0.5 * 3.
    found = posted_price(market([1.0], [0.5], [3.0]), lambda work: 50 * work)
    assert found.price == pytest.approx(4.0)
    assert found.quantities.tolist() == [3.0]
    assert found.leader_utility == pytest.approx(50 * 3 - 12)
    assert found.follower_utilities[0] == pytest.approx(12 - 3 - 4.5)


def test_without_convexity_it_is_all_or_nothing() -> None:
    followers = market([1.0, 2.0, 5.0], [0.0, 0.0, 0.0], [10.0, 10.0, 10.0])
    assert best_response(0.999, followers).tolist() == [0, 0, 0]
    assert best_response(2.0, followers).tolist() == [10, 10, 0]
    # g = 4 X: price 1 earns 30, price 2 earns 40, price 5 loses 30.
    found = posted_price(followers, lambda work: 4 * work)
    assert found.price == 2.0
    assert found.leader_utility == pytest.approx(40.0)
    assert found.follower_utilities.tolist() == [10.0, 0.0, 0.0]


def test_the_leader_stops_just_below_a_jump_that_it_does_not_want() -> None:
    # The convex follower would be paid up to 1.5; at 1 a flood of work comes in
    # that is worth nothing more.
    followers = market([0.0, 1.0], [0.25, 0.0], [3.0, 1000.0])
    found = posted_price(followers, lambda work: 10 * min(work, 3.0))
    assert 1 - 1e-9 < found.price < 1
    assert found.quantities.tolist() == pytest.approx([2.0, 0.0])
    assert found.leader_utility == pytest.approx(10 * 2 - 2)


def test_nothing_is_bought_that_costs_more_than_it_is_worth() -> None:
    found = posted_price(market([3.0], [0.1], [10.0]), lambda work: 2 * work)
    assert found.quantities.tolist() == [0.0]
    assert found.leader_utility == 0


@settings(max_examples=60)
@given(markets(), st.floats(0.5, 30), st.floats(0.5, 30))
def test_no_price_of_a_dense_grid_is_better(followers: Market, value: float, scale: float) -> None:
    valuation = saturating_valuation(value, scale)
    found = posted_price(followers, valuation)
    ceiling = (followers.linear + 2 * followers.quadratic * followers.capacity).max() + 1
    for price in np.concatenate([np.linspace(0, ceiling, 400), followers.linear]):
        work = best_response(float(price), followers).sum()
        assert valuation(float(work)) - price * work <= found.leader_utility + 1e-9
    work = found.quantities.sum()
    assert found.leader_utility == pytest.approx(valuation(work) - found.price * work)


@settings(max_examples=60)
@given(markets(), st.floats(0, 3))
def test_no_quantity_suits_a_follower_better_than_its_reply(
    followers: Market, price: float
) -> None:
    reply = best_response(price, followers)
    tried = np.linspace(0, 1, 101)[:, None] * followers.capacity
    utility = (price - followers.linear) * tried - followers.quadratic * tried**2
    best = (price - followers.linear) * reply - followers.quadratic * reply**2
    assert (utility.max(axis=0) <= best + 1e-12).all()
    assert ((reply >= 0) & (reply <= followers.capacity)).all()


@given(markets(), st.floats(0.5, 30))
def test_participation_is_individually_rational(followers: Market, value: float) -> None:
    found = posted_price(followers, saturating_valuation(value, 5.0))
    assert (found.follower_utilities >= 0).all()
    costs = followers.linear * found.quantities + followers.quadratic * found.quantities**2
    assert found.follower_utilities == pytest.approx(found.price * found.quantities - costs)
    assert found.leader_utility >= 0


def test_a_thousand_followers_are_solved_exactly() -> None:
    rng = np.random.default_rng(0)
    followers = Market(rng.uniform(0, 0.1, 1000), np.zeros(1000), rng.uniform(50, 200, 1000))
    valuation = saturating_valuation(100.0, 1000.0)
    # Without convexity the best price is a cost, or just below one.
    costs = np.sort(followers.linear)
    supply = np.cumsum(followers.capacity[np.argsort(followers.linear)])
    best = max(valuation(s) - c * s for c, s in zip(costs, supply, strict=True))
    before = max(valuation(s) - c * s for c, s in zip(costs[1:], supply[:-1], strict=True))
    assert before < best  # so that no limit from below is involved
    assert posted_price(followers, valuation).leader_utility == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_convex_followers_against_a_fine_grid(seed: int) -> None:
    # Many short pieces, most of which the solver rules out by their bound.
    rng = np.random.default_rng(seed)
    n = 200
    followers = Market(rng.uniform(0, 0.1, n), rng.uniform(1e-5, 1e-3, n), rng.uniform(5, 50, n))
    found = posted_price(followers, saturating_valuation(100.0, 500.0))
    prices = found.price + np.linspace(-1, 1, 20001) * min(found.price, 0.02)
    margins = (prices[:, None] - followers.linear) / (2 * followers.quadratic)
    work = np.clip(margins, 0, followers.capacity).sum(axis=1)
    best = (100 * (1 - np.exp(-work / 500)) - prices * work).max()
    assert best - 1e-10 <= found.leader_utility <= best + 1e-4


def test_saturating_valuation() -> None:
    valuation = saturating_valuation(100.0, 1000.0)
    assert valuation(0.0) == 0
    assert valuation(1000.0) == pytest.approx(100 * (1 - exp(-1)))
    assert valuation(1e-9) == pytest.approx(1e-10)  # and not rounded to nothing
    assert valuation(1e9) == 100


@pytest.mark.parametrize(
    "bad",
    [
        market([np.nan], [1.0], [1.0]),
        market([1.0], [-1.0], [1.0]),
        market([1.0], [1.0], [-1.0]),
        market([1.0], [1.0], [np.inf]),
    ],
)
def test_impossible_markets_are_refused(bad: Market) -> None:
    with pytest.raises(UserError, match="the market's"):
        posted_price(bad, lambda work: work)


def test_mechanism_posts_the_given_price_or_solves_for_it() -> None:
    followers = market([0.01, 0.02], [1e-5, 0.0], [500.0, 800.0])
    assert PostedPrice(price=0.25).announce(followers).price == 0.25
    solved = posted_price(followers, saturating_valuation(100.0, 1000.0))
    assert PostedPrice().announce(followers).price == solved.price


def test_mechanism_selects_those_whose_ask_the_price_covers() -> None:
    offers = Offers(
        units=np.array([10.0, 10.0, 0.0, 3.0]),
        asks=np.array([5.0, 5.1, 0.0, 0.1 * 3 * 5]),
        reputation=np.full(4, 0.5),
    )
    allocation = PostedPrice().allocate(offers, Announcement.of_price(0.5))
    assert allocation.selected.tolist() == [True, False, False, True]
    assert allocation.promised.tolist() == [5.0, 0.0, 0.0, 1.5]
    assert PostedPrice().pay(allocation, Delivery(offers.units)).tolist() == [5.0, 0.0, 0.0, 1.5]


@pytest.mark.parametrize("field", [{"price": -1}, {"value": 0}, {"scale": 0}, {"cost": 1}])
def test_mechanism_parameters_are_checked(field: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        PostedPrice.model_validate(field)
