"""The combinatorial reverse auction: bids on bundles of items, and VCG payments.

References
----------
.. [1] P. Cramton, Y. Shoham and R. Steinberg (editors), "Combinatorial
   Auctions", MIT Press, 2006.
.. [2] E. H. Clarke, "Multipart pricing of public goods", Public Choice 11,
   1971, pp. 17-33.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Mechanism, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import (
    ReverseResult,
    at_least_one,
    nonnegative,
    standing_asks,
    within,
)
from fedfm_sim.mechanisms.rules.auctions.covering import cheapest_cover, coverable


@dataclass(frozen=True, eq=False)
class BundleResult(ReverseResult):
    """Who won a combinatorial reverse auction, and what each is paid.

    Attributes
    ----------
    cost : float
        The winners' asks together, money; the least possible.
    """

    cost: float


def combinatorial(
    asks: npt.ArrayLike,
    covers: npt.ArrayLike,
    demand: int = 1,
    reserves: npt.ArrayLike = np.inf,
) -> BundleResult:
    """Run the combinatorial reverse auction with VCG payments [1]_ [2]_.

    The cheapest set of bids wins that covers each item at least ``demand``
    times. Winner i is paid ``ask_i + cost(N without i) - cost(N)``, but at most
    its reserve: the highest ask with which it would still have won.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks for its bundle, all or nothing; infinity
        does not bid.
    covers : (n, m) bool array
        Which of m items are in each bundle.
    demand : int
        How many winners have to cover each item, at least 1.
    reserves : float or (n,) array
        Highest ask with which each can win, money; a bidder that no other can replace
        is paid this.

    Returns
    -------
    BundleResult
        Ties go to the lower index as far as `cheapest_cover` resolves them.

    Raises
    ------
    UserError
        When an ask is negative or not a number, shapes do not fit, the bids
        within their reserves do not cover an item often enough, or a bidder
        cannot be replaced and has no finite reserve.

    Examples
    --------
    >>> result = combinatorial([3, 2, 2], [[1, 1], [1, 0], [0, 1]], reserves=9)
    >>> result.winners, result.payments.tolist(), result.cost
    ((0,), [4.0, 0.0, 0.0], 3.0)
    """
    asks, covers, reserves = admitted(asks, covers, demand, reserves)
    selected = cheapest_cover(asks, covers, demand)
    cost = float(asks[selected].sum())
    payments = np.zeros(asks.size)
    for i in np.flatnonzero(selected):
        others = asks.copy()
        others[i] = np.inf
        payments[i] = reserves[i]
        if coverable(others, covers, demand):
            instead = float(others[cheapest_cover(others, covers, demand)].sum())
            payments[i] = min(reserves[i], asks[i] + max(instead - cost, 0.0))
        payments[i] = max(payments[i], asks[i])  # it is, but for rounding
        if payments[i] == np.inf:
            raise UserError(f"nobody can replace bidder {i}; give it a finite reserve")
    return BundleResult(selected, payments, cost)


def admitted(
    asks: npt.ArrayLike, covers: npt.ArrayLike, demand: int, reserves: npt.ArrayLike
) -> tuple[Array, Mask, Array]:
    """Return the asks, infinite above their reserves, the bundles, and the reserves.

    Raises
    ------
    UserError
        As `combinatorial`.
    """
    asks = nonnegative("asks", asks, infinite=True)
    bundles = np.asarray(covers, dtype=np.bool_)
    if bundles.ndim != 2 or len(bundles) != asks.size:
        raise UserError(f"covers must be of shape ({asks.size}, items), got {bundles.shape}")
    at_least_one("demand", demand)
    if np.ndim(reserves) == 0:
        reserves = np.full(asks.size, reserves)
    limits = nonnegative("reserves", reserves, infinite=True)
    if limits.shape != asks.shape:
        raise UserError(f"each bidder needs one reserve, got {limits.size} for {asks.size}")
    standing = np.where(within(asks, limits), asks, np.inf)
    if not coverable(standing, bundles, demand):
        short = int((bundles[np.isfinite(standing)].sum(axis=0) < demand).argmax())
        raise UserError(f"the bids within their reserves cover item {short} too seldom")
    return standing, bundles, limits


class CombinatorialAuction(Mechanism):
    """The combinatorial auction (see `combinatorial`) of classes of the data.

    Each participant's bundle is the classes that it offers work on, and its bid
    the whole of its work; the server wants every class covered. Where that
    cannot be had within the reserve, nobody trains; nor where no classes are
    named.

    Assumptions: the bundles are true; each bidder knows its own cost; the work
    offered is what is delivered.

    - Individual rationality holds: a winner is paid at least its ask.
    - Incentive compatibility holds for the asks, as a dominant strategy. It does
      not hold for the bundles, nor against coalitions of bidders.
    - Budget balance does not hold: the server's bill is bounded by the reserve
      times the units that win.

    Attributes
    ----------
    reserve : float
        Highest ask per unit that can win, money; those that no other can replace
        are paid this per unit. The default of 0.1 is what the first unit is
        worth where unlimited work is worth 100 and 1000 units are the scale,
        the defaults of the mechanisms with a saturating value.
    demand : int
        How many winners have to cover each class.
    """

    properties = Properties(
        knows="bundles are public; each bidder knows its own cost alone",
        source="Clarke, Public Choice 1971; Cramton, Shoham and Steinberg 2006",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    reserve: float = Field(default=0.1, gt=0)
    demand: int = Field(default=1, ge=1)

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the cheapest participants who cover all classes; nobody if none can."""
        reserves = self.reserve * offers.units
        asks = standing_asks(offers)
        standing = np.where(within(asks, reserves), asks, np.inf)
        nobody = np.zeros(asks.size, dtype=np.bool_)
        if not offers.covers.size or not coverable(standing, offers.covers, self.demand):
            return Allocation(nobody, np.zeros(asks.size))
        result = self.run(asks, offers.covers, reserves)
        return Allocation(result.selected, result.payments)

    def run(self, asks: Array, covers: Mask, reserves: Array) -> BundleResult:
        """Return the result of the auction by this class's payment rule."""
        return combinatorial(asks, covers, self.demand, reserves)
