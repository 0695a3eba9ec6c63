"""Myerson's optimal auction: closed forms, ironing, brute force, and truth."""

from __future__ import annotations

from itertools import product
from math import e

import numpy as np
import pytest
from auction_bids import seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    Belief,
    ContinuousBelief,
    DiscreteBelief,
    Market,
    MyersonAuction,
    Offers,
    myerson,
    myerson_procurement,
    optimal_revenue,
    reserve_price,
)

UNIFORM = ContinuousBelief(stats.uniform())
EXPONENTIAL = ContinuousBelief(stats.expon())


def discrete(seed: int) -> DiscreteBelief:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    values = np.cumsum(rng.uniform(0.1, 2, m))
    return DiscreteBelief(values, rng.dirichlet(np.ones(m)) * 0.9 + 0.1 / m)


# Myerson 1981: n bidders uniform on [0, 1] bring 2n/(n+1) (1 - 2**-(n+1)) - (1 - 2**-n).
@pytest.mark.parametrize(
    ("bidders", "revenue"), [(1, 0.25), (2, 5 / 12), (3, 0.53125), (5, 0.671875)]
)
def test_golden_revenue_of_uniform_bidders(bidders: int, revenue: float) -> None:
    closed = 2 * bidders / (bidders + 1) * (1 - 2 ** -(bidders + 1)) - (1 - 2**-bidders)
    assert closed == pytest.approx(revenue, abs=1e-12)
    assert optimal_revenue(UNIFORM, bidders) == pytest.approx(revenue, abs=1e-9)


def test_golden_exponential_and_procurement() -> None:
    # Exp(1): reserve 1, revenue 1/e. A cost uniform on [0, 1] of what is worth 1:
    # the offer is 1/2, and the profit 1/4.
    assert EXPONENTIAL.least_value(0.0) == pytest.approx(1, abs=1e-9)
    assert optimal_revenue(EXPONENTIAL, 1) == pytest.approx(1 / e, abs=1e-9)
    assert reserve_price(UNIFORM, 1.0) == pytest.approx(0.5, abs=1e-9)
    assert optimal_revenue(UNIFORM.mirrored(), 1, -1.0) == pytest.approx(0.25, abs=1e-9)


def test_uniform_bidders_meet_in_a_second_price_auction_with_reserve() -> None:
    for bids, winner, payment in (
        ([0.4, 0.9], 1, 0.5),
        ([0.7, 0.9], 1, 0.7),
        ([0.4, 0.3], None, 0.0),
        ([2.0, 0.9], 0, 0.9),  # a bid that was thought impossible
        ([-np.inf, -3.0], None, 0.0),
        ([], None, 0.0),
    ):
        result = myerson(bids, UNIFORM)
        assert result.winner == winner
        assert result.payment == pytest.approx(payment, abs=1e-9)
    assert myerson([0.4, 0.9], UNIFORM).virtual == pytest.approx([-0.2, 0.8])


def test_bidders_who_are_thought_richer_pay_more() -> None:
    # Virtual values 2 v - 1 and 2 v - 2: the second is handicapped by 1/2.
    rich = ContinuousBelief(stats.uniform(0, 2))
    assert myerson([0.7, 1.1], [UNIFORM, rich]).winner == 0
    result = myerson([0.7, 1.3], [UNIFORM, rich])
    assert result.winner == 1
    assert result.payment == pytest.approx(1.2, abs=1e-9)


def test_bids_above_all_that_was_thought_possible_pay_no_more_than_they_must() -> None:
    # The second has virtual value 2; the first, thought to be below 1, wins with 2 or more.
    rich = DiscreteBelief([2, 9], [0.5, 0.5])
    result = myerson([3, 9], [UNIFORM, DiscreteBelief([1, 2], [0.5, 0.5])])
    assert result.winner == 0
    assert result.payment == pytest.approx(2, abs=1e-9)
    assert myerson([3, 9], [UNIFORM, rich]).winner == 1
    # Nor is a cost below the support a surprise: worth 1/4, costs in [1/2, 1].
    dear = ContinuousBelief(stats.uniform(0.5, 0.5))
    assert reserve_price(dear, 0.25) == 0.25
    assert optimal_revenue(dear.mirrored(), 3, -0.25) == 0


def test_ironing_by_hand() -> None:
    # Revenue at v = 3, 2, 1 is 1.5, 1.5, 1: slopes 3, 0, -2, and no need to iron.
    assert DiscreteBelief([1, 2, 3], [0.25, 0.25, 0.5]).ironed == pytest.approx([-2, 0, 3])
    # At v = 10, 2, 1: 1, 0.4, 1. The middle lies below the line from 1 to 1.
    ironed = DiscreteBelief([1, 2, 10], [0.8, 0.1, 0.1]).ironed
    assert ironed == pytest.approx([0, 0, 10])


