"""How an equilibrium's payoffs move when the game's payoffs do.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993,
   section 22.5 (the delta method and the infinitesimal jackknife).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedfm_sim.core.arrays import Array

#: Shares up to this are not played.
UNUSED = 1e-6
#: How far shares are moved to see what that does to payoffs.
STEP = 1e-5


def payoff_changes(
    values: Callable[[Array], Array],
    changes: Sequence[Callable[[Array], Array]],
    strategies: Sequence[Array],
) -> Array:
    """Return how much each change of the game moves the equilibrium's payoffs, to first order.

    As long as the same actions are played, all of them pay the same within their role; the
    shares move so that they still do (implicit function theorem), and payoffs with them.
    Standard errors follow by adding the squares of what every replicate moves [1]_.

    Parameters
    ----------
    values : callable
        Shares of every role's actions side by side, (A,), to what each action pays, (A,).
    changes : sequence of R callables
        The same of what is added to the game.
    strategies : sequence of n arrays
        The equilibrium, by role.

    Returns
    -------
    (R, n) array
        Least squares where shares that still pay the same don't exist or are many.
    """
    shares = np.concatenate(strategies)
    starts = np.cumsum([0, *map(len, strategies)])[:-1]
    tops = np.array([at + int(own.argmax()) for at, own in zip(starts, strategies, strict=True)])
    own = np.repeat(tops, list(map(len, strategies)))
    moved = np.flatnonzero((shares > UNUSED) & (own != np.arange(len(shares))))
    slopes = np.zeros((len(moved), len(shares)))
    for row, action in enumerate(moved):
        step = np.zeros(len(shares))
        step[action], step[own[action]] = 1.0, -1.0
        size = min(STEP, float(shares[action]) / 2)
        ahead, behind = (values(shares + sign * size * step) for sign in (1, -1))
        slopes[row] = (ahead - behind) / (2 * size)
    uneven = (slopes[:, moved] - slopes[:, own[moved]]).T
    changed = np.array([change(shares) for change in changes])
    if len(moved):
        gaps = changed[:, moved] - changed[:, own[moved]]
        changed = changed - np.linalg.lstsq(uneven, gaps.T, rcond=None)[0].T @ slopes
    return np.asarray(changed[:, tops])
