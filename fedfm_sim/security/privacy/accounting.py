"""Differential privacy of a run: epsilon from noise, and noise from epsilon.

What spends privacy is told as the events of Google's dp-accounting, whatever made the noise:
a trainer, a protection, a plug-in. Events are composed by privacy loss distributions.
Adjacency is add-or-remove-one: two data sets are neighbours when one of them lacks one
unit, which is an example (example level) or all of a participant's data (client level).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from fedfm_sim.core.errors import UserError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: How often each event took place.
Spent = Mapping["DpEvent", int]

#: No more noise than this is tried when epsilon asks for it.
MOST_NOISE = 1e4

#: Steps of the grids of privacy losses, nats: of a first look, and the finest of a second.
COARSE, FINEST = 1e-2, 1e-4

#: What the grid of the second look may add to epsilon, as a share of it.
GRID_ERROR = 2e-4


def composed_epsilon(spent: Spent, delta: float) -> float:
    """Return an upper bound on the epsilon that events spend together, to about 1 in 1000.

    Plain Gaussian noise by its closed form (Balle and Wang 2018), all else by privacy loss
    distributions on a grid, rounded up (Doroshenko et al. 2022); what these don't know, by
    Renyi divergences. Infinite for what has no noise and what dp-accounting can't compose.

    Parameters
    ----------
    spent : mapping of DpEvent to int
        How often each took place.
    delta : float
        In (0, 1).

    Raises
    ------
    UserError
        When delta is outside its range.
    """
    _check(1.0, 0, 1.0, delta)
    events = _whole(spent)
    coarse = _on_grid(events, delta, None)
    return _on_grid(events, delta, coarse)


def largest_epsilon(everybody: Sequence[Spent], delta: float) -> tuple[int, float]:
    """Return who of several spent most, and its `composed_epsilon`.

    Everybody's loss is bounded on a coarse grid; only whose bound is above the largest
    fine one found is looked at again.

    Parameters
    ----------
    everybody : sequence of mappings of DpEvent to int
        What each spent; at least one.
    delta : float
        In (0, 1).
    """
    distinct = [_whole(spent) for spent in everybody]
    bounds = {events: _on_grid(events, delta, None) for events in set(distinct)}
    worst, most = distinct[0], -np.inf
    for events in sorted(dict.fromkeys(distinct), key=lambda own: -bounds[own]):
        if bounds[events] <= most:
            break
        fine = _on_grid(events, delta, bounds[events])
        if fine > most:
            worst, most = events, fine
    return distinct.index(worst), float(most)


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
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent

    _check(noise_multiplier, steps, sampling_rate, delta)
    event = PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier))
    return composed_epsilon({event: steps}, delta)


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


Events = frozenset[tuple["DpEvent", int]]


def _whole(spent: Spent) -> Events:
    """Return what was spent as few events: compositions taken apart, Gaussian ones as one."""
    from dp_accounting import (
        ComposedDpEvent,
        GaussianDpEvent,
        NoOpDpEvent,
        PoissonSampledDpEvent,
        SelfComposedDpEvent,
    )

    counts: Counter[DpEvent] = Counter()
    precision, left = 0.0, list(spent.items())
    while left:
        event, count = left.pop()
        if isinstance(event, ComposedDpEvent):
            left += [(own, count) for own in event.events]
        elif isinstance(event, SelfComposedDpEvent):
            left.append((event.event, count * event.count))
        elif isinstance(event, PoissonSampledDpEvent) and event.sampling_probability == 1:
            left.append((event.event, count))
        elif isinstance(event, GaussianDpEvent) and event.noise_multiplier > 0:
            precision += count / event.noise_multiplier**2
        elif count and not isinstance(event, NoOpDpEvent):
            counts[event] += count
    if precision:  # releases of one Gaussian each are one of less noise
        counts[GaussianDpEvent(precision**-0.5)] += 1
    return frozenset(counts.items())


@lru_cache(maxsize=4096)
def _on_grid(events: Events, delta: float, first: float | None) -> float:
    """Return epsilon on a coarse grid, or on one fine enough for what a ``first`` look gave."""
    from dp_accounting import GaussianDpEvent, get_epsilon_gaussian
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    kinds, times = {type(event) for event, _ in events}, sum(count for _, count in events)
    if not events:
        return 0.0
    if kinds == {GaussianDpEvent} and times == 1:
        ((event, _),) = events
        return float(get_epsilon_gaussian(event.noise_multiplier, delta))
    step = _coarse_step(events, delta)
    if first is not None and first < np.inf:
        # After n events the error of a grid of step h is about n h^2 / 2.
        step = float(np.clip((2 * GRID_ERROR * first / times) ** 0.5, FINEST, step))
    for accountant in (PLDAccountant(value_discretization_interval=step), RdpAccountant()):
        if all(accountant.supports(event) for event, _ in events):
            for event, count in sorted(events, key=repr):
                accountant.compose(event, count)
            return float(accountant.get_epsilon(delta))
    return float("inf")


def _coarse_step(events: Events, delta: float) -> float:
    """Return the first grid's step: of less noise than 1 in 100, a grid would not fit memory."""
    from dp_accounting import PoissonSampledDpEvent, get_epsilon_gaussian

    inner = [
        (event.event if isinstance(event, PoissonSampledDpEvent) else event, count)
        for event, count in events
    ]
    noises = [(getattr(event, "noise_multiplier", np.inf), count) for event, count in inner]
    precision = sum(count / noise**2 for noise, count in noises if noise > 0)
    if not precision:
        return COARSE
    return max(COARSE, 1e-5 * float(get_epsilon_gaussian(precision**-0.5, delta)))


def _check(noise_multiplier: float, steps: int, sampling_rate: float, delta: float) -> None:
    if noise_multiplier < 0:
        raise UserError(f"noise multiplier: {noise_multiplier}, expected at least 0")
    if steps < 0:
        raise UserError(f"steps: {steps}, expected at least 0")
    if not 0 < sampling_rate <= 1:
        raise UserError(f"sampling rate: {sampling_rate}, expected more than 0 and at most 1")
    if not 0 < delta < 1:
        raise UserError(f"delta: {delta}, expected between 0 and 1")
