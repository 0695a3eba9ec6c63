"""Beliefs about a private value or cost, and virtual values under them.

References
----------
.. [1] R. B. Myerson, "Optimal auction design", Mathematics of Operations
   Research 6(1), 1981, pp. 58-73 (virtual values, and ironing).
.. [2] J. Bulow and J. Roberts, "The simple economics of optimal auctions",
   Journal of Political Economy 97(5), 1989, pp. 1060-1090 (virtual values as
   marginal revenue, ironing as the concave hull of revenue).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.optimize import brentq

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError

#: Quantiles at which a continuous belief is checked to be regular.
CHECKED = np.linspace(1e-6, 1 - 1e-6, 1001)

#: Tails of less probability are left out where a support has no end.
TAIL = 1e-100


class Distribution(Protocol):
    """A frozen continuous distribution of `scipy.stats`, as far as it is used."""

    def cdf(self, x: Any, /) -> Any:
        """Return the probability of at most x."""

    def sf(self, x: Any, /) -> Any:
        """Return the probability of more than x."""

    def pdf(self, x: Any, /) -> Any:
        """Return the density at x."""

    def ppf(self, q: Any, /) -> Any:
        """Return the q-quantile."""

    def isf(self, q: Any, /) -> Any:
        """Return the quantile with q above it."""

    def support(self) -> Any:
        """Return the ends of the support."""


class Belief(Protocol):
    """What a designer believes of one private value."""

    def virtual_value(self, value: float) -> float:
        """Return the (ironed) virtual value of a value, money; -inf below the support."""

    def least_value(self, level: float, *, above: bool = False) -> float:
        """Return the least value of virtual value at least (or above) ``level``, money.

        Infinite where there is none.
        """

    def expected_gain(self, level: float, bidders: int) -> float:
        """Return ``E[max(0, highest virtual value of n - level)]``, money."""

    def mirrored(self) -> Belief:
        """Return the belief about the negative of the value."""


@dataclass(frozen=True)
class ContinuousBelief:
    """A belief with a density, whose virtual value never falls (a regular one).

    ``phi(v) = v - (1 - F(v)) / f(v)`` [1]_.

    Attributes
    ----------
    distribution : Distribution
        For example ``scipy.stats.uniform()``.
    negative : bool
        Whether the belief is about minus what is so distributed.

    Raises
    ------
    UserError
        At the first use, when the virtual value falls somewhere: such a belief
        needs ironing, and is given as a `DiscreteBelief`. A belief can be
        regular about a cost, that is mirrored, and not about a value.
    """

    distribution: Distribution
    negative: bool = False

    @cached_property
    def _regular(self) -> bool:
        d = self.distribution
        virtual = self._virtual(-d.isf(CHECKED) if self.negative else d.ppf(CHECKED))
        rounding = 1e-9 * float(np.abs(virtual).max())
        return bool((np.diff(virtual) >= -rounding).all())

    def _virtual(self, values: Array) -> Array:
        d = self.distribution
        above = d.cdf(-values) if self.negative else d.sf(values)
        with np.errstate(divide="ignore"):  # a density of infinity leaves no rent
            density = d.pdf(-values if self.negative else values)
        nowhere = np.where(above == 0, 0.0, np.inf)  # beyond the ends of the support
        rent = np.divide(above, density, out=nowhere, where=density > 0)
        return np.asarray(values - rent, dtype=np.float64)

    def virtual_value(self, value: float) -> float:
        """Return the virtual value of a value, money; -inf below the support."""
        if not self._regular:
            raise UserError(
                "the distribution is not regular (its virtual value falls somewhere); "
                "give it as a DiscreteBelief, which is ironed"
            )
        return float(self._virtual(np.array([value]))[0])

    def least_value(self, level: float, *, above: bool = False) -> float:
        """Return the least value of virtual value at least ``level``, money.

        Ties have probability zero, so that ``above`` makes no difference.
        """
        low, high = self._ends()
        if self.virtual_value(low) >= level:
            return low
        if self.virtual_value(high) < level:
            return max(high, level)  # above the support a value is its own virtual value
        found = brentq(
            lambda v: max(self.virtual_value(v), -1e300) - level, low, high, xtol=1e-14 * self._size
        )
        return float(found)

    def expected_gain(self, level: float, bidders: int) -> float:
        """Return ``E[max(0, highest virtual value of n - level)]``, money."""
        d, least = self.distribution, self.least_value(level)
        start = float(d.sf(-least) if self.negative else d.cdf(least)) ** bidders
        gain, _ = quad(
            lambda u: max(self.virtual_value(self._quantile(u ** (1 / bidders))) - level, 0.0),
            start,
            1.0,
            epsabs=1e-11 * self._size,
            limit=500,
        )
        return float(gain)

    def mirrored(self) -> ContinuousBelief:
        """Return the belief about the negative of the value."""
        return ContinuousBelief(self.distribution, not self.negative)

    def _quantile(self, q: float) -> float:
        d = self.distribution
        return -float(d.isf(q)) if self.negative else float(d.ppf(q))

    @property
    def _size(self) -> float:
        """The order of the money it is about: what absolute tolerances are shares of."""
        quartiles = np.abs(self.distribution.ppf([0.25, 0.5, 0.75]))
        return float(quartiles.max()) or 1.0

    def _ends(self) -> tuple[float, float]:
        """Return the ends of the support, or the tails where it has no end."""
        d = self.distribution
        low, high = (float(end) for end in d.support())
        low = low if np.isfinite(low) else float(d.ppf(TAIL))
        high = high if np.isfinite(high) else float(d.isf(TAIL))
        return (-high, -low) if self.negative else (low, high)


@dataclass(frozen=True, eq=False)
class DiscreteBelief:
    """A belief of finitely many values, ironed where it is not regular.

    With ``q_k`` the probability of at least the k-th value, the revenue of
    posting it is ``R(q_k) = v_k q_k``; virtual values are the slopes of R, and
    ironed ones those of its concave hull [2]_, which never fall.

    Attributes
    ----------
    values : (m,) array
        Ascending, money.
    probabilities : (m,) array
        Positive, adding up to 1.
    ironed : (m,) array
        The ironed virtual value of each value, money.

    Raises
    ------
    UserError
        When values do not ascend, or probabilities do not add up to 1.

    Examples
    --------
    >>> DiscreteBelief([1, 2, 3], [0.25, 0.25, 0.5]).ironed.round(3).tolist()
    [-2.0, 0.0, 3.0]
    """

    values: npt.ArrayLike
    probabilities: npt.ArrayLike
    ironed: Array = field(init=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        weights = np.asarray(self.probabilities, dtype=np.float64)
        if values.ndim != 1 or not values.size or values.shape != weights.shape:
            raise UserError("a belief needs as many values as probabilities, at least one")
        if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
            raise UserError("the values of a belief must be finite and ascend")
        if not (weights > 0).all() or abs(float(weights.sum()) - 1) > 1e-9:
            raise UserError("the probabilities of a belief must be above 0 and add up to 1")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "probabilities", weights)
        object.__setattr__(self, "ironed", _ironed(values, weights))

    def virtual_value(self, value: float) -> float:
        """Return the ironed virtual value of the belief's last value up to ``value``."""
        place = int(np.searchsorted(self.values, value, side="right"))
        return float(self.ironed[place - 1]) if place else -np.inf

    def least_value(self, level: float, *, above: bool = False) -> float:
        """Return the least value of ironed virtual value at least (or above) ``level``, money."""
        place = int(np.searchsorted(self.ironed, level, side="right" if above else "left"))
        values = np.asarray(self.values, dtype=np.float64)
        return float(values[place]) if place < values.size else np.inf

    def expected_gain(self, level: float, bidders: int) -> float:
        """Return ``E[max(0, highest ironed virtual value of n - level)]``, money."""
        up_to = np.append(0.0, np.cumsum(self.probabilities))
        up_to[-1] = 1.0
        return float(np.maximum(self.ironed - level, 0.0) @ np.diff(up_to**bidders))

    def mirrored(self) -> DiscreteBelief:
        """Return the belief about the negative of the value."""
        values, weights = np.asarray(self.values), np.asarray(self.probabilities)
        return DiscreteBelief(-values[::-1], weights[::-1])


def _ironed(values: Array, weights: Array) -> Array:
    """Return the slope of the concave hull of revenue at each value.

    Blocks of values are merged as long as one falls behind the block below it
    (pool adjacent violators), which is the hull.
    """
    quantiles = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    quantiles[0] = 1.0
    revenue = np.append(values, 0.0) * quantiles
    corners = [values.size]  # from the highest value down; the origin is beyond it
    for point in reversed(range(values.size)):
        while len(corners) > 1 and _slope(quantiles, revenue, corners[-1], point) >= _slope(
            quantiles, revenue, corners[-2], corners[-1]
        ):
            corners.pop()
        corners.append(point)
    ironed = np.empty(values.size)
    for end, start in pairwise(corners):
        ironed[start:end] = _slope(quantiles, revenue, end, start)
    return ironed


def _slope(quantiles: Array, revenue: Array, end: int, start: int) -> float:
    return float((revenue[start] - revenue[end]) / (quantiles[start] - quantiles[end]))
