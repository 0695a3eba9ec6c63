"""Intervals of few replicates: Student's, the largest of several means, ratios and shares.

An interval of level 0.95 is to cover what it is of in 95 of 100 repetitions, whatever the number
of replicates. Student's does for replicates that are near to normal; of what happens in one
replicate of twenty, five replicates know nothing, and no interval made of them does.

References
----------
.. [1] Student, "The probable error of a mean", Biometrika 6(1), 1908, pp. 1-25.
.. [2] E. C. Fieller, "Some problems in interval estimation", Journal of the Royal Statistical
   Society B 16(2), 1954, pp. 175-185.
.. [3] C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in
   the case of the binomial", Biometrika 26(4), 1934, pp. 404-413.
.. [4] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
   of Statistics 6(2), 1979, pp. 65-70.
.. [5] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993,
   section 22.5 (the infinitesimal jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from math import inf, isnan, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from fedfm_sim.core.arrays import Array

#: The level of every interval, unless it says another.
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval of level 0.95; NaN bounds where one replicate tells nothing."""

    value: float
    low: float
    high: float

    @classmethod
    def of_mean(cls, samples: npt.ArrayLike) -> Estimate:
        """Return the mean of (R,) samples with Student's interval."""
        own = np.asarray(samples, dtype=np.float64)
        low, high = student(own)
        return cls(float(own.mean()), float(low), float(high))

    @classmethod
    def of_largest(cls, means: Array, errors: Array, degrees: float) -> Estimate:
        """Return the largest of several means or 0, with an interval of what is truly largest.

        The largest of m measured means is high by the luck of one of them. Its interval
        allows for that: the lower end is that of the m Student intervals which hold together
        (Bonferroni), so that where no mean is truly above 0 it is above 0 in at most 2.5 % of
        repetitions. The upper end needs no correction, as it is above the truth wherever that
        of the truly largest mean is. Coverage is at least 95 %, and more where means are close
        to each other or to 0.

        Parameters
        ----------
        means, errors : (m,) arrays
            And their standard errors, which may go together in any way. Means without an
            error are known.
        degrees : float
            Degrees of freedom of the errors.
        """
        value = max(0.0, float(np.max(means, initial=0.0)))
        rounding = 1e-12 * float(np.abs([*means, *errors]).max(initial=0.0))
        uncertain = int((~(errors <= rounding)).sum())
        if not uncertain:
            return cls(value, value, value)
        low = means - errors * critical(degrees, comparisons=uncertain)
        high = means + errors * critical(degrees)
        return cls(value, *(float(np.max(own, initial=0.0)) for own in (low, high)))

    @classmethod
    def read(cls, value: float, low: float | None, high: float | None) -> Estimate:
        """Return what `plain` gave."""
        return cls(value, nan if low is None else low, nan if high is None else high)

    def plain(self) -> dict[str, float | None]:
        """Return the figure and its ends for JSON; None where one replicate tells nothing."""
        return {name: None if isnan(own) else own for name, own in asdict(self).items()}

    def __format__(self, spec: str) -> str:
        """Return the figure and its interval, each in the format asked for; else ``.3f``."""
        figure, low, high = (format(own, spec or ".3f") for own in astuple(self))
        if isnan(self.low) or isnan(self.high):
            return f"{figure} (no interval: one replicate)"
        return f"{figure} ({low} to {high})"

    def __str__(self) -> str:
        return format(self, "")


def critical(degrees: npt.ArrayLike, level: float = LEVEL, comparisons: int = 1) -> Array:
    """Return how many standard errors an interval reaches to either side [1]_.

    Parameters
    ----------
    degrees : array_like
        Degrees of freedom of the standard error; NaN is returned where there is none.
    level : float
        In (0, 1).
    comparisons : int
        How many intervals are to hold together (Bonferroni).
    """
    own = np.asarray(degrees, dtype=np.float64)
    reach = stats.t.ppf(1 - (1 - level) / 2 / comparisons, np.where(own > 0, own, nan))
    return np.asarray(reach)


def moves(samples: Array) -> Array:
    """Return by how much each replicate moves the mean of (R, ...) samples.

    Scaled so that the root of the sum of their squares is the standard error; and that of
    any linear figure of the means when it is worked out on the moves instead. A figure that
    is not linear has the standard error of its slope [5]_. NaN of one replicate.
    """
    count = len(samples)
    away = samples - samples.mean(axis=0)
    return np.asarray(away / sqrt(count * (count - 1)) if count > 1 else away * nan)


def standard_error(samples: Array) -> Array:
    """Return the standard error of the mean of (R, ...) samples; NaN of one replicate."""
    return np.asarray(np.sqrt((moves(samples) ** 2).sum(axis=0)))


def student(samples: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Return Student's interval [1]_ of the mean of (R, ...) samples, low and high."""
    half = standard_error(samples) * critical(len(samples) - 1, level)
    mean = samples.mean(axis=0)
    return np.asarray(mean - half), np.asarray(mean + half)


def ratio_of_means(above: Array, below: Array, level: float = LEVEL) -> tuple[float, float]:
    """Return Fieller's interval of the ratio of two means, at least 0 [2]_.

    It holds every ratio q at which the mean of ``above - q below`` may be 0, and infinity where
    the mean of ``below`` may be 0 or less. For pairs that are normal it is exact.

    Parameters
    ----------
    above, below : (R,) arrays
        Drawn in pairs; the mean of ``above`` is truly at least 0.

    Returns
    -------
    tuple of float
        Low and high; both infinite where the mean of ``below`` can't be above 0, and NaN of one
        replicate.
    """
    if len(above) < 2:
        return nan, nan
    up, down = float(above.mean()), float(below.mean())
    reach = float(critical(len(above) - 1, level))
    first, second = reach * moves(above), reach * moves(below)
    # The q at which up - q down is within its interval: a q^2 - 2 b q + c <= 0.
    a = down**2 - float(second @ second)
    b = up * down - float(first @ second)
    c = up**2 - float(first @ first)
    root = sqrt(max(b**2 - a * c, 0.0))
    if down <= 0 and a >= 0:
        return inf, inf
    if a > 0:
        return max(0.0, (b - root) / a), max(0.0, (b + root) / a)
    # Below may be 0: every ratio above the least, which is 0 where above may be 0 as well.
    if c <= 0:
        return 0.0, inf
    ends = [(b + root) / a, (b - root) / a] if a < 0 else [c / (2 * b)] if b > 0 else []
    return min((own for own in ends if own >= 0), default=inf), inf


def share(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share [3]_; it covers it at least as often as it says."""
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1
    return float(low), float(high)


def one_sided(samples: Array) -> float:
    """Return the p-value of Student's test that the mean of (R,) samples is 0 or less.

    1 of one replicate; 0 or 1 of replicates that are all the same.
    """
    if len(samples) < 2:
        return 1.0
    mean, error = float(samples.mean()), float(standard_error(samples))
    if not error:
        return float(mean <= 0)
    return float(stats.t.sf(mean / error, len(samples) - 1))


def holm(chances: Sequence[float], level: float = 1 - LEVEL) -> list[bool]:
    """Return which hypotheses fall when none is to fall wrongly with a chance above the level.

    Step by step, from the smallest p-value on [4]_; they may go together in any way.
    """
    fallen, order = [False] * len(chances), sorted(range(len(chances)), key=lambda i: chances[i])
    for step, place in enumerate(order):
        if chances[place] > level / (len(order) - step):
            break
        fallen[place] = True
    return fallen
