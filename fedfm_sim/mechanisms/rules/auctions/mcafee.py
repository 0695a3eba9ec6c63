"""McAfee's double auction: truthful on both sides, at the loss of one trade.

References
----------
.. [1] R. P. McAfee, "A dominant strategy double auction", Journal of Economic
   Theory 56(2), 1992, pp. 434-450.
"""

from __future__ import annotations

import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.protocol import Properties
from fedfm_sim.mechanisms.rules.auctions.bids import within
from fedfm_sim.mechanisms.rules.auctions.double import DoubleAuction, DoubleAuctionResult, Ranking


def mcafee(bids: npt.ArrayLike, asks: npt.ArrayLike) -> DoubleAuctionResult:
    """Run McAfee's double auction with trade reduction [1]_.

    Bids ``b`` sorted down and asks ``s`` up, with k efficient trades: if
    ``p = (b_{k+1} + s_{k+1}) / 2`` exists and ``s_k <= p <= b_k``, all k trade
    at p; otherwise the first k - 1 trade, buyers paying ``b_k`` and sellers
    getting ``s_k``.

    Parameters
    ----------
    bids : (m,) array
        Money that each buyer bids for one good.
    asks : (n,) array
        Money that each seller asks for one; infinity does not sell.

    Returns
    -------
    DoubleAuctionResult
        Ties go to the lower index. The surplus is never negative.

    Raises
    ------
    UserError
        When bids or asks are negative or not numbers.

    Examples
    --------
    >>> result = mcafee([9, 8], [3, 4])
    >>> result.trades, result.buyer_price, result.seller_price, result.surplus
    (1, 8.0, 4.0, 4.0)
    """
    ranking = Ranking.of(bids, asks)
    k = ranking.trades
    if k == 0:
        return ranking.result(0, 0.0, 0.0)
    last_bid, last_ask = ranking.bid(k - 1), ranking.ask(k - 1)
    price = (ranking.bid(k) + ranking.ask(k)) / 2  # infinite or NaN where one is missing
    if within(last_ask, price) and within(price, last_bid):
        return ranking.result(k, price, price)
    return ranking.result(k - 1, last_bid, last_ask)


class McAfeeAuction(DoubleAuction):
    """McAfee's double auction (see `mcafee`) between model owners and participants.

    Assumptions: units of work are alike to a buyer; every buyer and every
    participant knows its own value or cost; the work offered is what is
    delivered.

    - Individual rationality holds on both sides.
    - Incentive compatibility holds on both sides, as a dominant strategy, for
      prices per unit. It does not hold for the units.
    - Budget balance holds weakly: the server keeps the difference of the two
      prices, and never loses.
    - Efficiency fails by at most one trade, the least valuable one.
    """

    properties = Properties(
        knows="each buyer and each participant knows its own value or cost alone",
        source="McAfee, Journal of Economic Theory 1992",
        individually_rational=True,
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    def clear(self, bids: Array, asks: Array) -> DoubleAuctionResult:
        """Return who trades at which price per unit."""
        return mcafee(bids, asks)
