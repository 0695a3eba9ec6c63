"""Lowest-price and second-price reverse auctions: Vickrey's theorems and edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from auction_bids import money, seeds, threshold
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    LowestPriceAuction,
    Offers,
    SecondPriceAuction,
    lowest_price,
    second_price,
)

counts = st.integers(1, 4)


@given(seeds, counts)
def test_the_lowest_asks_within_the_reserve_win(seed: int, winners: int) -> None:
    rng = np.random.default_rng(seed)
    asks = money(rng, int(rng.integers(1, 8)))
    by_hand = sorted((ask, i) for i, ask in enumerate(asks) if ask <= 2.5)[:winners]
    for result in (lowest_price(asks, winners, 2.5), second_price(asks, winners, 2.5)):
        assert result.winners == tuple(sorted(i for _, i in by_hand))
    paid = lowest_price(asks, winners, 2.5).payments
    assert {i: paid[i] for i in np.flatnonzero(paid)} == {i: a for a, i in by_hand if a > 0}


@given(seeds, counts)
def test_the_second_price_is_the_highest_ask_that_still_wins(seed: int, winners: int) -> None:
    rng = np.random.default_rng(seed)
    asks = money(rng, int(rng.integers(1, 8)))
    result = second_price(asks, winners, 4.0)
    for who in result.winners:
        highest = threshold(lambda a: second_price(a, winners, 4.0).selected, asks, who)
        assert result.payments[who] == pytest.approx(highest, abs=1e-9)
        assert result.payments[who] == result.price >= asks[who]


def test_pay_as_bid_rewards_asking_more_than_ones_cost() -> None:
    assert lowest_price([1, 3, 5], 1).payments.tolist() == [1, 0, 0]
    assert lowest_price([2.9, 3, 5], 1).payments.tolist() == [2.9, 0, 0]


def test_ties_go_to_the_lower_index_among_many() -> None:
    asks = np.tile([2.0, 1.0], 100)
    for result in (lowest_price(asks, 50), second_price(asks, 50)):
        assert result.winners == tuple(range(1, 100, 2))
    assert second_price(asks, 50).price == 1  # the next of the equal ones
    assert second_price(asks, 100).price == 2


def test_with_nobody_left_over_the_reserve_is_the_price() -> None:
    assert second_price([1], 1, 3).payments.tolist() == [3]
    assert second_price([1, 5], 1, 3).payments.tolist() == [3, 0]
    with pytest.raises(UserError, match="finite reserve"):
        second_price([1, np.inf], 2)


@pytest.mark.parametrize("asks", [[], [np.inf, np.inf], [7.0]])
def test_nobody_wins(asks: list[float]) -> None:
    for result in (lowest_price(asks, 2, 3.0), second_price(asks, 2, 3.0)):
        assert result.winners == ()
        assert result.payments.tolist() == [0.0] * len(asks)
    assert second_price(asks, 2, 3.0).price == 0


@pytest.mark.parametrize(
    ("asks", "winners", "reserve", "message"),
    [
        ([-1.0], 1, 1.0, "asks"),
        ([np.nan], 1, 1.0, "asks"),
        ([[1.0]], 1, 1.0, "dimensions"),
        ([1.0], 0, 1.0, "winners"),
        ([1.0], 1, -1.0, "reserve"),
        ([1.0], 1, np.nan, "reserve"),
    ],
)
def test_impossible_input_is_refused(
    asks: list[float], winners: int, reserve: float, message: str
) -> None:
    for auction in (lowest_price, second_price):
        with pytest.raises(UserError, match=message):
            auction(asks, winners, reserve)


def test_results_are_tables() -> None:
    frame = second_price([3, 1, 2], 1).to_frame()
    assert frame.columns.tolist() == ["selected", "payments"]
    assert frame.index.name == "bidder"
    assert frame["payments"].tolist() == [0, 2, 0]


def test_mechanisms_compare_asks_per_unit() -> None:
    # Per unit 0.05, 0.02, 0.04 and 0.2; the fifth offers no work.
    offers = Offers(
        units=np.array([100.0, 200.0, 50.0, 10.0, 0.0]),
        asks=np.array([5.0, 4.0, 2.0, 2.0, 0.0]),
        reputation=np.ones(5),
    )
    lowest = LowestPriceAuction(winners=2).allocate(offers, Announcement())
    assert lowest.promised.tolist() == [0, 4, 2, 0, 0]
    second = SecondPriceAuction(winners=2).allocate(offers, Announcement())
    assert second.promised == pytest.approx([0, 200 * 0.05, 50 * 0.05, 0, 0])
    all_in = SecondPriceAuction(winners=4).allocate(offers, Announcement())
    assert all_in.promised == pytest.approx([10, 20, 5, 0, 0])
