"""Posted price: a Stackelberg game of one buyer and many suppliers of work.

The leader posts a price per unit and every follower supplies what suits it
best at that price.

References
----------
.. [1] H. von Stackelberg, "Marktform und Gleichgewicht", 1934.
.. [2] Y. Zhan, P. Li, Z. Qu, D. Zeng and S. Guo, "A learning-based incentive
   mechanism for federated learning", IEEE Internet of Things Journal 7(7),
   2020, pp. 6360-6368 (the server as the leader, participants as followers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import expm1

import numpy as np
from pydantic import Field
from scipy.optimize import minimize_scalar

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Market,
    Mechanism,
    Offers,
    Properties,
)

Valuation = Callable[[float], float]

#: Relative rounding error up to which an ask counts as within the price.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class PostedPriceEquilibrium:
    """The leader's best price and what follows from it.

    Attributes
    ----------
    price : float
        Money per unit of work.
    quantities : (n,) array
        Units that each follower supplies.
    leader_utility : float
        ``g(X) - price * X``, money.
    follower_utilities : (n,) array
        ``price * x - cost(x)``, money; never negative.
    """

    price: float
    quantities: Array
    leader_utility: float
    follower_utilities: Array


def saturating_valuation(value: float, scale: float) -> Valuation:
    """Return ``g(X) = value * (1 - exp(-X / scale))``, money for X units of work.

    Parameters
    ----------
    value : float
        Money that unlimited work is worth.
    scale : float
        Units of work after which 63 % of it is reached.
    """
    return lambda work: -value * expm1(-work / scale)


def best_response(price: float, market: Market) -> Array:
    """Return the units that each follower supplies at a price per unit.

    ``x_i = clip((p - linear_i) / (2 quadratic_i), 0, capacity_i)``, the
    maximiser of ``p x - linear_i x - quadratic_i x**2`` on [0, capacity_i]. A
    follower without convexity supplies all at ``p >= linear_i`` and nothing
    below; where it is indifferent it works.

    Parameters
    ----------
    price : float
        Money per unit.
    market : Market
        Costs and capacities of the n followers.

    Returns
    -------
    (n,) array
        Units of work.
    """
    margin = price - market.linear
    convex = market.quadratic > 0
    with np.errstate(over="ignore"):  # a follower almost without convexity
        wanted = np.divide(
            margin,
            2 * market.quadratic,
            out=np.where(margin >= 0, market.capacity, 0.0),
            where=convex,
        )
    return np.clip(wanted, 0.0, market.capacity)


def posted_price(market: Market, valuation: Valuation) -> PostedPriceEquilibrium:
    """Return the Stackelberg equilibrium of posting a price per unit of work.

    The leader maximises ``g(X(p)) - p X(p)``, where ``X(p)`` is the sum of the
    best responses. Between the prices at which a follower starts or reaches its
    capacity, X is linear in p, so the objective is concave there: each such
    piece is solved by bounded scalar search, and the best of all is taken.

    Parameters
    ----------
    market : Market
        Costs and capacities of the n followers.
    valuation : callable
        ``g``: concave and non-decreasing, units of work to money.

    Returns
    -------
    PostedPriceEquilibrium
        Of equally good prices, the lowest found.

    Raises
    ------
    UserError
        When a cost or capacity is not finite, or a convexity or capacity is
        negative.

    Notes
    -----
    Where a follower without convexity jumps from nothing to all, the leader may
    want the price just below: the next smaller float stands for that limit.
    """
    _check(market)

    def utility(price: float) -> float:
        work = float(best_response(price, market).sum())
        return float(valuation(work)) - price * work

    ends = _breakpoints(market)
    best = max(ends, key=utility)
    highest = utility(best)
    for low, high in pairwise(ends):
        most_work = float(best_response(high, market).sum())
        least_spent = low * float(best_response(low, market).sum())
        if np.nextafter(low, high) == high or valuation(most_work) - least_spent <= highest:
            continue  # a jump, or not even the most work at the least cost would do
        found = minimize_scalar(
            lambda price: -utility(price),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10 * (high - low)},
        )
        if utility(found.x) > highest:
            best, highest = float(found.x), utility(found.x)
    quantities = best_response(best, market)
    # Factored so that a follower at its own cost earns 0 and not a rounding error.
    earned = quantities * (best - market.linear - market.quadratic * quantities)
    return PostedPriceEquilibrium(best, quantities, highest, earned)


def _check(market: Market) -> None:
    for name, values in vars(market).items():
        if not np.isfinite(values).all():
            raise UserError(f"the market's {name} must be finite")
    if (market.quadratic < 0).any() or (market.capacity < 0).any():
        raise UserError("the market's quadratic cost and capacity must not be negative")


def _breakpoints(market: Market) -> list[float]:
    """Return the prices between which the supply is linear, ascending from 0."""
    full = market.linear + 2 * market.quadratic * market.capacity
    jumps = market.linear[market.quadratic == 0]
    prices: Array = np.concatenate([[0.0], market.linear, full, np.nextafter(jumps, -np.inf)])
    return [float(price) for price in np.unique(prices[prices >= 0])]


class PostedPrice(Mechanism):
    """One price per unit of work, open to everyone; the leader sets it or is given it.

    Assumptions: the server knows every participant's cost and capacity when it
    solves for the price (they are its beliefs, in `Market`); participants know
    the price and their own cost.

    - Individual rationality holds: a participant offers work only where the
      price covers its ask, and 0 units are always open to it.
    - Incentive compatibility holds for the units and the ask at a given price,
      since nobody's payment per unit depends on its own ask. It does not hold
      for the cost that the server learns before it solves for the price.
    - Budget balance does not hold by rule: the server spends ``p X``, of which
      it knows only that it is worth it to itself if its beliefs are true.

    Attributes
    ----------
    price : float or None
        Money per unit; None has the leader solve for it every round.
    value : float
        Money that unlimited work is worth to the leader in one round. The
        default of 100 fixes the unit of money: prices are percentages of it.
    scale : float
        Units of work after which 63 % of the value is reached. The default of
        1000 is about ten participants who pass once over a hundred samples.
    """

    properties = Properties(
        knows="the server believes it knows all costs; each participant knows the price",
        source="Zhan et al., IEEE Internet of Things Journal 2020",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    price: float | None = Field(default=None, ge=0)
    value: float = Field(default=100.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)

    def announce(self, market: Market) -> Announcement:
        """Announce the fixed price, or the leader's best one, money per unit."""
        if self.price is not None:
            return Announcement.of_price(self.price)
        valuation = saturating_valuation(self.value, self.scale)
        return Announcement.of_price(posted_price(market, valuation).price)

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Select all who offer work and ask no more than the price pays for it."""
        pay = announcement.price * offers.units
        selected = (offers.units > 0) & (offers.asks <= pay * (1 + ROUNDING))
        return Allocation(selected, np.where(selected, pay, 0.0))