@given(seeds)
def test_ironed_values_rise_and_integrate_to_the_best_posted_price(seed: int) -> None:
    belief = discrete(seed)
    values, weights = np.asarray(belief.values), np.asarray(belief.probabilities)
    assert (np.diff(belief.ironed) >= -1e-12).all()
    posted = values * np.cumsum(weights[::-1])[::-1]
    assert optimal_revenue(belief, 1) == pytest.approx(posted.max(), abs=1e-12)
    # Virtual values add up to what selling at the lowest value brings.
    assert belief.ironed @ weights == pytest.approx(posted[0], abs=1e-12)
    # A cost of that distribution: the best offer, tried one by one.
    worth = float(values.mean())
    profit = ((worth - values) * np.cumsum(weights)).max()
    gained = optimal_revenue(belief.mirrored(), 1, -worth)
    assert gained == pytest.approx(max(profit, 0.0), abs=1e-12)


@settings(max_examples=15)
@given(seeds)
def test_the_revenue_is_that_of_the_best_of_all_truthful_auctions(seed: int) -> None:
    belief = discrete(seed)
    values = np.asarray(belief.values)[:4]
    weights = np.asarray(belief.probabilities)[:4]
    belief = DiscreteBelief(values, weights / weights.sum())
    assert optimal_revenue(belief, 2) == pytest.approx(best_by_programme(belief), abs=1e-7)
    # What the rule collects, profile by profile.
    collected = 0.0
    for (i, p), (j, q) in product(enumerate(np.asarray(belief.probabilities)), repeat=2):
        collected += p * q * myerson([values[i], values[j]], belief).payment
    assert collected == pytest.approx(optimal_revenue(belief, 2), abs=1e-9)


def best_by_programme(belief: DiscreteBelief) -> float:
    """Return the revenue of the best Bayesian auction for 2 bidders, by linear programming.

    Variables: for each profile the chance of the first to win (the second's by
    symmetry), and for each value what it pays on average.
    """
    values, weights = np.asarray(belief.values), np.asarray(belief.probabilities)
    m = values.size
    wins = np.zeros((m, m * m + m))  # the chance of each report to win
    pays = np.zeros((m, m * m + m))
    for i in range(m):
        wins[i, i * m : (i + 1) * m] = weights
        pays[i, m * m + i] = 1
    rows = [-(values[i] * wins[i] - pays[i]) for i in range(m)]
    for i, j in product(range(m), repeat=2):
        truth, lie = values[i] * wins[i] - pays[i], values[i] * wins[j] - pays[j]
        rows.append(lie - truth)
    bounds = [0.0] * len(rows)
    for i, j in product(range(m), repeat=2):  # one item only
        row = np.zeros(m * m + m)
        row[i * m + j] += 1
        row[j * m + i] += 1
        rows.append(row)
        bounds.append(1.0)
    limits: list[tuple[float | None, float | None]] = [(0.0, 1.0)] * (m * m)
    limits += [(None, None)] * m
    found = linprog(-2 * (weights @ pays), np.array(rows), np.array(bounds), bounds=limits)
    return -float(found.fun or 0.0)


