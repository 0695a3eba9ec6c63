"""Figures measured on replicates, with percentile intervals of the bootstrap.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993,
   chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError

#: Resamples of an interval, and its level.
RESAMPLES, LEVEL = 500, 0.95

#: The quantiles that an interval ends at.
TAILS = ((1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2)


@dataclass(frozen=True)
class Estimate:
    """A figure of the means over replicates, and the interval of it over resamples [1]_.

    Of a single replicate all three are the same, and say nothing of its luck.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Sequence[float] | Array) -> Estimate:
        """Return the figure with the quantiles of it in resamples; infinities are figures too."""
        low, high = np.quantile(resampled, TAILS, method="inverted_cdf")
        return cls(float(value), float(low), float(high))

    def __format__(self, spec: str) -> str:
        """Return the figure and its interval, each in the format asked for; else ``.3f``."""
        figure, low, high = (format(own, spec or ".3f") for own in astuple(self))
        return f"{figure} ({low} to {high})"

    def __str__(self) -> str:
        return format(self, "")


def deterrence_ratio(
    cost: npt.ArrayLike, benefit: npt.ArrayLike, rng: np.random.Generator
) -> Estimate:
    """Return an attacker's mean cost over its mean benefit: at 1 and above it does not pay.

    Infinite where the attack brings nothing or less; costs are at least 0 for that to hold.

    Parameters
    ----------
    cost, benefit : (R,) arrays
        Of each replicate, money; both of one replicate are drawn together.

    Raises
    ------
    UserError
        When there is no replicate, the lengths differ or something is not finite.
    """
    costs, benefits = (np.atleast_1d(np.asarray(own, dtype=np.float64)) for own in (cost, benefit))
    if costs.shape != benefits.shape or costs.ndim != 1 or not costs.size:
        raise UserError("a deterrence ratio needs as many costs as benefits, at least one")
    pairs = np.column_stack([costs, benefits])
    if not np.isfinite(pairs).all():
        raise UserError("costs and benefits must be finite")
    drawn = pairs[rng.integers(0, len(pairs), (RESAMPLES, len(pairs)))].mean(axis=1)
    (value,), ratios = (_ratios(own) for own in (pairs.mean(axis=0)[None], drawn))
    return Estimate.of(value, ratios)


def _ratios(pairs: Array) -> Array:
    pays = pairs[:, 1] > 0
    return np.where(pays, pairs[:, 0] / np.where(pays, pairs[:, 1], 1.0), np.inf)
