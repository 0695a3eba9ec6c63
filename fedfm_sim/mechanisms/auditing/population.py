"""Populations of participants, on which mechanisms are audited.

Money is at the simulator's scale: working to full capacity costs about 1, and the
value of unlimited work and its scale are the defaults of the mechanisms that believe
in one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from pydantic import Field

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.settings import Plugin
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.protocol import Market


@dataclass(frozen=True, eq=False)
class Instance:
    """One draw of a population: what is true of n participants.

    Attributes
    ----------
    market : Market
        True costs and capacities, which the server believes.
    reputation : (n,) array
        The server's trust in each, in [0, 1].
    covers : (n, m) bool array
        Which of m classes each has data of.
    quality : (n,) array
        What a unit of each one's work counts for in the game; 1 is the best, 0 worthless.
    value : float
        Money that a value of 1 in the game is worth to the server.
    scale : float
        Units of work after which 63 % of the game's limit of 1 is reached.
    redundancy : float
        Share of everybody's data that all have in common, in [0, 1).
    owner : (n,) array of int
        Who is behind each identity.
    copies : bool
        Whether the identities of one owner hold the same data, or parts of it.
    """

    market: Market
    reputation: Array
    covers: Mask
    quality: Array
    value: float
    scale: float
    redundancy: float
    owner: Index
    copies: bool = False

    @property
    def size(self) -> int:
        """The number of identities n."""
        return len(self.owner)

    def costs(self, units: Array) -> Array:
        """Return what units of work (..., n) cost each, money."""
        return self.market.linear * units + self.market.quadratic * units**2

    def owner_cost(self, owner: int, units: Array) -> float:
        """Return what all identities of an owner cost it; a copy's work is done once."""
        own = units[self.owner == owner]
        done = own.max() if self.copies else own.sum()
        return float(self.market.linear[owner] * done + self.market.quadratic[owner] * done**2)

    def game(self, units: Array) -> CoalitionGame:
        r"""Return the game of the units delivered (n,): monotone and submodular.

        .. math:: v(S) = 1 - \exp(-w(S) / \text{scale}), \qquad
           w(S) = (1 - r) \sum_{k \in S} w_k + r \max_{k \in S} w_k

        with ``w_k = quality_k units_k`` and the redundancy r. The parts of one owner's
        data add up, and copies of it count once.
        """
        held = _membership(self.size) * (self.quality * units)
        if len(owners := np.unique(self.owner)) < self.size:
            merge = np.max if self.copies else np.sum
            held = np.stack([merge(held[:, self.owner == k], axis=1) for k in owners], axis=1)
        r = self.redundancy
        work = (1 - r) * held.sum(axis=1) + r * held.max(axis=1)
        return CoalitionGame.from_table(-np.expm1(-work / self.scale))

    def gram(self, units: Array) -> Array:
        """Return inner products of updates that overlap as the data does, (n, n)."""
        work = self.quality * units
        same = self.owner[:, None] == self.owner
        return np.outer(work, work) * np.where(same, 1.0, self.redundancy)

    def worthless(self, participant: int) -> Instance:
        """Return the instance in which one participant's updates add nothing."""
        quality = self.quality.copy()
        quality[participant] = 0.0
        return replace(self, quality=quality)

    def split(self, participant: int) -> Instance:
        """Return the instance in which one enters as two, with half of its data each."""
        capacity = self.market.capacity.copy()
        capacity[participant] /= 2
        market = replace(self.market, capacity=capacity)
        return replace(self, market=market)._twice(participant)

    def copied(self, participant: int) -> Instance:
        """Return the instance in which one enters as two, with all of its data each."""
        return replace(self, copies=True)._twice(participant)

    def _twice(self, participant: int) -> Instance:
        rows = np.append(np.arange(self.size), participant)
        old = self.market
        return replace(
            self,
            market=Market(old.linear[rows], old.quadratic[rows], old.capacity[rows]),
            reputation=self.reputation[rows],
            covers=self.covers[rows],
            quality=self.quality[rows],
            owner=self.owner[rows],
        )


@lru_cache(maxsize=4)
def _membership(size: int) -> Array:
    return members(np.arange(1 << size, dtype=np.int64), size)


