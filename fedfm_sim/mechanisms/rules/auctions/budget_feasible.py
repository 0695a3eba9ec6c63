"""A budget-feasible auction: proportional shares of a budget for concave work.

References
----------
.. [1] Y. Singer, "Budget feasible mechanisms", FOCS 2010, pp. 765-774.
.. [2] N. Chen, N. Gravin and P. Lu, "On the approximability of budget feasible
   mechanisms", SODA 2011, pp. 685-699 (the submodular rule with half the
   budget, and its threshold payments).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Mechanism, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import (
    ROUNDING,
    ReverseResult,
    Worth,
    chosen,
    nonnegative,
    same_length,
    saturating_worth,
    standing_asks,
    within,
)


def budget_feasible(
    asks: npt.ArrayLike, units: npt.ArrayLike, budget: float, worth: Worth
) -> ReverseResult:
    """Run the proportional-share auction for submodular worth [1]_ [2]_.

    Bidders are added to S by the worth they add per money asked, the best
    first, as long as ``ask_i <= B/2 * (g(S + i) - g(S)) / g(S + i)``. A winner
    is paid the highest ask with which it would still have won.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks for all of its work; infinity does not bid.
    units : (n,) array
        Units of work of each; with 0 a bidder does not bid.
    budget : float
        B, money that the server can spend, at least 0.
    worth : callable
        ``g``, arrays of units of work to money: non-decreasing and concave,
        with ``g(0) = 0``, which makes it a submodular function of sets.

    Returns
    -------
    ReverseResult
        Ties go to the lower index. Without budget only those win who ask 0.

    Raises
    ------
    UserError
        When asks, units or budget are negative, not numbers, or not of one
        length.

    Notes
    -----
    The winners are monotone in their asks and paid their thresholds, so the
    auction is truthful; half the budget in the rule keeps these thresholds
    within the whole budget [2]_. No share of the best possible worth is
    guaranteed: for that, a lottery with the best single bidder is needed [2]_.

    Examples
    --------
    >>> result = budget_feasible([1, 2, 9], [1, 1, 1], 8, lambda units: units)
    >>> result.winners, result.payments.tolist()
    ((0, 1), [2.0, 2.0, 0.0])
    """
    asks = nonnegative("asks", asks, infinite=True)
    units = nonnegative("units", units)
    same_length(asks=asks, units=units)
    nonnegative("budget", budget, ndim=0)
    bidding = (units > 0) & np.isfinite(asks)
    winners, _ = _run(asks, units, budget, worth, bidding)
    payments = np.zeros(asks.size)
    for who in winners:
        others = bidding & (np.arange(asks.size) != who)
        _, threshold = _run(asks, units, budget, worth, others, who)
        payments[who] = max(threshold, asks[who])  # it is, but for rounding
    return ReverseResult(chosen(asks.size, np.array(winners, dtype=np.int64)), payments)


def _run(
    asks: Array, units: Array, budget: float, worth: Worth, bidding: Mask, watched: int = 0
) -> tuple[list[int], float]:
    """Return the winners among those bidding, and the threshold of one who looks on.

    ``watched`` could win at any step: with an ask that beats the bidder taken
    there and lies within its own share of the budget. Its threshold is the
    highest such ask over all steps.
    """
    winners: list[int] = []
    left, done, threshold = bidding.copy(), 0.0, 0.0
    while True:
        total = worth(done + units)
        added = total - worth(np.asarray(done))
        limit = budget / 2 * np.divide(added, total, out=np.zeros(asks.size), where=total > 0)
        with np.errstate(divide="ignore"):  # who asks nothing comes first
            rate = np.divide(added, asks, out=np.zeros(asks.size), where=left & (added > 0))
        best = int((rate >= rate.max() * (1 - ROUNDING)).argmax()) if rate.size else 0
        exhausted = not rate.any()
        if asks.size:
            to_beat = np.inf if exhausted else added[watched] / rate[best]
            threshold = max(threshold, float(min(to_beat, limit[watched])))
        if exhausted or not within(asks[best], limit[best]):
            return winners, threshold
        winners.append(best)
        left[best] = False
        done += units[best]


class BudgetFeasibleAuction(Mechanism):
    """The budget-feasible auction (see `budget_feasible`) with a saturating value of work.

    Assumptions: the server's value of work is public; each bidder knows its own
    cost; the work offered is what is delivered.

    - Individual rationality holds: a winner is paid at least its ask.
    - Incentive compatibility holds for the asks: the winners are monotone in
      them and paid their thresholds. It does not hold for the units.
    - Budget feasibility holds: payments add up to at most ``budget``.

    Attributes
    ----------
    budget : float
        Money per round; the default is about what ten full rounds of work cost.
    scale : float
        Units of work after which 63 % of the value of unlimited work is
        reached; how much that is does not matter here. The default of 1000 is
        about ten participants who pass once over a hundred samples.
    """

    properties = Properties(
        knows="the server's value of work is public; each bidder knows its own cost alone",
        source="Singer, FOCS 2010; Chen, Gravin and Lu, SODA 2011",
        individually_rational=True,
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    budget: float = Field(default=10.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Auction the round's budget among those who offer work."""
        worth = saturating_worth(1.0, self.scale)
        result = budget_feasible(standing_asks(offers), offers.units, self.budget, worth)
        return Allocation(result.selected, result.payments)
