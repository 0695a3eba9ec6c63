"""Myerson's optimal auction: what earns most given beliefs about the bidders.

References
----------
.. [1] R. B. Myerson, "Optimal auction design", Mathematics of Operations
   Research 6(1), 1981, pp. 58-73.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import stats

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Market,
    Mechanism,
    Offers,
    Properties,
)
from fedfm_sim.mechanisms.rules.auctions.beliefs import Belief, ContinuousBelief
from fedfm_sim.mechanisms.rules.auctions.bids import (
    asks_per_unit,
    at_least_one,
    nonnegative,
    pay_for_units,
)
from fedfm_sim.mechanisms.rules.auctions.second_price import second_price

#: Below this standard deviation of their logarithm, costs count as equal.
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class OptimalAuctionResult:
    """Who won the optimal auction, and for what.

    Attributes
    ----------
    winner : int or None
        None where no trade is worth it.
    payment : float
        Money that the winner pays, or is paid in procurement; 0 without one.
    virtual : (n,) array
        Virtual value, or virtual cost, of each bid, money.
    """

    winner: int | None
    payment: float
    virtual: Array


def myerson(
    bids: npt.ArrayLike, beliefs: Belief | Sequence[Belief], own_value: float = 0.0
) -> OptimalAuctionResult:
    """Run the auction of one item that earns the seller most [1]_.

    The highest (ironed) virtual value of at least ``own_value`` wins, and pays
    the least bid with which it would still have won.

    Parameters
    ----------
    bids : (n,) array
        Money that each bids; minus infinity does not bid.
    beliefs : belief or sequence of n
        What the seller believes of each bidder's value, independently; one
        belief holds for all.
    own_value : float
        What the item is worth to the seller, money.

    Returns
    -------
    OptimalAuctionResult
        Ties go to the lower index.

    Raises
    ------
    UserError
        When bids are not numbers, or there are not as many beliefs.

    Notes
    -----
    Bidding one's value is a dominant strategy whatever the beliefs; that the
    revenue is the largest possible holds where the beliefs are true, and in
    expectation.

    Examples
    --------
    >>> myerson([0.4, 0.9], ContinuousBelief(stats.uniform())).payment
    0.5
    """
    bids = np.asarray(bids, dtype=np.float64)
    if bids.ndim != 1 or np.isnan(bids).any() or (bids == np.inf).any():
        raise UserError("bids must be a flat array of numbers below infinity")
    if not np.isfinite(own_value):
        raise UserError(f"the seller's own value must be finite, got {own_value}")
    each = list(beliefs) if isinstance(beliefs, Sequence) else [beliefs] * bids.size
    if len(each) != bids.size:
        raise UserError(f"each bidder needs one belief, got {bids.size} bids, {len(each)} beliefs")
    virtual = np.array(
        [
            belief.virtual_value(float(bid)) if np.isfinite(bid) else -np.inf
            for belief, bid in zip(each, bids, strict=True)
        ]
    )
    winner = int(virtual.argmax()) if bids.size else 0
    if not bids.size or not virtual[winner] >= own_value:
        return OptimalAuctionResult(None, 0.0, virtual)
    before = virtual[:winner].max(initial=-np.inf)
    after = max(virtual[winner + 1 :].max(initial=-np.inf), own_value)
    payment = each[winner].least_value(float(max(before, after)), above=bool(before >= after))
    return OptimalAuctionResult(winner, float(min(payment, bids[winner])), virtual)


def optimal_revenue(belief: Belief, bidders: int, own_value: float = 0.0) -> float:
    """Return what the optimal auction gains the seller in expectation, money.

    ``E[max(0, highest virtual value - own_value)]`` of n bidders of one belief
    [1]_: the revenue less the seller's own value of what is sold.

    Raises
    ------
    UserError
        When there is no bidder.

    Examples
    --------
    >>> round(optimal_revenue(ContinuousBelief(stats.uniform()), 2), 6)
    0.416667
    """
    at_least_one("bidders", bidders)
    return belief.expected_gain(own_value, bidders)


def myerson_procurement(
    asks: npt.ArrayLike, beliefs: Belief | Sequence[Belief], value: float
) -> OptimalAuctionResult:
    """Run the procurement of one item that gains the buyer most [1]_.

    The lowest (ironed) virtual cost, ``c + F(c) / f(c)``, of at most ``value``
    wins, and is paid the highest ask with which it would still have won: the
    mirror image of `myerson`, with costs as negative values.

    Parameters
    ----------
    asks : (n,) array
        Money that each asks; infinity does not bid.
    beliefs : belief or sequence of n
        What the buyer believes of each bidder's cost.
    value : float
        What the item is worth to the buyer, money.

    Returns
    -------
    OptimalAuctionResult

    Raises
    ------
    UserError
        When asks are negative or not numbers, or there are not as many beliefs.

    Examples
    --------
    >>> myerson_procurement([0.3], ContinuousBelief(stats.uniform()), value=1.0).payment
    0.5
    """
    asks = nonnegative("asks", asks, infinite=True)
    mirrored: Belief | list[Belief]
    if isinstance(beliefs, Sequence):
        mirrored = [belief.mirrored() for belief in beliefs]
    else:
        mirrored = beliefs.mirrored()
    result = myerson(-asks, mirrored, -value)
    return OptimalAuctionResult(result.winner, 0.0 - result.payment, -result.virtual)


def reserve_price(belief: Belief, value: float) -> float:
    """Return the highest ask that a buyer with this belief accepts, money.

    The highest cost with a virtual cost of at most ``value``: ``value`` itself
    where a belief with a density holds all such costs for impossible, and 0
    where a belief of finitely many values does. With one bidder it is the best
    take-it-or-leave-it offer.

    Examples
    --------
    >>> reserve_price(ContinuousBelief(stats.uniform()), 1.0)
    0.5
    """
    highest = -belief.mirrored().least_value(-value)
    return max(highest, 0.0)


class MyersonAuction(Mechanism):
    """Myerson's auction of work: second price, with the reserve that pays the server best.

    The server believes that costs per unit are lognormal and independent, and
    fits that to the costs per unit at capacity that it believes in (`Market`).
    Lognormal costs are regular, so the optimal auction for K equal places takes
    the K lowest asks up to one reserve price, which is announced, and pays the
    lowest ask that lost, or the reserve.

    Assumptions: a unit of work is worth ``value`` to the server, whoever does
    it; each bidder knows its own cost and not the others'.

    - Individual rationality holds: the price is at least a winner's ask.
    - Incentive compatibility holds for the asks, also where the belief is false.
    - Budget balance does not hold: the server's bill is bounded by the reserve
      times the units that win.

    Attributes
    ----------
    winners : int
        How many are taken at most. The default of 5 is half the participants of
        a default scenario.
    value : float
        Money that a unit of work is worth to the server. The default of 0.1 is
        what the first unit is worth where unlimited work is worth 100 and 1000
        units are the scale, the defaults of the mechanisms with a saturating
        value.
    """

    properties = Properties(
        knows="the distribution of costs is common knowledge, a cost is private",
        source="Myerson, Mathematics of Operations Research 1981",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    winners: int = Field(default=5, ge=1)
    value: float = Field(default=0.1, gt=0)

    def announce(self, market: Market) -> Announcement:
        """Announce the reserve price, money per unit.

        Without a spread of costs it is their level, if that is worth it.
        """
        costs = market.linear + market.quadratic * market.capacity
        costs = costs[(market.capacity > 0) & (costs > 0)]
        if not costs.size:
            return Announcement(price=self.value)
        logs = np.log(costs)
        if logs.std() < LEAST_SPREAD:
            cost = float(costs.max())
            return Announcement(price=cost if cost <= self.value else 0.0)
        belief = ContinuousBelief(stats.lognorm(logs.std(), scale=np.exp(logs.mean())))
        return Announcement(price=reserve_price(belief, self.value))

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the lowest asks per unit up to the reserve, all at one price per unit."""
        result = second_price(asks_per_unit(offers), self.winners, announcement.price)
        return pay_for_units(result, offers)
