"""The VCG auction: the set of bidders that is worth most, and Clarke payments.

References
----------
.. [1] E. H. Clarke, "Multipart pricing of public goods", Public Choice 11,
   1971, pp. 17-33.
.. [2] T. Groves, "Incentives in teams", Econometrica 41(4), 1973, pp. 617-631.
.. [3] G. L. Nemhauser and Z. Ullmann, "Discrete dynamic programming and capital
   allocation", Management Science 15(9), 1969, pp. 494-505.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
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

#: Undominated sets of bidders that are kept at most; more would take minutes.
MOST_SETS = 200_000


@dataclass(frozen=True, eq=False)
class VCGResult(ReverseResult):
    """Who won, what each is paid, and what all gain together.

    Attributes
    ----------
    welfare : float
        Worth of the winners' work less their asks, money; the largest possible.
    """

    welfare: float


def vcg(asks: npt.ArrayLike, units: npt.ArrayLike, worth: Worth) -> VCGResult:
    """Run the Vickrey-Clarke-Groves procurement auction [1]_ [2]_.

    The winners W maximise the welfare ``g(sum of units) - sum of asks``, and
    winner i is paid ``ask_i + welfare(N) - welfare(N without i)``, the highest
    ask with which it would still have won.

    Parameters
    ----------
    asks : (n,) array
        Money that each bidder asks for all of its work; infinity does not bid.
    units : (n,) array
        Units of work of each; with 0 a bidder does not bid.
    worth : callable
        ``g``, arrays of units of work to money: non-decreasing and concave,
        with ``g(0) = 0``.

    Returns
    -------
    VCGResult
        Of equally good sets the one of least work, and of sets of equal work
        and cost the one with the lower indices.

    Raises
    ------
    UserError
        When asks or units are negative, not numbers, or not of one length, or
        there are too many undominated sets to be exact.

    Notes
    -----
    Sets that cost more than another with as much work cannot be best, and are
    dropped as bidders are added [3]_; what is left is small for tens of bidders
    and exact. The welfare without each winner comes from halving the bidders:
    ``O(n log n)`` additions of a bidder, not ``O(n**2)``.

    Examples
    --------
    >>> result = vcg([1, 2, 5], [1, 1, 1], lambda units: 4 * np.minimum(units, 1))
    >>> result.winners, result.payments.tolist(), result.welfare
    ((0,), [2.0, 0.0, 0.0], 3.0)
    """
    asks = nonnegative("asks", asks, infinite=True)
    units = nonnegative("units", units)
    same_length(asks=asks, units=units)
    # What a bidder adds to others' work is at most what it is worth alone.
    bidders = np.flatnonzero(~within(worth(units), asks))
    if not bidders.size:
        return VCGResult(np.zeros(asks.size, dtype=np.bool_), np.zeros(asks.size), 0.0)
    work, cost = units[bidders], asks[bidders]
    front, origins = _Front.empty(), []
    for i in reversed(range(bidders.size)):  # the last first: see `_Front.with_bidder`
        front, kept = front.with_bidder(work[i], cost[i])
        origins.append(kept)
    gains = worth(front.work) - front.cost
    # Of equally good sets the last, with the least work; rounding does not tell them apart.
    good = gains >= gains.max() - ROUNDING * worth(front.work).max()
    best = gains.size - 1 - int(good[::-1].argmax())
    winners = bidders[_trace(origins, best)]
    welfare = float(gains[best])

    selected, payments = chosen(asks.size, winners), np.zeros(asks.size)
    others = np.empty(bidders.size)
    _leave_one_out(_Front.empty(), range(bidders.size), work, cost, worth, others)
    externality = np.maximum(welfare - others, 0.0)  # it is, but for rounding
    payments[bidders] = np.where(selected[bidders], cost + externality, 0.0)
    return VCGResult(selected, payments, welfare)


@dataclass(frozen=True, eq=False)
class _Front:
    """The work and cost of the undominated sets of some bidders, most work first."""

    work: Array
    cost: Array

    @classmethod
    def empty(cls) -> _Front:
        return cls(np.zeros(1), np.zeros(1))

    def with_bidder(self, work: float, cost: float) -> tuple[_Front, Index]:
        """Return the front with one more bidder, and where each set of it came from.

        Origins below the size of this front take the new bidder, the others not.
        Of equal sets the one with the new bidder stays, so that a front built
        from the last bidder to the first prefers the lower indices.
        """
        works = np.concatenate([self.work + work, self.work])
        costs = np.concatenate([self.cost + cost, self.cost])
        order = np.lexsort((costs, -works))
        sorted_costs = costs[order]
        least = np.minimum.accumulate(sorted_costs)
        undominated = np.append(True, sorted_costs[1:] < least[:-1])
        kept = order[undominated]
        if kept.size > MOST_SETS:
            raise UserError(
                f"the VCG auction has more than {MOST_SETS} undominated sets of bidders; "
                "take fewer bidders, or coarser asks and units"
            )
        return _Front(works[kept], costs[kept]), kept


def _trace(origins: Sequence[Index], best: int) -> Index:
    """Return the bidders of a set of the final front, going back through its making."""
    winners = []
    for bidder in range(len(origins)):
        made = len(origins) - 1 - bidder
        earlier = origins[made - 1].size if made else 1
        best = int(origins[made][best])
        if best < earlier:
            winners.append(bidder)
        else:
            best -= earlier
    return np.array(winners, dtype=np.int64)


def _leave_one_out(
    front: _Front, rest: range, work: Array, cost: Array, worth: Worth, out: Array
) -> None:
    """Write the best welfare without bidder i to ``out[i]``, for all i in ``rest``.

    ``front`` is that of all bidders outside ``rest``.
    """
    if len(rest) == 1:
        out[rest[0]] = float((worth(front.work) - front.cost).max())
        return
    half = len(rest) // 2
    for inside, outside in ((rest[:half], rest[half:]), (rest[half:], rest[:half])):
        grown = front
        for i in outside:
            grown, _ = grown.with_bidder(work[i], cost[i])
        _leave_one_out(grown, inside, work, cost, worth, out)


class VCGAuction(Mechanism):
    """The VCG auction (see `vcg`) of a server with a saturating value of work.

    Assumptions: the server's value of work is public; each bidder knows its own
    cost; the work offered is what is delivered.

    - Individual rationality holds: a winner is paid its ask and its share in
      the gain.
    - Incentive compatibility holds for the asks, as a dominant strategy. It does
      not hold against coalitions of bidders, who can raise each other's pay.
    - Budget balance does not hold: there is no budget. Payments never exceed
      what the work is worth, as its value is concave: each winner gets at most
      what it adds to the others.

    Attributes
    ----------
    value : float
        Money that unlimited work is worth to the server in one round. The
        default of 100 fixes the unit of money.
    scale : float
        Units of work after which 63 % of the value is reached. The default of
        1000 is about ten participants who pass once over a hundred samples.
    """

    properties = Properties(
        knows="the server's value of work is public; each bidder knows its own cost alone",
        source="Clarke, Public Choice 1971; Groves, Econometrica 1973",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    value: float = Field(default=100.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the set of most welfare, and promise the Clarke payments."""
        worth = saturating_worth(self.value, self.scale)
        result = vcg(standing_asks(offers), offers.units, worth)
        return Allocation(result.selected, result.payments)
