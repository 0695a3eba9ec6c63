"""Revenue sharing: those who built a model live on what it earns, for as long as it does.

References
----------
.. [1] R. Jia, D. Dao, B. Wang et al., "Towards efficient data valuation based on the
   Shapley value", AISTATS 2019 (sharing a model's revenue by contribution).
.. [2] H. Yu et al., "A sustainable incentive scheme for federated learning", IEEE
   Intelligent Systems 35(4), 2020, pp. 58-69 (revenue that comes in over time).
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, PrivateAttr

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.protocol import Allocation, Delivery, Properties
from fedfm_sim.mechanisms.rules.sharing import PaidByContribution, game_of, proportional_shares


class RevenueSharing(PaidByContribution):
    """Each round's revenue, shared by all contributions so far.

    The model earns ``rate`` for every unit of value that the rounds added to
    it; the revenue comes from outside, and goes out to the participants in
    proportion to the sum of their contributions, whether or not they take part
    in this round.

    Assumptions: the server values coalitions after the round; revenue follows the
    measured value of the model; whoever delivered keeps its stake.

    - Individual rationality does not hold by rule: a model may earn too little.
    - Incentive compatibility in asks holds emptily: asks are not looked at.
    - Budget balance holds: exactly the revenue is paid out, if anybody has a stake.

    Attributes
    ----------
    rate : float
        Money per round and unit of value (nats, or accuracy, as the game measures).
    """

    properties = Properties(
        knows="the server values every coalition after the round; revenue is public",
        source="Jia et al., AISTATS 2019; Yu et al., IEEE Intelligent Systems 2020",
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    rate: float = Field(default=10.0, ge=0)
    _stakes: Array = PrivateAttr(default_factory=lambda: np.zeros(()))
    _value: float = PrivateAttr(default=0.0)

    def collect(self, allocation: Allocation, delivery: Delivery) -> float:
        """Return the round's revenue, money."""
        return self.rate * max(self._value + _gain(game_of(delivery)), 0.0)

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return the (n,) shares of the revenue, money."""
        stakes = self._stakes_after(allocation.selected, delivery)
        return proportional_shares(self.collect(allocation, delivery), stakes)

    def learn(self, payments: Array, delivery: Delivery) -> None:
        """Add the round to the stakes and to the value of the model."""
        self._stakes = self._stakes_after(delivery.units > 0, delivery)
        self._value += _gain(game_of(delivery))

    def _stakes_after(self, working: Mask, delivery: Delivery) -> Array:
        values = self.contributions(delivery)
        return np.asarray(self._stakes + np.where(working, values, 0.0))


def _gain(game: CoalitionGame) -> float:
    whole, nothing = game.values([game.grand, 0])
    return float(whole - nothing)
