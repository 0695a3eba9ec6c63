"""What one participant gains by a lie, and whether asking less or offering more ever hurts.

References
----------
.. [1] R. B. Myerson, "Optimal auction design", Mathematics of Operations
   Research 6(1), 1981, pp. 58-73 (monotone allocation and threshold payment).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import numpy as np

from fedfm_sim.mechanisms.auditing.probes.probe import WIDTHS, Found, Probe, around, people
from fedfm_sim.mechanisms.auditing.rounds import Deviation, Round, Traits
from fedfm_sim.mechanisms.protocol import Mechanism

#: Multiples of the true cost that are asked in every instance.
FACTORS = (0.5, 0.8, 1.25, 2.0, 4.0, 12.0)

#: Multiples that are asked where a search goes deeper.
MORE_FACTORS = (0.0, *np.geomspace(0.1, 100.0, 25).tolist())

#: Relative distance at which an ask is just above or below another's.
JUST = 1e-6

NO_ASKS = "asks change neither who is chosen nor what is paid"


def rival_asks(round_: Round, participant: int, *, all_scores: bool) -> list[float]:
    """Return the asks at which one is as dear as another, per unit of work.

    With ``all_scores`` also those as dear in all, and per reputation.
    """
    offers = round_.offers
    yardsticks = [offers.units]
    if all_scores:
        yardsticks += [np.ones_like(offers.units), offers.reputation]
    return [
        float(offers.asks[rival] / size[rival] * size[participant])
        for size in yardsticks
        for rival in round_.offering
        if rival != participant and size[rival] > 0
    ]


def other_asks(round_: Round, participant: int, *, deep: bool) -> list[float]:
    """Return the asks to try instead of the true cost, money.

    Multiples of it, and asks just below those of dearer rivals; where the search is deep,
    more of them, and those just above and below all rivals.
    """
    cost = float(round_.costs[participant])
    rivals = rival_asks(round_, participant, all_scores=deep)
    if not deep:
        just_below = [(1 - JUST) * ask for ask in rivals if ask > cost]
        return [f * cost for f in FACTORS] + just_below
    return [f * cost for f in MORE_FACTORS] + [
        side * ask for ask in rivals for side in (1 - JUST, 1 + JUST)
    ]


class _Gain(Probe):
    """Base of the probes of what one participant gains."""

    unit = "money"
    lower_bound = True

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the gain in utility over truth, money."""
        k = deviation.participants[0]
        return round_.utility(k, deviation) - round_.utility(k)


class IncentiveCompatibility(_Gain):
    """What one gains by asking something else than its cost, for the same work."""

    property = "incentive compatibility"
    measure = "largest gain of one participant from a false ask"

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Excuse rules that do not look at asks."""
        return "" if traits.asks else NO_ASKS

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield multiples of the cost, and asks just below those of the others."""
        yield from self._asking(round_, deep=False)

    def closer(self, round_: Round, found: Found, width: float) -> Iterator[Deviation]:
        """Yield many asks of everybody first, and then those around the best."""
        if width == WIDTHS[0]:
            yield from self._asking(round_, deep=True)
        yield from around(found.deviation, width, "asks")

    def _asking(self, round_: Round, *, deep: bool) -> Iterator[Deviation]:
        for k in round_.offering:
            for ask in other_asks(round_, k, deep=deep):
                yield Deviation((k,), (float(round_.offers.units[k]),), (ask,))

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return the false ask, the true one and the gain."""
        k, gain = deviation.participants[0], self.measured(round_, deviation)
        return (
            f"{people([k])} asks {deviation.asks[0]:.3g} instead of {round_.costs[k]:.3g} "
            f"and gains {gain:.3g}"
        )


class _FalseUnits(_Gain):
    """Base of the probes of units declared; the ask may be any, too."""

    shares: ClassVar[tuple[float, ...]]

    def fits(self, units: float, capacity: float) -> bool:
        """Whether a number of units is this probe's kind of lie."""
        raise NotImplementedError

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield shares of the capacity, at the ask per unit or at the cost of the work done."""
        for k in round_.offering:
            capacity = float(round_.instance.market.capacity[k])
            for share in self.shares:
                units = share * capacity
                yield from self._declaring(round_, k, units)

    def _declaring(self, round_: Round, k: int, units: float) -> Iterator[Deviation]:
        market = round_.instance.market
        done = min(units, float(market.capacity[k]))
        cost = float(market.linear[k] * done + market.quadratic[k] * done**2)
        asks = {cost, float(round_.costs[k] * units / round_.offers.units[k])}
        for ask in sorted(asks)[: 2 if round_.traits.asks else 1]:
            yield Deviation((k,), (units,), (ask,))

    def closer(self, round_: Round, found: Found, width: float) -> Iterator[Deviation]:
        """Yield other units, each with fitting asks, and other asks."""
        if not found.deviation.participants:
            return
        k = found.deviation.participants[0]
        capacity = float(round_.instance.market.capacity[k])
        for near in around(found.deviation, width, "units"):
            if self.fits(near.units[0], capacity):
                yield near
                yield from self._declaring(round_, k, near.units[0])
        if round_.traits.asks:
            yield from around(found.deviation, width, "asks")

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return what is declared, what could be done, and the gain."""
        k, gain = deviation.participants[0], self.measured(round_, deviation)
        capacity = round_.instance.market.capacity[k]
        return (
            f"{people([k])} declares {deviation.units[0]:.4g} units where it can do "
            f"{capacity:.4g}, asks {deviation.asks[0]:.3g} and gains {gain:.3g}"
        )


