"""Yardstick competition: pay by how fast one is against the others.

References
----------
.. [1] Y. Sarikaya and O. Ercetin, "Regulating workers in federated learning by
   yardstick competition", VALUETOOLS 2020.
.. [2] A. Shleifer, "A theory of yardstick competition", RAND Journal of Economics
   16(3), 1985, pp. 319-327.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Delivery, Market, Properties
from fedfm_sim.mechanisms.rules.sharing import PaidAfterwards


@dataclass(frozen=True)
class YardstickTerms:
    """The reward ``base + slope (mean time of the others - own time)``.

    Attributes
    ----------
    base : float
        Money.
    slope : float
        Money per unit of time saved.
    """

    base: float
    slope: float


def yardstick_terms(work: float, kappa: float, speed: float) -> YardstickTerms:
    """Return the terms under which everybody's best speed is the one wanted.

    Working at speed P takes the time ``work / P`` and costs ``kappa P**2``. The
    others' times are not one's own to move, so the best P solves
    ``slope work / P**2 = 2 kappa P``: for the speed wanted,
    ``slope = 2 kappa speed**3 / work``. In the symmetric equilibrium the times are
    equal and ``base = kappa speed**2`` covers the cost exactly.

    Parameters
    ----------
    work : float
        Cycles of a round, above 0.
    kappa : float
        Money per squared speed, above 0.
    speed : float
        Cycles per unit of time that the server wants, above 0.

    Raises
    ------
    UserError
        When a parameter is not finite and above 0.

    Examples
    --------
    >>> yardstick_terms(work=1, kappa=0.5, speed=2)
    YardstickTerms(base=2.0, slope=8.0)
    """
    for name, value in (("work", work), ("kappa", kappa), ("speed", speed)):
        if not (np.isfinite(value) and value > 0):
            raise UserError(f"{name} must be finite and above 0, got {value}")
    return YardstickTerms(kappa * speed**2, 2 * kappa * speed**3 / work)


def yardstick_rewards(times: npt.ArrayLike, terms: YardstickTerms) -> Array:
    """Return ``base + slope (mean_{j != k} T_j - T_k)`` for each, money.

    Parameters
    ----------
    times : (n,) array
        Time that each took; finite and at least 0.
    terms : YardstickTerms

    Returns
    -------
    (n,) array
        Adds up to ``n base`` whatever the times; negative for the slow. Who is
        alone has nobody to be measured against and gets the base.

    Raises
    ------
    UserError
        When a time is negative or not finite.
    """
    given = np.asarray(times, dtype=np.float64)
    if given.ndim != 1 or not (np.isfinite(given) & (given >= 0)).all():
        raise UserError("times must be finite and at least 0")
    if given.size < 2:
        return np.full(given.size, terms.base)
    others = (given.sum() - given) / (given.size - 1)
    return np.asarray(terms.base + terms.slope * (others - given))


class Yardstick(PaidAfterwards):
    """Yardstick competition over the units delivered in a round.

    The speed is the units of work delivered in the round, and the time that of
    ``work`` units at that speed, so that who delivers less counts as slower.
    Rewards below 0 are not collected from the slow but set to 0, which keeps
    participants from owing money and lets payments exceed ``n base``.

    Assumptions: costs are quadratic in the units, with a ``kappa`` that the server
    knows and that is the same for all; units delivered are observed.

    - Individual rationality does not hold by rule: the slow are paid less than
      their cost. At the speed wanted the base covers it.
    - Incentive compatibility in asks holds emptily: asks are not looked at.
    - Budget balance does not hold: it would, were negative rewards collected.

    Attributes
    ----------
    units : float
        Units that the server wants of each; the default is about a full share of ten
        participants with 80 examples and two epochs.
    kappa : float
        Believed money per squared unit; the default makes that share cost about 1.
    """

    properties = Properties(
        knows="the server knows everybody's cost, alike for all; units delivered are observed",
        source="Sarikaya and Ercetin, VALUETOOLS 2020",
        truthful=True,
        monotone=True,
    )

    units: float = Field(default=160.0, gt=0)
    kappa: float = Field(default=4e-5, gt=0)

    def condition(self, market: Market) -> str | None:
        """Return whether costs are not ``kappa x**2`` for all, or nobody is there to compare with.

        Costs at capacity may be a tenth off.
        """
        if len(market.linear) < 2:
            return "one participant alone has nobody to be compared with"
        units = market.capacity[market.capacity > 0]
        costs = (market.linear + market.quadratic * market.capacity)[market.capacity > 0]
        off = np.abs(costs / (self.kappa * units) - 1)
        if not (off > 0.1).any():
            return None
        return (
            f"costs are taken to be kappa = {self.kappa:g} times the units squared for all; they "
            f"are up to {off.max():.0%} off at capacity"
        )

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return the (n,) rewards of those who delivered, money."""
        working = allocation.selected & (delivery.units > 0)
        rewards = np.zeros(len(working))
        terms = yardstick_terms(self.units, self.kappa, self.units)
        times = self.units / delivery.units[working]
        rewards[working] = np.maximum(yardstick_rewards(times, terms), 0.0)
        return rewards
