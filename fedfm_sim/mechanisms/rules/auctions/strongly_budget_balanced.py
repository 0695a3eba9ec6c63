"""A strongly budget-balanced double auction: one price, and nothing left over.

References
----------
.. [1] E. Segal-Halevi, A. Hassidim and Y. Aumann, "SBBA: A strongly
   budget-balanced double-auction mechanism", SAGT 2016, pp. 260-272.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.protocol import Delivery, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import within
from fedfm_sim.mechanisms.rules.auctions.double import DoubleAuction, DoubleAuctionResult, Ranking


def strongly_budget_balanced(
    bids: npt.ArrayLike, asks: npt.ArrayLike, rng: np.random.Generator
) -> DoubleAuctionResult:
    """Run the strongly budget-balanced double auction SBBA [1]_.

    Bids ``b`` sorted down and asks ``s`` up, with k efficient trades: the price
    is ``p = min(s_{k+1}, b_k)``. With ``p = s_{k+1}`` all k trade. With
    ``p = b_k`` the buyer who set it stays out, and so does one of the first k
    sellers, drawn by lot.

    Parameters
    ----------
    bids : (m,) array
        Money that each buyer bids for one good.
    asks : (n,) array
        Money that each seller asks for one; infinity does not sell.
    rng : Generator
        Draws one order of the sellers, whatever the bids; the last in it of
        those who would sell is the one left out.

    Returns
    -------
    DoubleAuctionResult
        Both prices are equal. Ties of bids go to the lower index.

    Raises
    ------
    UserError
        When bids or asks are negative or not numbers.

    Notes
    -----
    Since the lot does not depend on the bids, truth is a dominant strategy for
    every outcome of the lot, and not only in expectation over it. Leaving out
    the dearest seller instead would not be truthful: it could ask less.

    Examples
    --------
    >>> result = strongly_budget_balanced([9, 8], [3, 4, 6], np.random.default_rng(0))
    >>> result.trades, result.buyer_price, result.seller_price
    (2, 6.0, 6.0)
    """
    ranking = Ranking.of(bids, asks)
    lots = rng.permutation(ranking.asks.size)
    k = ranking.trades
    if k == 0:
        return ranking.result(0, 0.0, 0.0)
    last_bid, next_ask = ranking.bid(k - 1), ranking.ask(k)
    if within(next_ask, last_bid):
        return ranking.result(k, next_ask, next_ask)
    selling = ranking.sellers[:k]
    staying = np.delete(selling, lots[selling].argmax())
    return ranking.result(k - 1, last_bid, last_bid, staying)


class StronglyBudgetBalancedAuction(DoubleAuction):
    """The SBBA (see `strongly_budget_balanced`) between model owners and participants.

    Who is left out is drawn once a round from ``lottery`` and the number of
    rounds settled, so that all questions asked about one round get one answer.

    Assumptions: units of work are alike to a buyer; every buyer and every
    participant knows its own value or cost; the work offered is what is
    delivered.

    - Individual rationality holds on both sides.
    - Incentive compatibility holds on both sides, whatever the lot, for prices
      per unit. It does not hold for the units.
    - Budget balance holds strongly: all that the buyers pay goes to the
      participants.
    - Efficiency fails by at most one trade, but not always the least valuable.

    Attributes
    ----------
    lottery : int
        Seed of the lots.
    """

    properties = Properties(
        knows="each buyer and each participant knows its own value or cost alone",
        source="Segal-Halevi, Hassidim and Aumann, SAGT 2016",
        individually_rational=True,
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    lottery: int = Field(default=0, ge=0)
    _settled: int = PrivateAttr(default=0)

    def clear(self, bids: Array, asks: Array) -> DoubleAuctionResult:
        """Return who trades at which price per unit."""
        rng = np.random.default_rng([self.lottery, self._settled])
        return strongly_budget_balanced(bids, asks, rng)

    def learn(self, payments: Array, delivery: Delivery) -> None:
        """Count the round, so that the next one draws other lots."""
        self._settled += 1
