"""Double auctions: McAfee's own kind of markets, balance, truth, and one lost trade."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from auction_bids import money, seeds
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    Delivery,
    DoubleAuctionResult,
    McAfeeAuction,
    Offers,
    StronglyBudgetBalancedAuction,
    VCGDoubleAuction,
    mcafee,
    strongly_budget_balanced,
    vcg_double,
)

Rule = Callable[[Array, Array], DoubleAuctionResult]


def sbba(bids: Array, asks: Array, seed: int = 0) -> DoubleAuctionResult:
    return strongly_budget_balanced(bids, asks, np.random.default_rng(seed))


RULES: dict[str, Rule] = {"mcafee": mcafee, "sbba": sbba, "vcg": vcg_double}


def drawn(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return money(rng, int(rng.integers(1, 6))), money(rng, int(rng.integers(1, 6)))


def most_gain(bids: Array, asks: Array) -> float:
    """Try all sets of as many buyers as sellers."""
    most = 0.0
    for size in range(1, min(bids.size, asks.size) + 1):
        sellers = min(sum(s) for s in combinations(asks.tolist(), size))
        most = max(most, max(sum(b) for b in combinations(bids.tolist(), size)) - sellers)
    return most


# Markets worked through by McAfee's rule (Journal of Economic Theory 56(2), 1992):
# all trade at the middle price; so again; one trade is given up.
@pytest.mark.parametrize(
    ("bids", "asks", "trades", "buyer_price", "seller_price"),
    [
        ([17, 14, 13, 9, 6], [1, 4, 5, 8, 11], 4, 8.5, 8.5),
        ([100, 90, 80, 70, 60], [80, 85, 95, 100, 110], 2, 87.5, 87.5),
        ([9, 8], [3, 4], 1, 8, 4),
    ],
)
def test_mcafee_golden(
    bids: list[float], asks: list[float], trades: int, buyer_price: float, seller_price: float
) -> None:
    result = mcafee(bids, asks)
    assert (result.trades, result.buyer_price, result.seller_price) == (
        trades,
        buyer_price,
        seller_price,
    )


def test_sbba_by_hand() -> None:
    # s_3 = 6 <= b_2 = 8: both trade at 6.
    result = strongly_budget_balanced([9, 8], [3, 4, 6], np.random.default_rng(0))
    assert (result.trades, result.buyer_price) == (2, 6)
    # No third seller: the price is b_2 = 8, buyer 1 stays out, and one seller by lot.
    out = set()
    for seed in range(20):
        result = strongly_budget_balanced([9, 8], [3, 4], np.random.default_rng(seed))
        assert (result.trades, result.buyer_price, result.seller_price) == (1, 8, 8)
        assert result.buyers.tolist() == [True, False]
        out.add(int(np.flatnonzero(~result.sellers)[0]))
    assert out == {0, 1}


def test_vcg_double_by_hand() -> None:
    result = vcg_double([9, 8, 5], [3, 4, 6])
    assert (result.trades, result.buyer_price, result.seller_price) == (2, 5, 6)
    assert result.surplus == -2


@pytest.mark.parametrize("name", RULES)
@given(seed=seeds)
def test_who_trades_and_at_what_prices(name: str, seed: int) -> None:
    bids, asks = drawn(seed)
    result = RULES[name](bids, asks)
    assert result.buyers.sum() == result.sellers.sum() == result.trades
    assert (bids[result.buyers] >= result.buyer_price).all()
    assert (asks[result.sellers] <= result.seller_price).all()
    assert (bids[result.buyers].min(initial=np.inf) >= bids[~result.buyers].max(initial=0)) or (
        result.trades == 0
    )


@given(seeds)
def test_balance_and_efficiency(seed: int) -> None:
    bids, asks = drawn(seed)
    best = most_gain(bids, asks)
    for name, rule in RULES.items():
        result = rule(bids, asks)
        gain = bids[result.buyers].sum() - asks[result.sellers].sum()
        assert result.efficient_trades - result.trades in (0, 1)
        if name == "vcg":
            assert result.trades == result.efficient_trades
            assert gain == pytest.approx(best, abs=1e-12)
            assert result.surplus <= 0
        else:
            k = result.efficient_trades
            assert gain <= best + 1e-12
            assert result.surplus == 0 or (name == "mcafee" and result.surplus > 0)
            if name == "mcafee" and k:
                assert gain >= (1 - 1 / k) * best - 1e-12


@pytest.mark.parametrize("name", RULES)
@given(seed=seeds, lie=st.floats(0, 6), who=st.integers(0, 9))
def test_no_lie_pays_on_either_side(name: str, seed: int, lie: float, who: int) -> None:
    bids, asks = drawn(seed)
    rule, honest = RULES[name], RULES[name](bids, asks)
    seller, buyer = who % asks.size, who % bids.size
    lied = asks.copy()
    lied[seller] = lie
    got = rule(bids, lied)
    gain = [r.sellers[seller] * (r.seller_price - asks[seller]) for r in (honest, got)]
    assert gain[1] <= gain[0] + 1e-12
    lied = bids.copy()
    lied[buyer] = lie
    got = rule(lied, asks)
    gain = [r.buyers[buyer] * (bids[buyer] - r.buyer_price) for r in (honest, got)]
    assert gain[1] <= gain[0] + 1e-12


@pytest.mark.parametrize("name", RULES)
def test_degenerate_markets(name: str) -> None:
    rule = RULES[name]
    for bids, asks in (([1.0], [2.0]), ([], [1.0]), ([1.0], []), ([1.0], [np.inf])):
        result = rule(np.array(bids), np.array(asks))
        assert (result.trades, result.buyer_price, result.seller_price) == (0, 0, 0)
        assert (result.buyers.size, result.sellers.size) == (len(bids), len(asks))
        assert result.surplus == 0
    equal = rule(np.full(3, 2.0), np.full(3, 2.0))
    assert equal.efficient_trades == 3
    assert equal.surplus == 0


def test_ties_go_to_the_lower_index() -> None:
    result = mcafee([5, 5, 5, 5], [1, 1, 9])
    assert result.buyers.tolist() == [True, False, False, False]
    assert result.sellers.tolist() == [True, False, False]
    assert vcg_double([5, 5, 5], [1, 1]).buyers.tolist() == [True, True, False]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("bids", "asks", "message"),
    [([-1.0], [1.0], "bids"), ([np.inf], [1.0], "bids"), ([1.0], [np.nan], "asks")],
)
def test_impossible_input_is_refused(
    name: str, bids: list[float], asks: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        RULES[name](np.array(bids), np.array(asks))


OFFERS = Offers(
    units=np.array([100.0, 10.0, 50.0, 0.0]),
    asks=np.array([1.0, 0.4, 3.0, 0.0]),  # 0.01, 0.04 and 0.06 per unit
    reputation=np.ones(4),
)


def test_mechanisms_trade_units() -> None:
    values = (0.09, 0.08, 0.05)
    # b = 9, 8, 5 and s = 1, 4, 6 hundredths: k = 2, McAfee's price 5.5.
    allocation = McAfeeAuction(values=values).allocate(OFFERS, Announcement())
    assert allocation.promised == pytest.approx([5.5, 0.55, 0, 0])
    assert allocation.collected == pytest.approx(6.05)
    allocation = StronglyBudgetBalancedAuction(values=values).allocate(OFFERS, Announcement())
    assert allocation.promised == pytest.approx([6, 0.6, 0, 0])
    assert allocation.collected == pytest.approx(6.6)
    allocation = VCGDoubleAuction(values=values).allocate(OFFERS, Announcement())
    assert allocation.promised == pytest.approx([6, 0.6, 0, 0])
    assert allocation.collected == pytest.approx(5.5)


def test_lots_are_drawn_once_a_round() -> None:
    mechanism = StronglyBudgetBalancedAuction(values=(0.9, 0.8))
    offers = Offers(np.ones(2), np.array([0.3, 0.4]), np.ones(2))
    out = []
    for _ in range(20):
        first, again = (mechanism.allocate(offers, Announcement()) for _ in range(2))
        assert first.selected.tolist() == again.selected.tolist()
        out.append(int(np.flatnonzero(~first.selected)[0]))
        mechanism.learn(first.promised, Delivery(offers.units))
    assert set(out) == {0, 1}


@pytest.mark.parametrize("values", [(), (-1.0,), (float("nan"),)])
def test_values_are_checked(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        McAfeeAuction(values=values)
