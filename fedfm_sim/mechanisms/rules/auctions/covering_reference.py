"""Winner determination written out with cvxpy: to read, and to test against."""

from __future__ import annotations

import cvxpy
import numpy as np

from fedfm_sim.core.arrays import Array, Mask


def cheapest_cover_reference(asks: Array, covers: Mask, demand: int) -> Mask:
    """Return what `cheapest_cover` returns, or another set of the same cost.

    Parameters
    ----------
    asks : (n,) array
        Money, finite.
    covers : (n, m) bool array
        Which items the bundle of each bidder holds.
    demand : int
        How often each item is wanted.

    Returns
    -------
    (n,) bool array
    """
    wins = cvxpy.Variable(asks.size, boolean=True)
    covered = [covers.T.astype(np.float64) @ wins >= demand]
    cvxpy.Problem(cvxpy.Minimize(asks @ wins), covered).solve(solver=cvxpy.HIGHS)
    return np.asarray(wins.value > 0.5)
