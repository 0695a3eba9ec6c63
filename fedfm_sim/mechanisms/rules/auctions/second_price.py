"""The second-price reverse auction: the cheapest win at the best losing ask.

References
----------
.. [1] W. Vickrey, "Counterspeculation, auctions, and competitive sealed
   tenders", The Journal of Finance 16(1), 1961, pp. 8-37.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import (
    LowestAsksWin,
    UniformPriceResult,
    ascending,
    asks_per_unit,
    at_least_one,
    chosen,
    nonnegative,
    pay_for_units,
)


def second_price(asks: npt.ArrayLike, winners: int, reserve: float = np.inf) -> UniformPriceResult:
    """Run the (K+1)-st price reverse auction [1]_.

    The K lowest asks of at most ``reserve`` win, and each winner is paid the
    lowest ask that lost; the reserve where no such ask is left over.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks; infinity does not bid.
    winners : int
        K, how many win at most, at least 1.
    reserve : float
        Highest ask that can win, money.

    Returns
    -------
    UniformPriceResult
        Ties go to the lower index.

    Raises
    ------
    UserError
        When an ask or the reserve is negative or not a number, there is to be
        no winner, or all bidders win and there is no reserve to pay them.

    Notes
    -----
    The price is the highest ask with which a winner would still have won, so
    that asking one's cost is a dominant strategy [1]_.

    Examples
    --------
    >>> result = second_price([3, 1, 2], winners=1)
    >>> result.winners, result.price
    ((1,), 2.0)
    """
    asks = nonnegative("asks", asks, infinite=True)
    nonnegative("reserve", reserve, infinite=True, ndim=0)
    at_least_one("winners", winners)
    order = ascending(asks, reserve)
    selected = chosen(asks.size, order[:winners])
    if not order.size:
        return UniformPriceResult(selected, np.zeros(asks.size), 0.0)
    price = float(asks[order[winners]]) if order.size > winners else float(reserve)
    price = max(price, float(asks[order[:winners]].max()))  # it is, but for rounding
    if price == np.inf:
        raise UserError(f"with {order.size} bidders for {winners} places, give a finite reserve")
    return UniformPriceResult(selected, np.where(selected, price, 0.0), price)


class SecondPriceAuction(LowestAsksWin):
    """The (K+1)-st price auction (see `second_price`) over asks per unit of work.

    Assumptions: each bidder knows its own cost and wins or loses the whole of
    the work that it offers; the work offered is what is delivered.

    - Individual rationality holds: the price is at least a winner's ask.
    - Incentive compatibility holds for the asks: nobody sets its own price. It
      does not hold for the units, nor against coalitions of bidders.
    - Budget balance does not hold: the server's bill is bounded by the reserve
      times the units that win, not by a budget.
    """

    properties = Properties(
        knows="each bidder knows its own cost alone",
        source="Vickrey, The Journal of Finance 1961",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the lowest asks per unit, all at one price per unit."""
        result = second_price(asks_per_unit(offers), self.winners, self.reserve)
        return pay_for_units(result, offers)
