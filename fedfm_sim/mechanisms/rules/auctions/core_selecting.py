"""Core-selecting payments: no coalition of losers could offer the server a better deal.

References
----------
.. [1] R. W. Day and S. Raghavan, "Fair payments for efficient allocations in
   public sector combinatorial auctions", Management Science 53(9), 2007,
   pp. 1389-1406 (constraint generation).
.. [2] R. W. Day and P. Cramton, "Quadratic core-selecting payment rules for
   combinatorial auctions", Operations Research 60(3), 2012, pp. 588-603.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.mechanisms.contribution.least_norm import least_norm
from fedfm_sim.mechanisms.protocol import Properties
from fedfm_sim.mechanisms.rules.auctions.combinatorial import (
    BundleResult,
    CombinatorialAuction,
    admitted,
    combinatorial,
)
from fedfm_sim.mechanisms.rules.auctions.covering import cheapest_cover

#: A coalition blocks when it saves the server more than this share of the bill.
TOLERANCE = 1e-10


def core_selecting(
    asks: npt.ArrayLike,
    covers: npt.ArrayLike,
    demand: int = 1,
    reserves: npt.ArrayLike = np.inf,
) -> BundleResult:
    """Run the combinatorial reverse auction with core-selecting payments [2]_.

    The winners are those of `combinatorial`. Their payments lie in the core: for
    every set C of bidders that covers the items, the winners W outside C are
    not paid more than the losers in C ask,
    ``sum_{W - C} p <= sum_{C - W} asks``. Of these payments, between each ask and
    VCG payment, those are taken that are most in sum, and of them the nearest to
    the VCG payments in Euclidean distance.

    Parameters
    ----------
    asks, covers, demand, reserves
        As `combinatorial`.

    Returns
    -------
    BundleResult

    Raises
    ------
    UserError
        As `combinatorial`.

    Notes
    -----
    Blocking sets are found one by one: with winners asking their payments, the
    cheapest cover is the best offer of any set to the server [1]_. Payments are
    at most those of VCG; asking one's cost is no dominant strategy.

    Examples
    --------
    Two local bidders cover what one global bidder asks 10 for; VCG pays them 16.

    >>> result = core_selecting([2, 2, 10], [[1, 0], [0, 1], [1, 1]])
    >>> result.payments.tolist()
    [5.0, 5.0, 0.0]
    """
    result = combinatorial(asks, covers, demand, reserves)
    asks, bundles, _ = admitted(asks, covers, demand, reserves)
    winners = np.flatnonzero(result.selected)
    highest = result.payments[winners]
    scale = float(highest.sum())
    if scale == 0:
        return result
    rows, bounds = np.zeros((0, winners.size)), np.zeros(0)
    paid = highest
    while True:
        blocking = _best_offer(asks, bundles, demand, winners, paid)
        outside = (~blocking[winners]).astype(np.float64)
        bound = float(asks[blocking & ~result.selected].sum())
        known = (rows == outside).all(axis=1) & (bounds == bound)
        if outside @ paid <= bound + TOLERANCE * scale or known.any():
            break
        rows, bounds = np.vstack([rows, outside]), np.append(bounds, bound)
        paid = _nearest(rows, bounds, asks[winners] / scale, highest / scale, scale)
    payments = np.zeros(asks.size)
    payments[winners] = paid
    return BundleResult(result.selected, payments, result.cost)


def _best_offer(asks: Array, bundles: Mask, demand: int, winners: Index, paid: Array) -> Mask:
    """Return the set of bidders that offers the server most, winners staying as well off."""
    offers = asks.copy()
    offers[winners] = paid
    return cheapest_cover(offers, bundles, demand)


def _nearest(rows: Array, bounds: Array, lowest: Array, highest: Array, scale: float) -> Array:
    """Return the payments of most sum, nearest to the highest, with ``rows @ p <= bounds``.

    In terms of what each gives up, ``y = highest - p``: the least sum first, and
    then the least norm among them.
    """
    excess = rows @ highest - bounds / scale
    room = highest - lowest
    least = linprog(
        np.ones(room.size),
        A_ub=-rows,
        b_ub=-excess,
        bounds=[(0.0, most) for most in room.tolist()],
        options={"primal_feasibility_tolerance": TOLERANCE},
    )
    if least.x is None:
        raise RuntimeError(f"HiGHS ended the core programme with: {least.message}")
    equal = float(least.x.sum()) / room.size
    every = np.vstack([rows, np.eye(room.size), -np.eye(room.size)])
    needed = np.concatenate([excess, np.zeros(room.size), -room])
    # Rows that add up to zero keep the sum as it is.
    balanced = every - every.mean(axis=1, keepdims=True)
    given_up = equal + least_norm(balanced, needed - every.sum(axis=1) * equal, TOLERANCE)
    return scale * np.clip(highest - given_up, lowest, highest)


class CoreSelectingAuction(CombinatorialAuction):
    """The combinatorial auction of classes with payments in the core (see `core_selecting`).

    Bundles, reserve and demand are as in `CombinatorialAuction`, and so are the
    assumptions.

    - Individual rationality holds: a winner is paid at least its ask.
    - Incentive compatibility does not hold: a winner may gain by asking more
      than its cost.
    - Budget balance does not hold; the server pays at most what VCG pays, and
      no coalition of bidders could offer it a better deal.
    """

    properties = Properties(
        knows="bundles are public; each bidder knows its own cost alone",
        source="Day and Cramton, Operations Research 2012",
        individually_rational=True,
        monotone=True,
    )

    def run(self, asks: Array, covers: Mask, reserves: Array) -> BundleResult:
        """Return the result of the auction with payments in the core."""
        return core_selecting(asks, covers, self.demand, reserves)
