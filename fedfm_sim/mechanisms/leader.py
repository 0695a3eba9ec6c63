"""General leader-follower problems, by a nested search, and two published ones.

References
----------
.. [1] H. von Stackelberg, "Marktform und Gleichgewicht", 1934.
.. [2] Y. Sarikaya and O. Ercetin, "Motivating workers in federated learning: a
   Stackelberg game perspective", IEEE Networking Letters 2(1), 2020, pp. 23-27
   (the time of a round as what the leader pays for).
.. [3] M. Zhang, E. Wei and R. Berry, "Faithful edge federated learning: scalability
   and privacy", IEEE Journal on Selected Areas in Communications 39(12), 2021,
   pp. 3790-3804 (privacy as what the followers sell).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brute, minimize

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Array

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
        When the bounds are empty, not finite, or too many to search.
    """
    box = np.asarray(bounds, dtype=np.float64)
    if box.ndim != 2 or box.shape[1:] != (2,) or not 1 <= len(box) <= 3:
        raise UserError("a leader's decision has 1 to 3 parts, each with bounds (low, high)")
    if not np.isfinite(box).all() or (box[:, 0] > box[:, 1]).any() or points < 2:
        raise UserError("a leader's bounds must be finite and ascend, with at least 2 points")

    def loss(decision: Array) -> float:
        inside = np.clip(np.atleast_1d(decision), box[:, 0], box[:, 1])
        return -float(objective(inside, response(inside)))

    ranges = tuple((low, high) for low, high in box)
    start = np.atleast_1d(brute(loss, ranges, Ns=points, finish=None))
    width = (box[:, 1] - box[:, 0]) / (points - 1)
    simplex = np.vstack(
        [start, start + np.diag(np.where(start + width > box[:, 1], -width, width))]
    )
    options = {"initial_simplex": simplex, "xatol": 1e-10, "fatol": 1e-14, "maxiter": 2000}
    search: Any = minimize  # its stubs know no initial simplex
    found = search(loss, start, method="Nelder-Mead", options=options)
    decision = np.clip(np.atleast_1d(found.x), box[:, 0], box[:, 1])
    return LeaderSolution(decision, response(decision), -loss(decision))


def best_responses(
    reply: Callable[[int, Array], float], start: npt.ArrayLike, damping: float = 0.5
) -> Array:
    """Return the followers' equilibrium by best responses in turn, damped.

    Parameters
    ----------
    reply : callable
        ``reply(i, efforts)``: what is best for follower i given (n,) efforts.
    start : (n,) array
    damping : float
        Share of the way gone each time, in (0, 1].

    Raises
    ------
    UserError
        When they have not settled after 10,000 rounds: there may be no pure
        equilibrium, or it repels.
    """
    efforts = np.array(start, dtype=np.float64)
    for _ in range(10_000):
        before = efforts.copy()
        for player in range(efforts.size):
            efforts[player] += damping * (reply(player, efforts) - efforts[player])
        if np.abs(efforts - before).max(initial=0.0) <= SETTLED * (1 + np.abs(efforts).max()):
            return efforts
    raise UserError("best responses did not settle in 10,000 rounds")


def delay_response(prices: npt.ArrayLike, work: npt.ArrayLike, kappa: npt.ArrayLike) -> Array:
    """Return the speeds at which followers work when paid ``price`` per unit of speed.

    Follower i maximises ``q_i P - kappa_i work_i P**2`` (reward for its speed, less the
    energy of ``work_i`` cycles at speed P): ``P_i = q_i / (2 kappa_i work_i)`` [2]_.
    A round takes as long as the slowest, ``max work_i / P_i``.

    Parameters
    ----------
    prices, work, kappa : (n,) arrays
        Money per speed, at least 0; cycles and money per cycle and squared speed, above 0.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    q, cycles, energy = (np.asarray(part, dtype=np.float64) for part in (prices, work, kappa))
    if (q < 0).any() or not ((cycles > 0).all() and (energy > 0).all()):
        raise UserError("prices must be at least 0, work and kappa above 0")
    return np.asarray(q / (2 * energy * cycles))


def cheapest_delay(time: float, work: npt.ArrayLike, kappa: npt.ArrayLike) -> Array:
    """Return the least prices with which a round takes ``time``.

    Nobody need be faster than the deadline, so everybody works at
    ``P_i = work_i / time``, for ``q_i = 2 kappa_i work_i**2 / time`` [2]_.

    Raises
    ------
    UserError
        When the time is not above 0.
    """
    if not (np.isfinite(time) and time > 0):
        raise UserError(f"the time of a round must be above 0, got {time}")
    cycles, energy = np.asarray(work, dtype=np.float64), np.asarray(kappa, dtype=np.float64)
    return np.asarray(2 * energy * cycles**2 / time)


def privacy_response(price: float, sensitivity: npt.ArrayLike, most: float) -> Array:
    """Return the privacy budgets that followers sell at ``price`` per unit of epsilon.

    Follower i maximises ``price e - v_i e**2`` for 0 <= e <= ``most``, where v_i is how much
    privacy is worth to it: ``e_i = min(price / (2 v_i), most)`` [3]_. Whom privacy
    is worth nothing sells all.

    Parameters
    ----------
    price : float
        Money per unit of epsilon, at least 0.
    sensitivity : (n,) array
        v, money per squared epsilon, at least 0.
    most : float
        Largest epsilon that anybody may spend, above 0.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    value = np.asarray(sensitivity, dtype=np.float64)
    if price < 0 or (value < 0).any() or not most > 0:
        raise UserError("price and sensitivity must be at least 0, the largest epsilon above 0")
    with np.errstate(over="ignore"):  # whom privacy is worth next to nothing
        wanted = np.divide(price, 2 * value, out=np.full(value.shape, np.inf), where=value > 0)
    return np.minimum(wanted, most) if price > 0 else np.zeros_like(value)
