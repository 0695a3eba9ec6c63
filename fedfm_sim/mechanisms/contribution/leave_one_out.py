"""Leave-one-out: what the grand coalition loses without each player."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.result import Contribution


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


def scheme(game: CoalitionGame) -> Contribution:
    """Return leave-one-out as a `Contribution`; see `leave_one_out_values`."""
    return Contribution("leave-one-out", leave_one_out_values(game), game.players + 1)
