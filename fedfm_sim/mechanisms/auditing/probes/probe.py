"""What a probe is: a property, a measure of its violation, and a search for the worst."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from fedfm_sim.mechanisms.auditing.rounds import TRUTH, Deviation, Round, Traits
from fedfm_sim.mechanisms.protocol import Mechanism

#: Grids around the best deviation so far: half width relative to it, five times finer each.
WIDTHS = (1.0, 0.2, 0.04, 8e-3, 1.6e-3, 3.2e-4, 6.4e-5)
STEPS = np.linspace(-1, 1, 11)


@dataclass(frozen=True)
class Found:
    """The worst that a search found.

    Attributes
    ----------
    value : float
        The measure; at most 0 where the property holds, -inf where nothing was tried.
    deviation : Deviation
    """

    value: float = -np.inf
    deviation: Deviation = TRUTH


class Probe(ABC):
    """Base of all probes; each is one property."""

    property: ClassVar[str]
    measure: ClassVar[str]
    unit: ClassVar[str]
    #: Whether `measured` was searched for its maximum, which may be larger.
    lower_bound: ClassVar[bool] = False

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Return why the property means nothing for a mechanism; empty where it does."""
        return ""

    @abstractmethod
    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield the deviations that are tried in every instance."""

    @abstractmethod
    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return by how much a deviation violates the property; at most 0 where not."""

    @abstractmethod
    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return what happens in a deviation, as a clause for people."""

    def closer(self, round_: Round, found: Found, width: float) -> Iterator[Deviation]:
        """Yield deviations around the worst so far; by default none."""
        return iter(())

    def search(self, round_: Round) -> Found:
        """Return the worst of all deviations that are tried in every instance."""
        return self._worst(round_, self.deviations(round_), Found())

    def refine(self, round_: Round, found: Found) -> Found:
        """Return the worst found by finer and finer grids around the worst so far."""
        for width in WIDTHS:
            found = self._worst(round_, self.closer(round_, found, width), found)
        return found

    def _worst(self, round_: Round, tried: Iterable[Deviation], found: Found) -> Found:
        for deviation in tried:
            value = self.measured(round_, deviation)
            if value > found.value:
                found = Found(value, deviation)
        return found


def around(
    deviation: Deviation, width: float, what: Literal["units", "asks"]
) -> Iterator[Deviation]:
    """Yield deviations in which one participant's units or asks differ a little."""
    given = getattr(deviation, what)
    for place, value in enumerate(given):
        for step in STEPS:
            varied = (*given[:place], float(value * (1 + width * step)), *given[place + 1 :])
            yield replace(deviation, **{what: varied})


def people(participants: Iterable[int]) -> str:
    """Return "participant 2" or "participants 0 and 2"."""
    names = [str(k) for k in participants]
    if len(names) == 1:
        return f"participant {names[0]}"
    return f"participants {', '.join(names[:-1])} and {names[-1]}" if names else "nobody"
