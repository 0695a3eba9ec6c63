"""What stops a participant from selling the model: watching the market, tracing, fines.

A copy sold for g that the server finds with probability w and traces with probability d
costs the fine F, and the thief keeps the money: theft pays while ``g > w d F``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import LEVEL, share, student
from fedfm_sim.mechanisms.theory.thresholds import deterrence_rate

#: Lotteries that are played for each sale.
REPLAYS = 200


@dataclass(frozen=True)
class TheftThreshold:
    """From which watch rate on theft does not pay.

    Attributes
    ----------
    gain : float
        Mean money that a sale brings.
    traced : float
        Share of sales that are traced to the seller when found.
    closed_form : float
        ``g / (d F)``, infinity when not even watching always deters.
    low, high : float
        Interval of the closed form over sales, at 95 % or more: Student's of the gain and the
        exact one of the share that is traced, which hold together at that level (Bonferroni).
        0 and infinity of a single sale.
    simulated : float
        Where the mean profit over played lotteries changes its sign.
    """

    gain: float
    traced: float
    closed_form: float
    low: float
    high: float
    simulated: float


def theft_threshold(
    gains: Array, traced: Mask, fine: float, rng: np.random.Generator
) -> TheftThreshold:
    """Return the watch rate at which selling stops to pay, from sales that were made.

    Parameters
    ----------
    gains : (m,) array
        Money that each sale brought, less what it cost to make.
    traced : (m,) bool array
        Whether the sold copy is traced to its seller.
    fine : float
    rng : numpy.random.Generator
        Plays the lotteries.

    Raises
    ------
    UserError
        When there is no sale, the fine is negative or a gain is no number.
    """
    if not len(gains) or len(gains) != len(traced):
        raise UserError(f"{len(gains)} gains and {len(traced)} traces make no sales to learn from")
    if fine < 0 or not np.isfinite(gains).all():
        raise UserError("gains must be finite and the fine at least 0")
    gain, found = float(gains.mean()), float(traced.mean())
    return TheftThreshold(
        gain,
        found,
        deterrence_rate(gain, fine, found, confiscate=False),
        *_ends(gains, traced, fine),
        _crossing(gains, traced, fine, rng.random((len(gains), REPLAYS))),
    )


def _ends(gains: Array, traced: Mask, fine: float) -> tuple[float, float]:
    """Return the ends of the interval of the watch rate that deters."""
    level = 1 - (1 - LEVEL) / 2
    least, most = share(int(traced.sum()), len(traced), level)
    if len(gains) < 2:
        return 0.0, inf
    low, high = (float(end) for end in student(gains, level))
    return (
        deterrence_rate(low, fine, most, confiscate=False),
        deterrence_rate(high, fine, least, confiscate=False),
    )


def _crossing(gains: Array, traced: Mask, fine: float, draws: Array) -> float:
    """Return the least watch rate at which the fines of the played lotteries eat the gains.

    A sale is found when its draw is below the rate: raising it adds fines one by one.
    """
    owed = float(gains.sum()) * draws.shape[1]
    if owed <= 0:
        return 0.0
    caught = np.sort(draws[traced].ravel())
    needed = owed / fine if fine > 0 else inf
    if not isfinite(needed) or needed > len(caught):
        return inf
    return float(caught[max(0, int(np.ceil(needed)) - 1)])