class Population(Plugin):
    """Base of all populations: sizes differ, costs per unit do not.

    Attributes
    ----------
    participants : int
        n; at most 12, since optima are found among all coalitions.
    capacity : float
        Units of work that a participant of size 1 can do; sizes are uniform on [0.5, 1.5].
    linear : float
        Money for the first unit of work.
    quadratic : float
        Convexity of the cost of size 1; of size s it is divided by s, so that everybody's
        full work costs alike per unit. With the defaults it costs about 1.
    value, scale, redundancy : float
        Of the game, see `Instance`. The server's ``value`` and ``scale`` are the defaults
        of the mechanisms that are told them.
    least_quality, least_reputation : float
        Both are uniform on [least, 1].
    classes : int
        Kinds of data; each participant has each with a chance of 0.6.
    """

    participants: int = Field(default=6, ge=2, le=12)
    capacity: float = Field(default=160.0, gt=0)
    linear: float = Field(default=0.004, gt=0)
    quadratic: float = Field(default=1.25e-5, gt=0)
    value: float = Field(default=100.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)
    redundancy: float = Field(default=0.0, ge=0, lt=1)
    least_quality: float = Field(default=0.5, ge=0, le=1)
    least_reputation: float = Field(default=0.5, ge=0, le=1)
    classes: int = Field(default=4, ge=1)

    def draw(self, rng: np.random.Generator) -> Instance:
        """Return one instance."""
        n = self.participants
        sizes, factors = self.sizes(rng), self.cost_factors(rng)
        market = Market(
            self.linear * factors, self.quadratic * factors / sizes, self.capacity * sizes
        )
        return Instance(
            market,
            rng.uniform(self.least_reputation, 1, n),
            rng.random((n, self.classes)) < 0.6,
            rng.uniform(self.least_quality, 1, n),
            self.value,
            self.scale,
            self.redundancy,
            np.arange(n),
        )

    def sizes(self, rng: np.random.Generator) -> Array:
        """Return the (n,) sizes of the participants, above 0."""
        return rng.uniform(0.5, 1.5, self.participants)

    def cost_factors(self, rng: np.random.Generator) -> Array:
        """Return the (n,) multiples of the typical cost, above 0."""
        return np.ones(self.participants)


class LognormalCosts(Population):
    """Costs per unit are lognormal; their median is the typical cost.

    Attributes
    ----------
    spread : float
        Standard deviation of their logarithm.
    """

    spread: float = Field(default=0.5, ge=0, le=5)

    def cost_factors(self, rng: np.random.Generator) -> Array:
        """Return lognormal factors."""
        return np.exp(self.spread * rng.normal(size=self.participants))


class UniformCosts(Population):
    """Costs per unit are uniform between ``least`` and ``2 - least`` times the typical cost.

    Attributes
    ----------
    least : float
        Of the least cost, over the typical one.
    """

    least: float = Field(default=0.2, gt=0, le=1)

    def cost_factors(self, rng: np.random.Generator) -> Array:
        """Return uniform factors of mean 1."""
        return rng.uniform(self.least, 2 - self.least, self.participants)


class TwoTypes(Population):
    """Some participants have the typical cost, and others several times that (``dear``).

    Attributes
    ----------
    dear : float
        Of a dear participant's cost, over the typical one.
    share : float
        Chance of each to be dear.
    """

    dear: float = Field(default=3.0, ge=1)
    share: float = Field(default=0.5, ge=0, le=1)

    def cost_factors(self, rng: np.random.Generator) -> Array:
        """Return 1 or ``dear`` for each."""
        return np.where(rng.random(self.participants) < self.share, self.dear, 1.0)


class Identical(Population):
    """All participants have the same size and cost in a draw, and cover different classes."""

    least_quality: float = Field(default=1.0, ge=1, le=1)
    least_reputation: float = Field(default=1.0, ge=1, le=1)

    def sizes(self, rng: np.random.Generator) -> Array:
        """Return one size for all."""
        return np.full(self.participants, rng.uniform(0.5, 1.5))

    def cost_factors(self, rng: np.random.Generator) -> Array:
        """Return one factor for all."""
        return np.full(self.participants, rng.uniform(0.5, 1.5))


class OneLarge(LognormalCosts):
    """The first participant has several times the typical capacity (``large``).

    Attributes
    ----------
    large : float
        Of the first capacity, over the typical one.
    """

    large: float = Field(default=5.0, ge=1)

    def sizes(self, rng: np.random.Generator) -> Array:
        """Return uniform sizes, but for the first."""
        sizes = super().sizes(rng)
        sizes[0] = self.large
        return sizes


#: The populations by name.
POPULATIONS: Registry[type[Population]] = Registry(
    "population",
    "fedfm_sim.populations",
    {
        "lognormal-costs": "fedfm_sim.mechanisms.auditing.population:LognormalCosts",
        "uniform-costs": "fedfm_sim.mechanisms.auditing.population:UniformCosts",
        "two-types": "fedfm_sim.mechanisms.auditing.population:TwoTypes",
        "identical": "fedfm_sim.mechanisms.auditing.population:Identical",
        "one-large": "fedfm_sim.mechanisms.auditing.population:OneLarge",
    },
    base="fedfm_sim.mechanisms.auditing.population:Population",
)
