"""The contest: a prize shared in proportion to work, as a Stackelberg game.

As a payment mechanism it is `fedfm_sim.mechanisms.rules.sharing.ProportionalShare`.

References
----------
.. [1] G. Tullock, "Efficient rent seeking", in Toward a Theory of the Rent-Seeking
   Society, 1980, pp. 97-112.
.. [2] D. Yang, G. Xue, X. Fang and J. Tang, "Crowdsourcing to smartphones: incentive
   mechanism design for mobile phone sensing", MobiCom 2012, pp. 173-184 (the
   platform-centric model: equilibrium and its uniqueness).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError


@dataclass(frozen=True, eq=False)
class ContestEquilibrium:
    """The contest's equilibrium.

    Attributes
    ----------
    prize : float
        Money shared.
    efforts : (n,) array
        Units of work; zero for those whose cost is too high.
    utilities : (n,) array
        ``prize x_i / X - c_i x_i``, money; never negative.
    leader_utility : float or None
        ``value(x) - prize``, money, where the leader chose the prize.
    """

    prize: float
    efforts: Array
    utilities: Array
    leader_utility: float | None = None


def contest(costs: npt.ArrayLike, prize: float) -> ContestEquilibrium:
    """Return the unique equilibrium of sharing a prize in proportion to work ([2]_, algorithm 1).

    Player i maximises ``prize x_i / X - c_i x_i``. With costs in ascending
    order, the two cheapest work, and each next one as long as ``c_i`` is below
    ``(sum_S c + c_i) / |S|`` for those already in S. Then with
    ``k = (|S| - 1) / sum_S c``, ``x_i = k prize (1 - k c_i)``.

    Parameters
    ----------
    costs : (n,) array
        Money per unit of work, above 0; infinity never works. At least two finite.
    prize : float
        Money, at least 0.

    Returns
    -------
    ContestEquilibrium

    Raises
    ------
    UserError
        When a cost is not above 0, fewer than two are finite - one alone would
        take the prize for next to nothing - or the prize is negative.
    """
    costs = _checked(costs)
    if not (np.isfinite(prize) and prize >= 0):
        raise UserError(f"a prize must be finite and at least 0, got {prize}")
    share = _shares(costs)
    return ContestEquilibrium(prize, share * prize, _profit(costs, share) * prize)


def best_prize(
    costs: npt.ArrayLike, value: Callable[[Array], float], most: float
) -> ContestEquilibrium:
    """Return the contest whose prize is best for the leader, who gains ``value(x) - prize``.

    Efforts are proportional to the prize, so this is one bounded search; it
    finds the optimum where ``value`` is concave along that ray.

    Parameters
    ----------
    costs : (n,) array
        As for `contest`.
    value : callable
        Efforts (n,) to money.
    most : float
        Highest prize considered, money, above 0.

    Raises
    ------
    UserError
        As `contest` does, or when ``most`` is not above 0.
    """
    costs = _checked(costs)
    if not (np.isfinite(most) and most > 0):
        raise UserError(f"the highest prize must be finite and above 0, got {most}")
    share = _shares(costs)
    found = minimize_scalar(
        lambda prize: prize - value(share * prize),
        bounds=(0.0, most),
        method="bounded",
        options={"xatol": 1e-10 * most},
    )
    prize = min((0.0, float(found.x), most), key=lambda p: p - value(share * p))
    efforts = share * prize
    return ContestEquilibrium(
        prize, efforts, _profit(costs, share) * prize, float(value(efforts)) - prize
    )


def _checked(costs: npt.ArrayLike) -> Array:
    given = np.asarray(costs, dtype=np.float64)
    if given.ndim != 1 or np.isnan(given).any() or (given <= 0).any():
        raise UserError("a contest's costs must be above 0")
    if np.isfinite(given).sum() < 2:
        raise UserError("a contest needs at least two players of finite cost")
    return given


def _shares(costs: Array) -> Array:
    """Return the efforts at a prize of 1."""
    order = np.argsort(costs, kind="stable")
    ascending = costs[order]
    working = 2
    while working < costs.size and np.isfinite(ascending[working]):
        candidate = ascending[working]
        if candidate >= (ascending[:working].sum() + candidate) / working:
            break
        working += 1
    level = (working - 1) / ascending[:working].sum()
    efforts = np.zeros(costs.size)
    efforts[order[:working]] = level * (1 - level * ascending[:working])
    return efforts


def _profit(costs: Array, share: Array) -> Array:
    """Return the utilities at a prize of 1: the square of the share of the work."""
    return np.asarray((share / share.sum()) ** 2)
