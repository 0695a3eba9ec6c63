"""Winner determination: the cheapest bids that together cover all items often enough.

References
----------
.. [1] P. Cramton, Y. Shoham and R. Steinberg (editors), "Combinatorial
   Auctions", MIT Press, 2006, chapters 12 to 14 (the winner determination
   problem).
"""

from __future__ import annotations

from math import log2

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.mechanisms.rules.auctions.bids import ROUNDING, within

#: Table entries of the dynamic programme beyond which the integer programme is quicker.
MOST_CELLS = 1 << 18

#: The dearest ask in the integer programme, whose gap is absolute: 1e-6.
MILP_MONEY = 1e4


def coverable(asks: Array, covers: Mask, demand: int) -> bool:
    """Return whether those who ask less than infinity can cover every item."""
    return bool((covers[np.isfinite(asks)].sum(axis=0) >= demand).all())


def cheapest_cover(asks: Array, covers: Mask, demand: int) -> Mask:
    """Return the set of bidders of the lowest total ask that covers every item.

    Minimises ``sum of asks`` such that each of m items is covered by at least
    ``demand`` winners [1]_.

    Parameters
    ----------
    asks : (n,) array
        Money; infinity cannot win.
    covers : (n, m) bool array
        Which items the bundle of each bidder holds; `coverable`.
    demand : int
        How often each item is wanted, at least 1.

    Returns
    -------
    (n,) bool array
        The winners. With few items (a table of at most ``MOST_CELLS``), of
        equally cheap sets the one of the lower indices; otherwise the one that
        HiGHS finds, always the same.
    """
    selected = np.zeros(asks.size, dtype=np.bool_)
    bidders = np.flatnonzero((asks <= _bound(asks, covers, demand)) & covers.any(axis=1))
    if bidders.size:
        log_cells = covers.shape[1] * log2(demand + 1) + log2(bidders.size)
        solve = _by_table if log_cells <= log2(MOST_CELLS) else _by_integer_programme
        selected[bidders] = solve(asks[bidders], covers[bidders], demand)
    return selected


def _bound(asks: Array, covers: Mask, demand: int) -> float:
    """Return what a cover by the lowest asks costs: who asks more is in no cheapest one.

    Without these, a bid that is out of all proportion can't drown the others in rounding.
    """
    order = np.argsort(asks, kind="stable")
    enough = (np.cumsum(covers[order], axis=0) >= demand).all(axis=1)
    first = int(enough.argmax())
    return float(asks[order[: first + 1]].sum()) * (1 + ROUNDING)


def _by_table(asks: Array, covers: Mask, demand: int) -> Mask:
    """Solve by dynamic programming over how often each item is still wanted."""
    items = covers.shape[1]
    places = (demand + 1) ** np.arange(items)
    wanted = np.arange((demand + 1) ** items)[:, None] // places % (demand + 1)
    least = np.full(wanted.shape[0], np.inf)  # the least cost with the bidders so far
    least[0] = 0.0
    steps = []
    for bidder in reversed(range(asks.size)):
        then = np.arange(least.size) - ((wanted > 0) & covers[bidder]) @ places
        with_it = asks[bidder] + least[then]
        taken = within(with_it, least) & (then < np.arange(least.size)) & np.isfinite(with_it)
        least = np.where(taken, with_it, least)
        steps.append((then, taken))
    selected, state = np.zeros(asks.size, dtype=np.bool_), least.size - 1
    for bidder, (then, taken) in enumerate(reversed(steps)):
        selected[bidder] = taken[state]
        state = int(then[state]) if taken[state] else state
    return selected


def _by_integer_programme(asks: Array, covers: Mask, demand: int) -> Mask:
    """Solve as an integer programme with HiGHS."""
    highest = asks.max()
    found = milp(
        asks * (MILP_MONEY / highest if highest > 0 else 1.0),
        integrality=np.ones(asks.size, dtype=np.int64),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(covers.T.astype(np.float64), demand, np.inf),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise RuntimeError(f"HiGHS ended the winner determination with: {found.message}")
    return np.asarray(found.x > 0.5)