class Withholding(_FalseUnits):
    """What one gains by offering less work than the truth, at any ask."""

    property = "no withholding"
    measure = "largest gain of one participant from offering less work"
    shares = (0.3, 0.7)

    def fits(self, units: float, capacity: float) -> bool:
        """Whether somebody works, within the capacity."""
        return 0 < units <= capacity


class Overdeclaring(_FalseUnits):
    """What one gains by declaring up to twice the work that it can deliver, at any ask.

    Rules that pay what they promised, and not by the work delivered, invite it without
    bound; whoever uses them has to count what arrives.
    """

    property = "no over-declaring"
    measure = "largest gain of one participant from declaring up to twice its capacity"
    shares = (1.25, 2.0)

    def fits(self, units: float, capacity: float) -> bool:
        """Whether more is declared than can be done, but at most twice as much."""
        return capacity < units <= 2 * capacity


class MonotoneSelection(Probe):
    """Whether somebody chosen is turned away for a lower ask [1]_."""

    property = "monotone selection"
    measure = "1 where somebody chosen is turned away for a lower ask"
    unit = "places"
    lower_bound = True

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Excuse rules that do not look at asks."""
        return "" if traits.asks else NO_ASKS

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield pairs of a higher and a lower ask of one participant."""
        for k in round_.offering:
            units = float(round_.offers.units[k])
            asks = sorted({float(round_.costs[k]), *other_asks(round_, k, deep=False)})
            for lower, higher in pairwise(asks):
                yield Deviation((k, k), (units, units), (higher, lower))

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return 1 where the place is lost."""
        k, units, asks = deviation.participants[0], deviation.units, deviation.asks
        chosen = [
            round_.deviate(Deviation((k,), (u,), (ask,))).selected[k]
            for u, ask in zip(units, asks, strict=True)
        ]
        return float(chosen[0] and not chosen[1])

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return both asks."""
        higher, lower = deviation.asks
        who = people(deviation.participants[:1])
        return f"{who} is chosen at an ask of {higher:.4g}, and turned away at {lower:.4g}"


class MonotonePay(Probe):
    """What one is paid less for more work at the same ask."""

    property = "monotone pay"
    measure = "pay lost by offering and delivering more work at the same ask"
    unit = "money"
    lower_bound = True

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield smaller offers at the ask of the whole."""
        for k in round_.offering:
            for share in Withholding.shares:
                units = share * float(round_.offers.units[k])
                yield Deviation((k,), (units,), (float(round_.offers.asks[k]),))

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the pay of less work beyond that of all of it, money."""
        k = deviation.participants[0]
        less, more = round_.deviate(deviation).payments[k], round_.truth.payments[k]
        return float(less - more)

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return both payments."""
        k, units = deviation.participants[0], deviation.units[0]
        less, more = round_.deviate(deviation).payments[k], round_.truth.payments[k]
        whole = round_.offers.units[k]
        return f"{people([k])} is paid {less:.3g} for {units:.4g} units, {more:.3g} for {whole:.4g}"
