"""The least core written out in full with cvxpy: to read, and to test against."""

from __future__ import annotations

import cvxpy
import numpy as np

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.least_core import LeastCore


def least_core_reference(game: CoalitionGame, *, subsidy: bool = False) -> LeastCore:
    """Return what `least_core` returns, from one constraint per coalition.

    Parameters
    ----------
    game : CoalitionGame
        At most 12 players or so: it takes seconds there.
    subsidy : bool
        Whether ``e >= 0`` is added.

    Returns
    -------
    LeastCore
        Its allocation is accurate to about 1e-5 of the game's largest value, its
        excess to 1e-9.

    Raises
    ------
    UserError
        When the game is too large for a table.
    """
    n = game.players
    worth = game.table() - game.table()[0]
    total = float(worth[-1])
    scale = float(np.abs(worth).max())
    if n == 1 or scale == 0:
        return LeastCore(np.full(n, total / n), 0.0, 0)
    coalitions = np.arange(1, 2**n - 1)
    members = (coalitions[:, None] >> np.arange(n)) & 1
    worth = worth[coalitions] / scale
    total /= scale

    x = cvxpy.Variable(n)
    e = cvxpy.Variable(nonneg=subsidy)
    stable = [cvxpy.sum(x) == total, members @ x + e >= worth]
    cvxpy.Problem(cvxpy.Minimize(e), stable).solve(solver=cvxpy.HIGHS)
    least = float(e.value)

    # The least core is often flat, and an interior-point solver wants an
    # interior; the square is flat at its minimum, hence the narrow gap.
    closest = cvxpy.Minimize(cvxpy.sum_squares(x - total / n))
    cvxpy.Problem(closest, [*stable, e == least + 1e-7]).solve(
        solver=cvxpy.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11
    )
    return LeastCore(scale * np.asarray(x.value), scale * least, coalitions.size)
