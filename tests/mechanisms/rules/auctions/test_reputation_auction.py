"""The reputation auction: worked examples, its theorems, and degenerate bids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    Delivery,
    Offers,
    ReputationAuction,
    reputation_auction,
)
from fedfm_sim.mechanisms.rules.auctions.reputation import AuctionResult

Bids = tuple[Array, Array, float, float]


@st.composite
def auctions(draw: st.DrawFn) -> Bids:
    """Draw costs, reputations, budget and threshold, from few levels so that ties occur."""
    n = draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        costs, trust = rng.choice([0.0, 1.0, 2.0, 3.0], n), rng.choice([0.0, 0.25, 0.5, 1.0], n)
    else:
        costs, trust = rng.uniform(0, 5, n), rng.uniform(0, 1, n)
    return (
        costs,
        trust,
        draw(st.just(0.0) | st.floats(1e-6, 20)),
        draw(st.sampled_from([0.0, 0.25, 0.6])),
    )


def utility(result: AuctionResult, costs: Array, who: int) -> float:
    return float(result.payments[who] - costs[who]) if result.selected[who] else 0.0


def test_worked_example_with_a_runner_up() -> None:
    # b/R = 2, 2.5, 3, 4. Two win: 2.5 <= 6/1.7, but 3 > 6/2.3. The runner-up's
    # 3 is below 6/1.7, so 3 is the price of reputation.
    result = reputation_auction([1.8, 2, 1.8, 2], [0.9, 0.8, 0.6, 0.5], budget=6)
    assert result.selected.tolist() == [True, True, False, False]
    assert result.unit_price == pytest.approx(3)
    assert result.payments == pytest.approx([2.7, 2.4, 0, 0])


def test_worked_example_where_all_win_and_share_the_budget() -> None:
    result = reputation_auction([1, 1], [0.5, 1.0], budget=6)
    assert result.payments == pytest.approx([2, 4])


def test_worked_example_where_the_budget_is_below_the_runner_up() -> None:
    result = reputation_auction([1, 1, 9], [1, 1, 1], budget=4)
    assert result.payments == pytest.approx([2, 2, 0])


def test_the_threshold_keeps_the_cheapest_out() -> None:
    result = reputation_auction([0.1, 2, 2], [0.49, 0.5, 1.0], budget=6, threshold=0.5)
    assert result.selected.tolist() == [False, True, True]


@given(auctions())
def test_budget_feasible_and_individually_rational(bids: Bids) -> None:
    costs, trust, budget, threshold = bids
    result = reputation_auction(costs, trust, budget, threshold)
    assert result.payments.sum() <= budget * (1 + 1e-12)
    assert (result.payments[result.selected] >= costs[result.selected] * (1 - 1e-12)).all()
    assert (result.payments[~result.selected] == 0).all()
    assert (trust[result.selected] >= threshold).all()
    assert np.allclose(result.payments[result.selected], result.unit_price * trust[result.selected])


@given(auctions())
def test_no_misreported_cost_pays(bids: Bids) -> None:
    costs, trust, budget, threshold = bids
    truthful = reputation_auction(costs, trust, budget, threshold)
    lies = np.concatenate([np.linspace(0, 6, 40), costs, costs * (1 - 1e-9), [1e3, np.inf]])
    for who in range(costs.size):
        honest = utility(truthful, costs, who)
        for lie in lies:
            asks = costs.copy()
            asks[who] = lie
            gain = utility(reputation_auction(asks, trust, budget, threshold), costs, who) - honest
            assert gain <= 1e-9, (who, lie)


@given(auctions(), st.floats(0, 1))
def test_a_lower_ask_keeps_a_winner_winning(bids: Bids, part: float) -> None:
    costs, trust, budget, threshold = bids
    winners = np.flatnonzero(reputation_auction(costs, trust, budget, threshold).selected)
    for who in winners:
        asks = costs.copy()
        asks[who] *= part
        assert reputation_auction(asks, trust, budget, threshold).selected[who]


@given(auctions())
def test_the_payment_is_the_highest_ask_that_still_wins(bids: Bids) -> None:
    costs, trust, budget, threshold = bids
    result = reputation_auction(costs, trust, budget, threshold)
    for who in np.flatnonzero(result.selected):
        for factor, wins in ((1 - 1e-9, True), (1 + 1e-9, False)):
            asks = costs.copy()
            asks[who] = result.payments[who] * factor
            if result.payments[who] > 0:
                again = reputation_auction(asks, trust, budget, threshold)
                assert again.selected[who] == wins


def test_ties_go_to_the_lower_index() -> None:
    result = reputation_auction([2, 2, 2], [1, 1, 1], budget=4)
    assert result.selected.tolist() == [True, True, False]
    assert result.payments.tolist() == [2, 2, 0]


def test_ties_go_to_the_lower_index_among_many() -> None:
    # Enough bidders that an unstable sort would shuffle equal ones.
    result = reputation_auction(np.tile([2.0, 1.0], 100), np.ones(200), budget=150)
    assert np.flatnonzero(result.selected).tolist() == list(range(1, 200, 2))
    result = reputation_auction(np.tile([1.0, 9.0], 100), np.ones(200), budget=40)
    assert np.flatnonzero(result.selected).tolist() == list(range(0, 80, 2))


def test_without_money_only_the_free_are_taken_and_nobody_is_paid() -> None:
    result = reputation_auction([1, 0, 3], [1, 1, 1], budget=0)
    assert result.selected.tolist() == [False, True, False]
    assert result.payments.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("asks", "trust"),
    [([], []), ([1.0, 1.0], [0.2, 0.3]), ([np.inf, np.inf], [1.0, 1.0]), ([7.0], [0.9])],
)
def test_nobody_wins(asks: list[float], trust: list[float]) -> None:
    result = reputation_auction(asks, trust, budget=3, threshold=0.5)
    assert not result.selected.any()
    assert result.payments.tolist() == [0.0] * len(asks)
    assert result.unit_price == 0


@pytest.mark.parametrize("none", [0.0, 1e-320])
def test_no_reputation_is_not_a_bargain(none: float) -> None:
    result = reputation_auction([0, 1], [none, 1], budget=3)
    assert result.selected.tolist() == [False, True]
    assert result.payments.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("asks", "trust", "budget", "message"),
    [
        ([-1.0], [1.0], 1.0, "asks"),
        ([np.nan], [1.0], 1.0, "asks"),
        ([1.0], [1.1], 1.0, "reputation"),
        ([1.0], [np.nan], 1.0, "reputation"),
        ([1.0], [1.0], -1.0, "budget"),
        ([1.0], [1.0], np.nan, "budget"),
        ([1.0, 2.0], [1.0], 1.0, "one of each, got 2 asks, 1 reputation"),
    ],
)
def test_impossible_bids_are_refused(
    asks: list[float], trust: list[float], budget: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        reputation_auction(asks, trust, budget)


def test_mechanism_takes_no_bid_of_those_who_offer_no_work() -> None:
    mechanism = ReputationAuction(budget=6, threshold=0.55)
    offers = Offers(
        units=np.array([10.0, 10.0, 10.0, 0.0, 10.0]),
        asks=np.array([1.8, 2, 1.8, 0.0, 0.1]),
        reputation=np.array([0.9, 0.8, 0.6, 1.0, 0.5]),
    )
    allocation = mechanism.allocate(offers, Announcement())
    assert allocation.selected.tolist() == [True, True, False, False, False]
    assert allocation.promised == pytest.approx([2.7, 2.4, 0, 0, 0])
    assert mechanism.pay(allocation, Delivery(offers.units)) == pytest.approx([2.7, 2.4, 0, 0, 0])


@pytest.mark.parametrize("field", [{"budget": 0}, {"budget": 1, "threshold": 1.1}])
def test_mechanism_parameters_are_checked(field: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ReputationAuction.model_validate(field)
