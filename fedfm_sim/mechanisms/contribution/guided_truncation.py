"""Guided truncation gradient Shapley (GTG).

References
----------
.. [1] Z. Liu, Y. Chen, H. Yu, Y. Liu and L. Cui, "GTG-Shapley: efficient and
   accurate participant contribution evaluation in federated learning", ACM
   Transactions on Intelligent Systems and Technology 13(4), 2022, article 60.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.permutation import mean_over_orders
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import Meter, SampledScheme

#: Orders over which the means must hold still.
WINDOW = 10


class GuidedTruncation(SampledScheme):
    """Marginal contributions in orders that begin with each player in turn, truncated [1]_.

    - Between rounds: where ``|v(N) - v(empty)|`` is at most ``round_tolerance``,
      the round changed nothing and everybody gets 0.
    - Within an order: what comes after the value is near ``v(N)`` gets 0.
    - Sampling stops when the last 10 means moved by less than 5 %.

    The paper's coalitions are reconstructed from a round's gradients; here they
    are whatever the game values.

    Attributes
    ----------
    round_tolerance : float
        In the game's unit.
    tolerance : float
        How near, as a share of ``|v(N) - v(empty)|``.
    """

    axioms = ()
    source = "Liu et al., ACM Transactions on Intelligent Systems and Technology 2022"

    round_tolerance: float = Field(default=0.0, ge=0)
    tolerance: float = Field(default=0.01, ge=0, lt=1)

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the mean over orders, until it settles or the budget is spent."""
        empty, grand = meter.ends(least=game.players + 1)
        if abs(grand - empty) <= self.round_tolerance:
            nothing = np.zeros(game.players)
            return Contribution(
                "gtg", nothing, meter.spent, standard_errors=nothing, degrees=nothing + 1
            )
        orders = guided_orders(game.players, rng)
        return mean_over_orders("gtg", game, meter, orders, self.tolerance, WINDOW, swept=True)


def guided_orders(players: int, rng: np.random.Generator) -> Iterator[Index]:
    """Yield orders in sweeps of n, each player first in one; the rest is random."""
    while True:
        for first in rng.permutation(players):
            rest = rng.permutation(players)
            yield np.append(first, rest[rest != first])
