"""Beta Shapley: semivalues that weigh coalition sizes by a beta distribution.

References
----------
.. [1] Y. Kwon and J. Zou, "Beta Shapley: a unified and noise-reduced data
   valuation framework for machine learning", AISTATS 2022.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy.special import betaln

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import ADDITIVITY, NULL_PLAYER, SYMMETRY, Scheme
from fedfm_sim.mechanisms.contribution.semivalues import semivalue


class BetaShapley(Scheme):
    r"""The Beta(alpha, beta) semivalue [1]_.

    A coalition of s others has the weight ``B(s + beta, n - 1 - s + alpha) / B(alpha, beta)``,
    so its size is beta-binomial. Beta(1, 1) is the Shapley value; the default
    Beta(16, 1) looks at small coalitions, where the worth of one more is least noisy.
    """

    axioms = (SYMMETRY, NULL_PLAYER, ADDITIVITY)
    source = "Kwon and Zou, AISTATS 2022"
    exhaustive = True

    alpha: float = Field(default=16.0, gt=0, description="large: small coalitions weigh more")
    beta: float = Field(default=1.0, gt=0, description="large: large coalitions weigh more")

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact value."""
        n = game.players
        sizes = np.arange(n)
        logs = betaln(sizes + self.beta, n - 1 - sizes + self.alpha) - betaln(self.alpha, self.beta)
        return Contribution("beta", semivalue(game, np.exp(logs)), 1 << n)
