"""What stops a participant from selling the model: watching the market, tracing, fines.

A copy sold for g that the server finds with probability w and traces with probability d
costs the fine F, and the thief keeps the money: theft pays while ``g > w d F``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
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
    simulated, low, high : float
        Where the mean profit over played lotteries changes its sign, and its 95 % bootstrap
        interval over sales.
    """

    gain: float
    traced: float
    closed_form: float
    simulated: float
    low: float
    high: float

    @property
    def agree(self) -> bool:
        """Whether the closed form lies within the interval."""
        return self.low <= self.closed_form <= self.high


def theft_threshold(
    gains: Array, traced: Mask, fine: float, rng: np.random.Generator, resamples: int = 400
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
        Plays the lotteries and draws the bootstrap.
    resamples : int
        Of the bootstrap.

    Raises
    ------
    UserError
        When there is no sale, the fine is negative or a gain is no number.
    """
    if not len(gains) or len(gains) != len(traced):
        raise UserError(f"{len(gains)} gains and {len(traced)} traces make no sales to learn from")
    if fine < 0 or not np.isfinite(gains).all():
        raise UserError("gains must be finite and the fine at least 0")
    draws = rng.random((len(gains), REPLAYS))
    everything = np.arange(len(gains))
    again = np.array(
        [
            _crossing(gains, traced, fine, draws, rng.integers(0, len(gains), len(gains)))
            for _ in range(resamples)
        ]
    )
    gain, found = float(gains.mean()), float(traced.mean())
    return TheftThreshold(
        gain,
        found,
        deterrence_rate(gain, fine, found, confiscate=False),
        _crossing(gains, traced, fine, draws, everything),
        # The order statistic, as infinity cannot be interpolated.
        float(np.quantile(again, 0.025, method="lower")),
        float(np.quantile(again, 0.975, method="higher")),
    )


def _crossing(
    gains: Array,
    traced: Mask,
    fine: float,
    draws: Array,
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> float:
    """Return the least watch rate at which the fines of the played lotteries eat the gains.

    A sale is found when its draw is below the rate: raising it adds fines one by one.
    """
    owed = float(gains[chosen].sum()) * draws.shape[1]
    if owed <= 0:
        return 0.0
    caught = np.sort(draws[chosen][traced[chosen]].ravel())
    needed = owed / fine if fine > 0 else np.inf
    if not isfinite(needed) or needed > len(caught):
        return float("inf")
    return float(caught[max(0, int(np.ceil(needed)) - 1)])