@given(seeds, st.floats(0, 8))
def test_no_lie_pays(seed: int, lie: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    kinds: list[Belief] = [
        UNIFORM,
        ContinuousBelief(stats.uniform(0.5, 2)),
        EXPONENTIAL,
        discrete(seed),
    ]
    beliefs = [kinds[int(k)] for k in rng.integers(4, size=n)]
    values = rng.uniform(0, 4, n).round(1)

    def utility(bids: Array) -> float:
        result = myerson(bids, beliefs, 0.3)
        return float(values[0] - result.payment) if result.winner == 0 else 0.0

    lied = values.copy()
    lied[0] = lie
    assert utility(lied) <= utility(values) + 1e-9
    assert utility(values) >= -1e-12

    costs: list[Belief] = [UNIFORM, ContinuousBelief(stats.lognorm(0.5)), discrete(seed)]
    beliefs = [costs[int(k)] for k in rng.integers(3, size=n)]

    def profit(asks: Array) -> float:
        result = myerson_procurement(asks, beliefs, 3.0)
        return float(result.payment - values[0]) if result.winner == 0 else 0.0

    assert profit(lied) <= profit(values) + 1e-9
    assert profit(values) >= -1e-12


def test_procurement_by_hand() -> None:
    # Virtual costs 2 c: 0.3 beats 0.4, and is paid 0.4, or the reserve of 1/2.
    assert myerson_procurement([0.3, 0.4], UNIFORM, 1.0).payment == pytest.approx(0.4)
    result = myerson_procurement([0.3, 0.9], UNIFORM, 1.0)
    assert result.winner == 0
    assert result.payment == pytest.approx(0.5)
    assert result.virtual == pytest.approx([0.6, 1.8])
    assert myerson_procurement([0.6, np.inf], UNIFORM, 1.0).winner is None
    assert myerson_procurement([0.0, np.inf], UNIFORM, 0.0).payment == 0


def test_ties_go_to_the_lower_index_and_are_priced_right() -> None:
    belief = DiscreteBelief([1, 2, 10], [0.8, 0.1, 0.1])
    # 1 and 2 are ironed to one virtual value, so that 0 wins either way, for 1.
    result = myerson([1, 2], belief)
    assert (result.winner, result.payment) == (0, 1)
    # The second must beat the first, and pays the least value that does.
    result = myerson([2, 10], belief)
    assert (result.winner, result.payment) == (1, 10)
    result = myerson([10, 2], belief)
    assert (result.winner, result.payment) == (0, 1)


def test_beliefs_that_need_ironing_are_not_taken_for_regular() -> None:
    # Half uniform on [0, 1] and half on [1, 3]: at 1 the virtual value falls from 0 to -1.
    uneven = stats.rv_histogram((np.array([0.5, 0.5]), np.array([0.0, 1.0, 3.0])), density=False)
    with pytest.raises(UserError, match="DiscreteBelief"):
        myerson([0.5], ContinuousBelief(uneven))


def test_lognormal_costs_are_regular_at_any_spread() -> None:
    for spread in (1e-5, 0.1, 1.0, 3.0):
        belief = ContinuousBelief(stats.lognorm(spread, scale=0.03))
        price = reserve_price(belief, 0.1)
        prices = np.linspace(0, 0.1, 2001)
        profits = (0.1 - prices) * belief.distribution.cdf(prices)
        assert (0.1 - price) * belief.distribution.cdf(price) >= profits.max() - 1e-9


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ([], []),
        ([1.0, 1.0], [0.5, 0.5]),
        ([2.0, 1.0], [0.5, 0.5]),
        ([1.0, np.inf], [0.5, 0.5]),
        ([1.0, 2.0], [0.5, 0.4]),
        ([1.0, 2.0], [1.0, 0.0]),
        ([1.0], [0.5, 0.5]),
    ],
)
def test_impossible_beliefs_are_refused(values: list[float], weights: list[float]) -> None:
    with pytest.raises(UserError, match="belief"):
        DiscreteBelief(values, weights)


def test_impossible_input_is_refused() -> None:
    for bids in ([np.nan], [np.inf], [[1.0]]):
        with pytest.raises(UserError, match="bids"):
            myerson(bids, UNIFORM)
    with pytest.raises(UserError, match="own value"):
        myerson([1.0], UNIFORM, np.nan)
    with pytest.raises(UserError, match="one belief"):
        myerson([1.0], [UNIFORM, UNIFORM])
    with pytest.raises(UserError, match="asks"):
        myerson_procurement([-1.0], UNIFORM, 1.0)
    with pytest.raises(UserError, match="bidders"):
        optimal_revenue(UNIFORM, 0)


def market(costs: list[float]) -> Market:
    n = len(costs)
    return Market(np.array(costs), np.zeros(n), np.full(n, 100.0))


def test_mechanism_announces_the_reserve_and_pays_it_or_the_next_ask() -> None:
    mechanism = MyersonAuction(winners=1, value=0.1)
    announcement = mechanism.announce(market([0.02, 0.03, 0.05]))
    logs = np.log([0.02, 0.03, 0.05])
    belief = ContinuousBelief(stats.lognorm(logs.std(), scale=np.exp(logs.mean())))
    assert announcement.tariff is None
    assert announcement.price == reserve_price(belief, 0.1)
    assert 0.03 < announcement.price < 0.1

    offers = Offers(np.array([100.0, 50.0, 0.0]), np.array([2.0, 1.5, 0.0]), np.ones(3))
    assert mechanism.allocate(offers, announcement).promised == pytest.approx([3, 0, 0])
    both = MyersonAuction(winners=2, value=0.1).allocate(offers, announcement)
    assert both.promised == pytest.approx(np.array([100, 50, 0]) * announcement.price)


@pytest.mark.parametrize(
    ("costs", "price"), [([0.03] * 3, 0.03), ([0.3] * 3, 0.0), ([0.0, 0.0], 0.1), ([], 0.1)]
)
def test_beliefs_without_a_spread(costs: list[float], price: float) -> None:
    assert MyersonAuction().announce(market(costs)) == Announcement(price=price)
