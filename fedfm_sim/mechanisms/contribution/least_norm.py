"""The shortest vector that satisfies linear inequalities, by a dual active-set method.

The libraries at hand decide badly where the feasible set is a single point, as
least cores often are: non-negative least squares takes the bounds into its rank
decisions, HiGHS's quadratic solver fails, and an interior-point solver is
accurate to 1e-5. Here rank is decided on the rows alone.

References
----------
.. [1] D. Goldfarb and A. Idnani, "A numerically stable dual method for solving
   strictly convex quadratic programs", Mathematical Programming 27, 1983,
   pp. 1-33.
"""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import Values

#: A row counts as depending on others when so little of its squared length is left.
DEPENDENT = 1e-11


def least_norm(rows: Values, bounds: Values, tolerance: float) -> Values:
    """Return the shortest ``y`` with ``rows @ y >= bounds - tolerance``.

    Starts from ``y = 0`` and makes the most violated inequality an equality,
    dropping those that would then pull the wrong way, until none is violated.
    The norm of ``y`` rises with every one, so it ends.

    Parameters
    ----------
    rows : (m, n) array
        One inequality each.
    bounds : (m,) array
        Their right-hand sides.
    tolerance : float
        Largest violation that does not count.

    Returns
    -------
    (n,) array

    Raises
    ------
    RuntimeError
        When the inequalities contradict each other.
    """
    active: list[int] = []
    shortest: Values = np.zeros(rows.shape[1])
    multipliers: Values = np.zeros(0)
    while True:
        slacks = rows @ shortest - bounds
        slacks[active] = 0.0
        worst = int(slacks.argmin())
        if slacks[worst] >= -tolerance:
            return shortest
        active, multipliers = _make_equal(rows, active, multipliers, worst, -slacks[worst])
        equalities = rows[active]
        # Afresh from the equalities, so that rounding errors do not add up.
        shortest = np.asarray(np.linalg.lstsq(equalities, bounds[active])[0], np.float64)
        multipliers = np.maximum(np.linalg.lstsq(equalities.T, shortest)[0], 0.0)


def _make_equal(
    rows: Values, active: list[int], multipliers: Values, entering: int, missing: float
) -> tuple[list[int], Values]:
    """Return the active rows and multipliers with one more row, and some fewer.

    ``missing`` is by how much the entering row is violated.
    """
    entered = 0.0
    while True:
        row = rows[entering]
        pull = np.linalg.lstsq(rows[active].T, row)[0] if active else np.zeros(0)
        direction = row - pull @ rows[active]
        gain = float(direction @ row)
        independent = gain > DEPENDENT * float(row @ row)
        full_step = missing / gain if independent else np.inf

        opposed = np.flatnonzero(pull > DEPENDENT)
        limits = multipliers[opposed] / pull[opposed]
        step = min(full_step, float(limits.min(initial=np.inf)))
        if step == np.inf:
            raise RuntimeError("the inequalities contradict each other")
        multipliers = multipliers - step * pull
        entered += step
        if step == full_step:
            return [*active, entering], np.append(multipliers, entered)
        missing -= step * gain if independent else 0.0
        leaving = int(opposed[limits.argmin()])
        active = active[:leaving] + active[leaving + 1 :]
        multipliers = np.delete(multipliers, leaving)
