"""The VCG auction against all sets of bidders, and its payments against their meaning."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from auction_bids import money, seeds, threshold
from hypothesis import given, settings

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Announcement, Offers, VCGAuction, vcg
from fedfm_sim.mechanisms.rules.auctions import vcg as module
from fedfm_sim.mechanisms.rules.auctions.bids import saturating_worth

WORTH = saturating_worth(12.0, 4.0)


def drawn(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    return money(rng, n), money(rng, n)


def most_welfare(asks: Array, units: Array, without: int | None = None) -> float:
    """Try all sets."""
    who = [i for i in range(asks.size) if i != without]
    sets = [list(s) for size in range(len(who) + 1) for s in combinations(who, size)]
    return max(float(WORTH(units[s].sum()) - asks[s].sum()) for s in sets)


@given(seeds)
def test_welfare_and_clarke_payments_against_all_sets(seed: int) -> None:
    asks, units = drawn(seed)
    result = vcg(asks, units, WORTH)
    best = most_welfare(asks, units)
    chosen = result.selected
    assert result.welfare == pytest.approx(best, abs=1e-9)
    assert WORTH(units[chosen].sum()) - asks[chosen].sum() == pytest.approx(best, abs=1e-9)
    for i in result.winners:
        clarke = asks[i] + best - most_welfare(asks, units, without=i)
        assert result.payments[i] == pytest.approx(clarke, abs=1e-9)
    assert (result.payments[~chosen] == 0).all()


@settings(max_examples=30)
@given(seeds)
def test_the_payment_is_the_highest_ask_that_still_wins(seed: int) -> None:
    asks, units = drawn(seed)
    result = vcg(asks, units, WORTH)
    for who in result.winners:
        highest = threshold(lambda a: vcg(a, units, WORTH).selected, asks, who)
        assert result.payments[who] == pytest.approx(highest, abs=1e-7)


@given(seeds)
def test_payments_do_not_exceed_what_concave_work_is_worth(seed: int) -> None:
    asks, units = drawn(seed)
    result = vcg(asks, units, WORTH)
    assert result.payments.sum() <= WORTH(units[result.selected].sum()) + 1e-9


def test_ties_go_to_the_lower_index() -> None:
    result = vcg(np.ones(20), np.ones(20), lambda units: 3.0 * np.minimum(units, 4))
    assert result.winners == (0, 1, 2, 3)
    assert result.payments[:4].tolist() == [1, 1, 1, 1]
    # The same work at the same cost by other hands: {0, 3} or {1, 2}.
    result = vcg([1, 2, 2, 3], [1, 2, 2, 3], lambda units: 5.0 * np.minimum(units, 4))
    assert result.winners == (0, 3)


def test_of_equally_good_sets_the_one_of_least_work_is_taken() -> None:
    # Each alone gains 2: 4 - 2 and 3 - 1.
    result = vcg([2, 1], [2, 1], lambda units: np.minimum(np.minimum(3 * units, units + 2), 4))
    assert (result.winners, result.welfare) == ((1,), 2)


def test_who_asks_infinity_or_offers_nothing_does_not_win() -> None:
    result = vcg([np.inf, 0, 1], [5, 0, 5], WORTH)
    assert result.winners == (2,)
    alone = vcg([np.inf], [1], WORTH)
    assert (alone.winners, alone.welfare) == ((), 0)
    assert vcg([], [], WORTH).payments.size == 0


def test_forty_bidders_are_solved_exactly() -> None:
    # Units all alike, so that the best set is the cheapest of its size.
    rng = np.random.default_rng(0)
    asks, worth = rng.uniform(0, 1, 40), saturating_worth(20.0, 15.0)
    by_size = np.append(0, np.cumsum(np.sort(asks)))
    best = (worth(np.arange(41.0)) - by_size).max()
    assert vcg(asks, np.ones(40), worth).welfare == pytest.approx(best, rel=1e-12)


def test_too_many_undominated_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SETS", 100)
    asks = 2.0 ** np.arange(10)
    with pytest.raises(UserError, match="fewer bidders"):
        vcg(asks, asks, lambda units: 2.0 * units)


@pytest.mark.parametrize(
    ("asks", "units", "message"),
    [
        ([-1.0], [1.0], "asks"),
        ([np.nan], [1.0], "asks"),
        ([1.0], [-1.0], "units"),
        ([1.0], [np.inf], "units"),
        ([1.0, 2.0], [1.0], "2 asks, 1 units"),
    ],
)
def test_impossible_input_is_refused(asks: list[float], units: list[float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        vcg(asks, units, WORTH)


def test_mechanism_has_a_saturating_value() -> None:
    offers = Offers(np.array([4.0, 4.0, 0.0]), np.array([2.0, 3.0, 0.0]), np.ones(3))
    allocation = VCGAuction(value=12, scale=4).allocate(offers, Announcement())
    alone, both = 12 * (1 - np.exp(-1)), 12 * (1 - np.exp(-2))
    assert both - alone < 3  # the second adds less than it asks
    assert allocation.promised == pytest.approx([3, 0, 0])
