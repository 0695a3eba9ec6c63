"""Individual value: what each player is worth alone."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import ADDITIVITY, NULL_PLAYER, SYMMETRY, Scheme


class Individual(Scheme):
    """``v({i}) - v(empty)``, from n + 1 evaluations; blind to what others add already."""

    axioms = (SYMMETRY, NULL_PLAYER, ADDITIVITY)
    source = "the first marginal contribution; Dubey, Neyman and Weber 1981"

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return what each is worth alone."""
        singles = np.int64(1) << np.arange(game.players, dtype=np.int64)
        values = game.values(singles) - game.values(np.int64(0))
        return Contribution("individual", values, game.players + 1)
