"""What things are worth in money, and what work costs and burdens (Eq. 12 and 16)."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.settings import Settings


class Prices(Settings):
    """What things are worth, in money; a full round of honest work costs about 1.

    The unit of money is free: only ratios matter. Costs are set so that
    convexity matters (half of the cost of a full share is convex), and what an
    attack steals is worth several rounds of honest pay, so that sanctions have
    something to deter.
    """

    compute: float = Field(default=0.4, ge=0, description="money per GFLOP of training")
    collection: float = Field(default=0.001, ge=0, description="money per unit of work")
    convexity: float = Field(default=2e-5, ge=0, description="money per squared unit of work")
    cost_spread: float = Field(
        default=0.2, ge=0, le=3, description="standard deviation of the log of own costs"
    )
    reputation: float = Field(default=1.0, ge=0, description="lambda, money per unit of trust")
    privacy: float = Field(default=2.0, ge=0, description="alpha, money per unit of leakage")
    efficiency: float = Field(default=0.1, ge=0, description="beta, money per unit of E")
    flops: float = Field(default=1.0, ge=0, description="alpha' of Eq. 16, per GFLOP")
    bytes: float = Field(default=1.0, ge=0, description="beta' of Eq. 16, per MB sent or received")
    storage: float = Field(default=1.0, ge=0, description="gamma' of Eq. 16, per GB kept")
    backdoor: float = Field(default=10.0, ge=0, description="money for an attack success of 1")
    damage: float = Field(default=50.0, ge=0, description="money for each 1.0 of accuracy lost")
    model: float = Field(
        default=10.0, ge=0, description="money for a sold copy, for each 1.0 over the base model"
    )
    snooping: float = Field(default=4.0, ge=0, description="money for a mean leakage of 1")


@dataclass(frozen=True, eq=False)
class CostModel:
    """What work costs each of n participants, and what burden E it is.

    Attributes
    ----------
    factor : (n,) array
        Own cost level; lognormal around 1.
    gflops_per_unit : float
        Counted floating-point operations of one training example, in 1e9.
    megabytes, gigabytes : float
        Sent and received in a round, and kept, by one who takes part.
    """

    factor: Array
    gflops_per_unit: float
    megabytes: float
    gigabytes: float
    prices: Prices

    @property
    def linear(self) -> Array:
        """Return money per unit of work at the first unit, (n,)."""
        prices = self.prices
        return self.factor * (prices.compute * self.gflops_per_unit + prices.collection)

    @property
    def quadratic(self) -> Array:
        """Return money per squared unit of work, (n,)."""
        return self.factor * self.prices.convexity

    def cost(self, units: Array) -> Array:
        """Return what ``units`` (n,) of work cost, money."""
        return self.linear * units + self.quadratic * units**2

    def burden(self, units: Array, present: Mask) -> Array:
        """Return E of Eq. 16: ``alpha' FLOPs + beta' bytes + gamma' storage``, (n,)."""
        prices = self.prices
        fixed = prices.bytes * self.megabytes + prices.storage * self.gigabytes
        return prices.flops * self.gflops_per_unit * units + fixed * present
