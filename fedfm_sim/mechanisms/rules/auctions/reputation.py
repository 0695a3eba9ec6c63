"""RRAFL: a reverse auction weighted by reputation, within a budget.

References
----------
.. [1] J. Zhang, Y. Wu and R. Pan, "Incentive mechanism for horizontal federated
   learning based on reputation and reverse auction", The Web Conference 2021,
   pp. 947-956.
.. [2] Y. Singer, "Budget feasible mechanisms", FOCS 2010, pp. 765-774 (the
   proportional-share rule that the auction is built on).
.. [3] R. B. Myerson, "Optimal auction design", Mathematics of Operations
   Research 6(1), 1981, pp. 58-73 (monotone allocation and threshold payment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Mechanism, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import (
    ReverseResult,
    chosen,
    nonnegative,
    ranked,
    same_length,
    standing_asks,
    within,
)

#: Reputation below it counts as none; dividing by it would overflow.
LEAST_TRUST = 1e-12


@dataclass(frozen=True, eq=False)
class AuctionResult(ReverseResult):
    """Who won, and what each is paid for its reputation.

    Attributes
    ----------
    unit_price : float
        Money per unit of reputation; zero when nobody won.
    """

    unit_price: float


def reputation_auction(
    asks: npt.ArrayLike, reputation: npt.ArrayLike, budget: float, threshold: float = 0.0
) -> AuctionResult:
    """Run the reputation-weighted reverse auction RRAFL [1]_.

    Bidders with ``R >= threshold`` are sorted by ask per reputation ``b/R``,
    ties by index. The winners W are the first k, for the largest k with
    ``b_k / R_k <= B / sum_{j<=k} R_j``, and winner i is paid
    ``R_i * min(B / sum_W R, b_{k+1} / R_{k+1})``; with no bidder left over,
    ``R_i * B / sum_W R``.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks; infinity does not bid.
    reputation : (n,) array
        Trust in each, in [0, 1]. Zero (less than 1e-12) cannot win.
    budget : float
        Money that the server can spend, at least 0.
    threshold : float
        Least reputation that may take part.

    Returns
    -------
    AuctionResult

    Raises
    ------
    UserError
        When asks or budget are negative or not numbers, or a reputation is
        outside [0, 1].

    Notes
    -----
    A winner keeps winning with a lower ask, and is paid the highest ask with
    which it would still have won, so the auction is truthful in asks [3]_ while
    reputations are not the bidders' to choose. Winners are paid at least their
    asks, and never more than the budget together [2]_.
    """
    asks = nonnegative("asks", asks, infinite=True)
    reputation = nonnegative("reputation", reputation)
    same_length(asks=asks, reputation=reputation)
    if (reputation > 1).any():
        raise UserError("reputation must lie in [0, 1]")
    nonnegative("budget", budget, ndim=0)
    eligible = np.flatnonzero((reputation >= max(threshold, LEAST_TRUST)) & np.isfinite(asks))
    ratio = asks[eligible] / reputation[eligible]
    order = ranked(ratio)
    bidders, ratio = eligible[order], ratio[order]
    share = budget / np.cumsum(reputation[bidders])

    # The ratios rise and the shares fall, so those who qualify come first.
    winners = int(np.count_nonzero(within(ratio, share)))
    selected = chosen(asks.size, bidders[:winners])
    unit_price = 0.0
    if winners:
        unit_price = float(min(share[winners - 1], *ratio[winners : winners + 1], np.inf))
        unit_price = max(unit_price, float(ratio[winners - 1]))  # it is, but for rounding
    return AuctionResult(selected, np.where(selected, reputation * unit_price, 0.0), unit_price)


class ReputationAuction(Mechanism):
    """The RRAFL auction (see `reputation_auction`) as a payment mechanism.

    Assumptions: reputation is public and out of the bidders' hands; each bidder
    knows its own cost and cares about its own payment alone; the work offered
    is what is delivered.

    - Individual rationality holds: a winner is paid at least its ask.
    - Incentive compatibility in asks holds: the winners are monotone in their
      asks and paid their thresholds. It does not hold for the units, which the
      auction does not look at, nor against coalitions of bidders, nor if
      bidding low today raises reputation tomorrow.
    - Budget feasibility holds: payments add up to at most ``budget``.

    Attributes
    ----------
    budget : float
        Money per round; the default is about what ten full rounds of work cost.
    threshold : float
        Least reputation that may take part, in [0, 1].
    """

    properties = Properties(
        knows="reputation is public; each bidder knows its own cost alone",
        source="Zhang, Wu and Pan, The Web Conference 2021",
        individually_rational=True,
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    budget: float = Field(default=10.0, gt=0)
    threshold: float = Field(default=0.0, ge=0, le=1)

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Auction the round's budget among those who offer work; no price is posted."""
        asks = standing_asks(offers)
        result = reputation_auction(asks, offers.reputation, self.budget, self.threshold)
        return Allocation(result.selected, result.payments)
