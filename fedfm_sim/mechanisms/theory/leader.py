"""General leader-follower problems, by a search over what the followers answer.

`delay` and `privacy_price` are two that use it.

References
----------
.. [1] H. von Stackelberg, "Marktform und Gleichgewicht", 1934.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brute, minimize

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError

#: Leader's decision (m,) to the followers' equilibrium (n,).
Response = Callable[[Array], Array]

#: Leader's decision (m,) and the followers' response (n,) to money.
Objective = Callable[[Array, Array], float]

#: Best responses have settled when none moves by more than this share.
SETTLED = 1e-10


@dataclass(frozen=True, eq=False)
class LeaderSolution:
    """What the leader decides, and what follows.

    Attributes
    ----------
    decision : (m,) array
    response : (n,) array
    utility : float
        The leader's, money.
    """

    decision: Array
    response: Array
    utility: float


def solve_leader(
    objective: Objective,
    response: Response,
    bounds: Sequence[tuple[float, float]],
    points: int = 60,
) -> LeaderSolution:
    """Maximise the leader's objective over its decision, the followers responding.

    A grid over the bounds finds the right hill, and Nelder-Mead climbs it. The
    search is over what the followers will do, so nothing need be smooth; it
    is a numerical optimum, found to about six digits.

    Parameters
    ----------
    objective : callable
        ``objective(decision, response(decision))``, money.
    response : callable
        The followers' equilibrium; see `best_responses`.
    bounds : sequence of (low, high)
        One for each of the m parts of the decision; at most 3.
    points : int
        Of the grid along each part, at least 2.

    Raises
    ------
    UserError
        When the bounds are empty, not finite, or too many to search, or the objective
        is not a number somewhere.
    """
    box = np.asarray(bounds, dtype=np.float64)
    if box.ndim != 2 or box.shape[1:] != (2,) or not 1 <= len(box) <= 3:
        raise UserError("a leader's decision has 1 to 3 parts, each with bounds (low, high)")
    if not np.isfinite(box).all() or (box[:, 0] > box[:, 1]).any() or points < 2:
        raise UserError("a leader's bounds must be finite and ascend, with at least 2 points")

    span = box[:, 1] - box[:, 0]

    def decided(shares: Array) -> Array:
        inside = box[:, 0] + span * np.clip(np.atleast_1d(shares), 0.0, 1.0)
        return np.asarray(np.minimum(inside, box[:, 1]))

    def loss(shares: Array) -> float:
        decision = decided(shares)
        utility = float(objective(decision, response(decision)))
        if np.isnan(utility):
            raise UserError(f"the leader's objective is not a number at {decision.tolist()}")
        return -utility

    # Decisions as shares of their bounds and money over its range, for tolerances have no unit.
    found, _, _, losses = brute(
        loss, tuple((0.0, 1.0) for _ in box), Ns=points, finish=None, full_output=True
    )
    start, money = np.atleast_1d(found), np.ptp(losses[np.isfinite(losses)], axis=None) or 1.0
    width = 1 / (points - 1)
    simplex = np.vstack([start, start + np.diag(np.where(start + width > 1, -width, width))])
    options = {"initial_simplex": simplex, "xatol": 1e-10, "fatol": 1e-14, "maxiter": 2000}
    search: Any = minimize  # its stubs know no initial simplex
    found = search(lambda s: loss(s) / money, start, method="Nelder-Mead", options=options).x
    decision = decided(np.asarray(found))
    return LeaderSolution(decision, response(decision), -loss(np.asarray(found)))


@dataclass(frozen=True, eq=False)
class BestResponses:
    """Where best responses led.

    Attributes
    ----------
    efforts : (n,) array
    converged : bool
        Whether they settled, so that ``efforts`` is an equilibrium.
    rounds : int
        How often everybody replied.
    gap : float
        How far any reply of the last round was from what was played, in its unit.
    """

    efforts: Array
    converged: bool
    rounds: int
    gap: float


def best_responses(
    reply: Callable[[int, Array], float],
    start: npt.ArrayLike,
    damping: float = 0.5,
    most_rounds: int = 10_000,
) -> BestResponses:
    """Let followers reply to each other in turn until nobody wants to move.

    Parameters
    ----------
    reply : callable
        ``reply(i, efforts)``: what is best for follower i given (n,) efforts.
    start : (n,) array
    damping : float
        Share of the way gone each time, in (0, 1].
    most_rounds : int
        After which to give up, at least 1: there may be no pure equilibrium, or it
        may repel.

    Returns
    -------
    BestResponses
        It says whether they settled; nothing is raised where they did not.

    Raises
    ------
    UserError
        When a parameter is out of its range or a reply is not finite.
    """
    if not (0 < damping <= 1 and most_rounds >= 1):
        raise UserError("best responses need a damping in (0, 1] and at least 1 round")
    efforts = np.array(start, dtype=np.float64)
    if efforts.ndim != 1 or not np.isfinite(efforts).all():
        raise UserError("best responses start from a flat array of finite efforts")
    converged, gap, done = False, 0.0, 0
    while not converged and done < most_rounds:
        gap, done = 0.0, done + 1
        for player in range(efforts.size):
            wanted = float(reply(player, efforts)) - efforts[player]
            if not np.isfinite(wanted):
                raise UserError(f"the best response of follower {player} is not finite")
            efforts[player] += damping * wanted
            gap = max(gap, float(abs(wanted)))
        converged = bool(gap <= SETTLED * np.abs(efforts).max(initial=0.0))
    return BestResponses(efforts, converged, done, gap)
