"""Differential privacy of a run: epsilon from noise, and noise from epsilon.

Adjacency is add-or-remove-one: two data sets are neighbours when one of them lacks one
unit, which is an example (example level) or all of a participant's data (client level).
Composition is accounted by privacy loss distributions in Google's dp-accounting, for
Gaussian noise on Poisson-sampled sums.
"""

from __future__ import annotations

from functools import lru_cache

from scipy.optimize import brentq

from fedfm_sim.core.errors import UserError

#: No more noise than this is tried when epsilon asks for it.
MOST_NOISE = 1e4


@lru_cache(maxsize=256)
def epsilon(noise_multiplier: float, steps: int, sampling_rate: float, delta: float) -> float:
    """Return the epsilon that ``steps`` noisy sums spend together (Abadi et al. 2016).

    Parameters
    ----------
    noise_multiplier : float
        Standard deviation of the noise over the clipping bound; 0 gives infinity.
    steps : int
        Sums published: local steps over all rounds, or rounds at the client level.
    sampling_rate : float
        Chance of a unit to be in a sum, in (0, 1].
    delta : float
        In (0, 1).

    Raises
    ------
    UserError
        When a parameter is outside its range.
    """
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant

    _check(noise_multiplier, steps, sampling_rate, delta)
    if steps == 0:
        return 0.0
    if noise_multiplier == 0:
        return float("inf")
    event = PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier))
    accountant = PLDAccountant()
    accountant.compose(SelfComposedDpEvent(event, steps))
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=256)
def calibrated_noise(target: float, steps: int, sampling_rate: float, delta: float) -> float:
    """Return the least noise multiplier whose `epsilon` is at most ``target``, to 1 in 1000.

    Raises
    ------
    UserError
        When a parameter is outside its range, or the target needs more than 10,000.
    """
    _check(1.0, steps, sampling_rate, delta)
    if not target > 0:
        raise UserError(f"epsilon: {target}, expected more than 0")
    if steps == 0:
        return 0.0

    def excess(noise: float) -> float:
        return epsilon(noise, steps, sampling_rate, delta) - target

    low, high = 0.1, 1.0
    while excess(high) > 0:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise UserError(f"epsilon: {target} would need a noise multiplier above {MOST_NOISE}")
    while excess(low) < 0:
        high, low = low, low / 2
        if low < 1e-3:
            return low
    found = float(brentq(excess, low, high, rtol=1e-3))
    return found if excess(found) <= 0 else found * 1.002


def _check(noise_multiplier: float, steps: int, sampling_rate: float, delta: float) -> None:
    if noise_multiplier < 0:
        raise UserError(f"noise multiplier: {noise_multiplier}, expected at least 0")
    if steps < 0:
        raise UserError(f"steps: {steps}, expected at least 0")
    if not 0 < sampling_rate <= 1:
        raise UserError(f"sampling rate: {sampling_rate}, expected more than 0 and at most 1")
    if not 0 < delta < 1:
        raise UserError(f"delta: {delta}, expected between 0 and 1")
