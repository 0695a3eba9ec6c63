"""Leave-one-out: what the grand coalition loses without each player."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import ADDITIVITY, NULL_PLAYER, SYMMETRY, Scheme


def leave_one_out_values(game: CoalitionGame) -> Values:
    """Return ``v(N) - v(N without i)`` for every player.

    The marginal contribution to the grand coalition takes n + 1 evaluations,
    and unlike the Shapley value it need not add up to ``v(N) - v(empty)``: two
    players with the same data each count for nothing.

    Parameters
    ----------
    game : CoalitionGame
        Of any size.

    Returns
    -------
    (n,) array
        In the game's unit.
    """
    players = np.arange(game.players, dtype=np.int64)
    without = game.grand - (np.int64(1) << players)
    values = game.values(np.append(without, game.grand))
    marginal: Values = values[-1] - values[:-1]
    return marginal


class LeaveOneOut(Scheme):
    """Leave-one-out; see `leave_one_out_values`."""

    axioms = (SYMMETRY, NULL_PLAYER, ADDITIVITY)
    source = "Cook, Technometrics 19(1), 1977"

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the last marginal contributions."""
        return Contribution("leave-one-out", leave_one_out_values(game), game.players + 1)
