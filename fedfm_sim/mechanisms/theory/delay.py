"""Paying for speed: a Stackelberg game whose leader wants the round over.

References
----------
.. [1] Y. Sarikaya and O. Ercetin, "Motivating workers in federated learning: a
   Stackelberg game perspective", IEEE Networking Letters 2(1), 2020, pp. 23-27
   (paid per unit of speed, within a budget). Here the time of a piece of work at a given
   speed is certain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.theory.leader import solve_leader


@dataclass(frozen=True, eq=False)
class DelayEquilibrium:
    """How fast a round is, and what that costs.

    Attributes
    ----------
    time : float
        Of the round: of the slowest follower, and here of all.
    prices : (n,) array
        Money per unit of speed.
    speeds : (n,) array
    payments : (n,) array
        Money; twice what the speed costs the follower, which keeps the other half.
    """

    time: float
    prices: Array
    speeds: Array
    payments: Array


def delay_response(prices: npt.ArrayLike, work: npt.ArrayLike, kappa: npt.ArrayLike) -> Array:
    """Return the speeds at which followers work when paid ``price`` per unit of speed.

    Follower i maximises ``q_i P - kappa_i work_i P**2``, its reward less the energy of
    ``work_i`` cycles at speed P, by ``P_i = q_i / (2 kappa_i work_i)`` [1]_. A round
    takes as long as the slowest, ``max work_i / P_i``.

    Parameters
    ----------
    prices : (n,) array
        Money per unit of speed, at least 0.
    work : (n,) array
        Cycles, above 0.
    kappa : (n,) array
        Money per cycle and squared speed, above 0.

    Raises
    ------
    UserError
        When a number is out of range, or the shapes differ.
    """
    cycles, energy = _followers(work, kappa)
    each = np.asarray(prices, dtype=np.float64)
    if each.shape != cycles.shape or not (np.isfinite(each) & (each >= 0)).all():
        raise UserError("prices of speed must be at least 0, one for each follower")
    return each / (2 * energy * cycles)


def cheapest_delay(time: float, work: npt.ArrayLike, kappa: npt.ArrayLike) -> DelayEquilibrium:
    """Return the least prices with which a round takes ``time``.

    Nobody need be faster than the deadline, so everybody works at
    ``P_i = work_i / time``, for ``q_i = 2 kappa_i work_i**2 / time``; together they
    are paid ``2 sum(kappa work**3) / time**2``.

    Parameters
    ----------
    time : float
        Above 0.
    work, kappa : (n,) arrays
        As for `delay_response`.

    Raises
    ------
    UserError
        When a number is out of range, or the shapes differ.
    """
    cycles, energy = _followers(work, kappa)
    if not (np.isfinite(time) and time > 0):
        raise UserError(f"the time of a round must be finite and above 0, got {time}")
    prices, speeds = 2 * energy * cycles**2 / time, cycles / time
    return DelayEquilibrium(time, prices, speeds, prices * speeds)


def fastest_round(budget: float, work: npt.ArrayLike, kappa: npt.ArrayLike) -> DelayEquilibrium:
    """Return the fastest round that a budget buys: ``sqrt(2 sum(kappa work**3) / budget)``.

    Parameters
    ----------
    budget : float
        Money, above 0; all of it is spent.
    work, kappa : (n,) arrays
        As for `delay_response`.

    Raises
    ------
    UserError
        When a number is out of range, or the shapes differ.

    Examples
    --------
    >>> round(fastest_round(4.0, [1.0, 1.0], [0.5, 0.5]).time, 6)
    0.707107
    """
    if not (np.isfinite(budget) and budget > 0):
        raise UserError(f"a budget for speed must be finite and above 0, got {budget}")
    cycles, energy = _followers(work, kappa)
    return cheapest_delay(float(np.sqrt(2 * (energy @ cycles**3) / budget)), cycles, energy)


def best_round(
    work: npt.ArrayLike,
    kappa: npt.ArrayLike,
    value: Callable[[float], float],
    shortest: float,
    longest: float,
) -> DelayEquilibrium:
    """Return the round that is best for a leader who gains ``value(time) - payments``.

    Solved by `solve_leader` over the time. Where time costs v per unit, so that
    ``value`` is ``-v time``, it is ``(4 sum(kappa work**3) / v)**(1/3)``.

    Parameters
    ----------
    work, kappa : (n,) arrays
        As for `delay_response`.
    value : callable
        The time of a round to money.
    shortest, longest : float
        Between which times to search; above 0.

    Raises
    ------
    UserError
        When a number is out of range, or the shapes differ.
    """
    cycles, energy = _followers(work, kappa)
    if not shortest > 0:
        raise UserError(f"the time of a round must be finite and above 0, got {shortest}")

    def response(time: Array) -> Array:
        return cheapest_delay(float(time[0]), cycles, energy).payments

    found = solve_leader(
        lambda time, paid: value(float(time[0])) - float(paid.sum()),
        response,
        [(shortest, longest)],
    )
    return cheapest_delay(float(found.decision[0]), cycles, energy)


def _followers(work: npt.ArrayLike, kappa: npt.ArrayLike) -> tuple[Array, Array]:
    cycles, energy = (np.asarray(part, dtype=np.float64) for part in (work, kappa))
    if cycles.ndim != 1 or not cycles.size or cycles.shape != energy.shape:
        raise UserError("work and kappa are one number for each follower")
    if not all((np.isfinite(part) & (part > 0)).all() for part in (cycles, energy)):
        raise UserError("work and kappa must be finite and above 0")
    return cycles, energy
