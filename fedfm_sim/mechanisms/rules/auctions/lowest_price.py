"""The lowest-price auction: the cheapest win and are paid what they ask.

References
----------
.. [1] W. Vickrey, "Counterspeculation, auctions, and competitive sealed
   tenders", The Journal of Finance 16(1), 1961, pp. 8-37 (why asking more
   than one's cost pays here).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import (
    LowestAsksWin,
    ReverseResult,
    ascending,
    asks_per_unit,
    at_least_one,
    chosen,
    nonnegative,
)


def lowest_price(asks: npt.ArrayLike, winners: int, reserve: float = np.inf) -> ReverseResult:
    """Run the pay-as-bid reverse auction [1]_: the lowest asks win, and are paid.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks; infinity does not bid.
    winners : int
        How many win at most, at least 1.
    reserve : float
        Highest ask that can win, money.

    Returns
    -------
    ReverseResult
        Ties go to the lower index.

    Raises
    ------
    UserError
        When an ask or the reserve is negative or not a number, or there is to
        be no winner.

    Notes
    -----
    It is not truthful: a winner gains by asking just below the best losing ask.

    Examples
    --------
    >>> lowest_price([3, 1, 2], winners=2).payments.tolist()
    [0.0, 1.0, 2.0]
    """
    asks = nonnegative("asks", asks, infinite=True)
    nonnegative("reserve", reserve, infinite=True, ndim=0)
    at_least_one("winners", winners)
    selected = chosen(asks.size, ascending(asks, reserve)[:winners])
    return ReverseResult(selected, np.where(selected, asks, 0.0))


class LowestPriceAuction(LowestAsksWin):
    """The pay-as-bid auction (see `lowest_price`) over asks per unit of work.

    Assumptions: each bidder knows its own cost; the work offered is what is
    delivered.

    - Individual rationality holds: a winner is paid its ask.
    - Incentive compatibility does not hold: a winner is paid what it asks, and
      so asks more than its cost.
    - Budget balance does not hold: the server's bill is bounded by the reserve
      times the units that win, not by a budget.
    """

    properties = Properties(
        knows="each bidder knows its own cost alone",
        source="Vickrey, The Journal of Finance 1961",
        individually_rational=True,
        monotone=True,
    )

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the lowest asks per unit, and promise each its ask."""
        result = lowest_price(asks_per_unit(offers), self.winners, self.reserve)
        return Allocation(result.selected, np.where(result.selected, offers.asks, 0.0))
