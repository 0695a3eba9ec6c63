"""One round of a mechanism with an instance: what truth brings, and what lies bring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.mechanisms.auditing.population import Instance
from fedfm_sim.mechanisms.protocol import Delivery, Market, Mechanism, Offers, Tariff

#: Grid points and zooms of the search for the best units under a tariff.
POINTS, ZOOMS = 513, 5


@dataclass(frozen=True)
class Deviation:
    """Who declares what instead of the truth; a participant not named is truthful.

    Attributes
    ----------
    participants : tuple of int
    units : tuple of float
        Units of work that each of them declares; 0 stays out.
    asks : tuple of float
        Money that each of them asks.
    """

    participants: tuple[int, ...] = ()
    units: tuple[float, ...] = ()
    asks: tuple[float, ...] = ()


#: Nobody deviates.
TRUTH = Deviation()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a round came to.

    Attributes
    ----------
    selected : (n,) bool array
    payments : (n,) array
        Money.
    delivered : (n,) array
        Units of work: as declared, but no more than one can do.
    collected : float
        Money that buyers outside paid.
    """

    selected: Mask
    payments: Array
    delivered: Array
    collected: float


@dataclass(frozen=True)
class Traits:
    """What a mechanism was seen to look at.

    Attributes
    ----------
    asks : bool
        Whether an ask ever changed who is chosen or what anybody is paid.
    covers : bool
        Whether the classes covered did.
    posts : bool
        Whether it posts a tariff.
    collects : bool
        Whether buyers outside ever paid.
    chooses : bool
        Whether anybody who offered work was ever turned away.
    """

    asks: bool = False
    covers: bool = False
    posts: bool = False
    collects: bool = False
    chooses: bool = False

    @classmethod
    def seen(cls, rounds: Iterable[Round]) -> Traits:
        """Return what changes when asks and classes are changed one by one."""
        asks = covers = posts = collects = chooses = False
        for each in rounds:
            truth, offers = each.truth, each.offers
            bare = each.play(replace(offers, covers=~offers.covers), each.instance)
            others = [
                each.deviate(Deviation((k,), (offers.units[k],), (factor * offers.asks[k],)))
                for k in range(each.instance.size)
                for factor in (0.0, 3.0)
            ]
            asks |= any(_differ(truth, other) for other in others)
            covers |= _differ(truth, bare)
            posts |= each.tariff is not None
            collects |= truth.collected > 0
            offered = offers.units > 0
            chooses |= any((offered & ~one.selected).any() for one in (truth, *others))
        return cls(*map(bool, (asks, covers, posts, collects, chooses)))


def _differ(one: Outcome, other: Outcome) -> bool:
    return bool(
        (one.selected != other.selected).any()
        or not np.allclose(one.payments, other.payments, rtol=1e-9, atol=1e-12)
    )


class Round:
    """A round of a mechanism in which, but for deviations, all are truthful.

    Who is truthful offers all of its capacity and asks what that costs; under a tariff
    it offers the units that leave it most.

    Parameters
    ----------
    mechanism : Mechanism
        Of no memory: the first round is audited.
    instance : Instance
    seed : int
        For rules that sample.
    traits : Traits
        What the mechanism looks at, where that is known.
    """

    def __init__(
        self, mechanism: Mechanism, instance: Instance, seed: int, traits: Traits | None = None
    ) -> None:
        self.mechanism, self.instance, self.seed = mechanism, instance, seed
        self.traits = traits or Traits()
        self.announcement = mechanism.announce(instance.market)
        self.tariff: Tariff | None = self.announcement.tariff
        units = instance.market.capacity
        if self.tariff is not None:
            units = best_units(self.tariff, instance.market)
        self.costs = instance.costs(units)
        self.offers = Offers(units, self.costs, instance.reputation, instance.covers)
        self._played: dict[bytes, Outcome] = {}

    @cached_property
    def truth(self) -> Outcome:
        """What comes of everybody's truth."""
        return self.deviate(TRUTH)

    @property
    def offering(self) -> list[int]:
        """The participants who offer work."""
        return [int(k) for k in np.flatnonzero(self.offers.units > 0)]

    def play(self, offers: Offers, instance: Instance) -> Outcome:
        """Return what comes of offers, with participants as in the instance."""
        rule = self.mechanism
        allocation = rule.allocate(offers, self.announcement)
        delivered = np.minimum(offers.units, instance.market.capacity) * allocation.selected
        delivery = Delivery(
            delivered,
            instance.game(delivered) if rule.uses_game else None,
            instance.gram(delivered) if rule.uses_gram else None,
            self.seed,
        )
        payments = rule.pay(allocation, delivery)
        collected = rule.collect(allocation, delivery)
        return Outcome(allocation.selected, payments, delivered, collected)

    def deviate(self, deviation: Deviation) -> Outcome:
        """Return what comes of a deviation; nothing is played twice."""
        units, asks = self.offers.units.copy(), self.offers.asks.copy()
        who = list(deviation.participants)
        units[who], asks[who] = deviation.units, deviation.asks
        key = units.tobytes() + asks.tobytes()
        if key not in self._played:
            offers = replace(self.offers, units=units, asks=asks)
            self._played[key] = self.play(offers, self.instance)
        return self._played[key]

    def utility(self, participant: int, deviation: Deviation = TRUTH) -> float:
        """Return pay less the true cost of what is delivered, money."""
        outcome = self.deviate(deviation)
        cost = self.instance.costs(outcome.delivered)[participant]
        return float(outcome.payments[participant] - cost)


def best_units(tariff: Tariff, market: Market) -> Array:
    """Return the units that leave each most under a tariff, (n,); 0 where nothing is left.

    A grid of all units, then finer ones around its best point: exact to rounding where the
    gain is concave; under a menu at most the cost of a 512th of the capacity is lost.
    """
    low, high = np.zeros_like(market.capacity), market.capacity
    for _ in range(ZOOMS):
        grid = low + (high - low) * np.linspace(0, 1, POINTS)[:, None]
        gain = tariff(grid) - market.linear * grid - market.quadratic * grid**2
        best = gain.argmax(axis=0)
        each = np.arange(best.size)
        units, left = grid[best, each], gain[best, each]
        low = grid[np.maximum(best - 1, 0), each]
        high = grid[np.minimum(best + 1, POINTS - 1), each]
    return np.where(left > 0, units, 0.0)
