"""Truncated Monte-Carlo Shapley (TMC).

References
----------
.. [1] A. Ghorbani and J. Zou, "Data Shapley: equitable valuation of data for
   machine learning", ICML 2019, pp. 2242-2251.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.permutation import mean_over_orders, random_orders
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import Meter, SampledScheme


class TruncatedMonteCarlo(SampledScheme):
    """Random orders, each cut where the value is near that of everybody [1]_.

    Cutting saves evaluations and biases late-comers towards 0, by less than
    ``tolerance`` times ``|v(N) - v(empty)|`` in sum.

    Attributes
    ----------
    tolerance : float
        How near, as a share of ``|v(N) - v(empty)|``.
    """

    axioms = ()
    source = "Ghorbani and Zou, ICML 2019"

    tolerance: float = Field(default=0.05, ge=0, lt=1)

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the mean over the orders that the budget covers."""
        orders = random_orders(game.players, rng)
        return mean_over_orders("truncated", game, meter, orders, self.tolerance)
