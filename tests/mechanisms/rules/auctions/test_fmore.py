"""FMore: scores, and the equilibrium bid against theory and against other bids."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from auction_bids import money, seeds
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import comb

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    EquilibriumBid,
    FMoreAuction,
    Offers,
    equilibrium_bid,
    fmore,
)
from fedfm_sim.mechanisms.rules.auctions.beliefs import Distribution


@given(seeds, st.integers(1, 4))
def test_the_best_scores_win_and_are_paid_their_asks(seed: int, winners: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    worth, asks = money(rng, n), money(rng, n)
    result = fmore(worth, asks, winners)
    ranked = sorted((-(w - a), i) for i, (w, a) in enumerate(zip(worth, asks, strict=True)))
    assert result.winners == tuple(sorted(i for s, i in ranked[:winners] if s <= 0))
    assert (result.payments == np.where(result.selected, asks, 0)).all()
    assert result.scores == pytest.approx(worth - asks)


def test_ties_go_to_the_lower_index_and_infinity_does_not_bid() -> None:
    assert fmore(np.full(40, 2.0), np.full(40, 1.0), 20).winners == tuple(range(20))
    assert fmore([2, 2], [np.inf, 1], 2).winners == (1,)
    assert fmore([], [], 1).winners == ()
    assert fmore([1], [1], 1).winners == (0,)
    assert fmore([1], [1.1], 1).winners == ()


@pytest.mark.parametrize(
    ("worth", "asks", "winners", "message"),
    [
        ([-1.0], [1.0], 1, "worth"),
        ([np.inf], [1.0], 1, "worth"),
        ([1.0], [np.nan], 1, "asks"),
        ([1.0], [1.0, 2.0], 1, "1 worth, 2 asks"),
        ([1.0], [1.0], 0, "winners"),
    ],
)
def test_impossible_input_is_refused(
    worth: list[float], asks: list[float], winners: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fmore(worth, asks, winners)


UNIFORM = stats.uniform(1, 1)


def root_bid(
    cost_type: float,
    bidders: int,
    winners: int,
    types: Distribution = UNIFORM,
) -> EquilibriumBid:
    """Return the bid for s = 2 sqrt(q) and cost t q, where q* = 1 / t**2 and S = 1 / t."""
    return equilibrium_bid(
        cost_type,
        worth=lambda q: 2 * q**0.5,
        cost=lambda q, t: t * q,
        types=types,
        bidders=bidders,
        winners=winners,
        most_quality=4.0,
    )


def test_golden_equilibrium_bid() -> None:
    # Che 1993, with s = 2 sqrt(q), c = t q, t uniform on [1, 2], N = 2, K = 1, t = 1:
    # 1 + integral of (2 - u) / u**2 over [1, 2] = 2 - ln 2.
    bid = root_bid(1.0, 2, 1)
    assert bid.quality == pytest.approx(1, abs=1e-6)
    assert bid.price == pytest.approx(2 - log(2), abs=1e-6)
    assert bid.score == pytest.approx(log(2), abs=1e-6)


@pytest.mark.parametrize(("bidders", "winners"), [(2, 1), (5, 1), (5, 2), (6, 4)])
@pytest.mark.parametrize("cost_type", [1.0, 1.3, 1.9])
def test_the_price_is_the_published_integral(bidders: int, winners: int, cost_type: float) -> None:
    def chance(u: float) -> float:
        """Return the probability that fewer than K of N - 1 others are below u."""
        f = u - 1
        others = bidders - 1
        return float(sum(comb(others, j) * f**j * (1 - f) ** (others - j) for j in range(winners)))

    rent, _ = quad(lambda u: chance(u) / u**2, cost_type, 2.0)
    expected = 1 / cost_type + rent / chance(cost_type)
    bid = root_bid(cost_type, bidders, winners)
    assert bid.quality == pytest.approx(1 / cost_type**2, abs=1e-6)
    assert bid.price == pytest.approx(expected, abs=1e-8)


def test_no_other_bid_earns_more_against_the_equilibrium() -> None:
    # One rival bids the equilibrium score of its type, uniform on [1, 2].
    grid = np.linspace(1, 2, 41)
    scores = np.array([root_bid(float(t), 2, 1).score for t in grid])
    assert (np.diff(scores) < 0).all()
    for cost_type in (1.0, 1.4, 1.8):
        own = root_bid(cost_type, 2, 1)
        surplus = 1 / cost_type
        honest = (surplus - own.score) * (2 - cost_type)
        others = (surplus - scores) * (2 - grid)
        assert honest >= others.max() - 1e-6


def test_without_competition_the_score_is_zero_and_the_last_type_asks_its_cost() -> None:
    alone = root_bid(1.5, 2, 2)
    assert alone.score == 0
    assert alone.price == pytest.approx(2 / 1.5, abs=1e-6)
    last = root_bid(2.0, 3, 1)
    assert last.price == pytest.approx(2 * 0.25, abs=1e-6)


def test_more_rivals_make_bids_sharper() -> None:
    prices = [root_bid(1.2, n, 1).price for n in (2, 3, 6, 20)]
    assert (np.diff(prices) < 0).all()
    assert prices[-1] > 1 / 1.2


def test_rivals_of_negative_surplus_do_not_compete() -> None:
    # S(t) = 3/2 - t on [1, 2]: the score is the integral of its positive part, 1/8.
    bid = equilibrium_bid(
        1.0,
        worth=lambda q: 2 * q,
        cost=lambda q, t: t * q + 0.5,
        types=UNIFORM,
        bidders=2,
        winners=1,
        most_quality=1.0,
    )
    assert bid.score == pytest.approx(1 / 8, abs=1e-6)
    assert bid.price == pytest.approx(2 - 1 / 8, abs=1e-6)


@pytest.mark.parametrize(
    ("cost_type", "bidders", "winners", "message"),
    [
        (0.9, 2, 1, "cost_type"),
        (np.nan, 2, 1, "cost_type"),
        (1.0, 0, 1, "bidders"),
        (1.0, 1, 0, "winners"),
    ],
)
def test_impossible_bidders_are_refused(
    cost_type: float, bidders: int, winners: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        root_bid(cost_type, bidders, winners)


def test_types_that_cannot_reach_a_score_of_zero_do_not_bid() -> None:
    with pytest.raises(UserError, match="costs more"):
        equilibrium_bid(
            1.5,
            worth=lambda q: 2 * q,
            cost=lambda q, t: t * q + 1,
            types=UNIFORM,
            bidders=2,
            winners=1,
            most_quality=0.5,
        )
    with pytest.raises(UserError, match="most_quality"):
        equilibrium_bid(
            1.5,
            worth=lambda q: q,
            cost=lambda q, t: t * q,
            types=UNIFORM,
            bidders=2,
            winners=1,
            most_quality=np.inf,
        )


def test_mechanism_weighs_units_by_the_classes_covered() -> None:
    covers = np.array([[True, True], [True, False], [True, True], [True, True]])
    offers = Offers(
        units=np.array([100.0, 400.0, 150.0, 0.0]),
        asks=np.array([1.0, 1.0, 2.0, 0.0]),
        reputation=np.ones(4),
        covers=covers,
    )
    allocation = FMoreAuction(winners=1, value=10, scale=100).allocate(offers, Announcement())
    # Qualities 100, 200, 150: scores 5.32, 7.65, 5.77.
    assert allocation.promised.tolist() == [0, 1, 0, 0]
    offers = Offers(offers.units, np.array([1.0, 4.0, 2.0, 0.0]), offers.reputation)
    allocation = FMoreAuction(winners=1, value=10, scale=100).allocate(offers, Announcement())
    # Without classes named: qualities 100, 400, 150, scores 5.32, 5.82, 5.77.
    assert allocation.promised.tolist() == [0, 4, 0, 0]
