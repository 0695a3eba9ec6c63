"""Contributions over the rounds of a federation, from the games of its rounds.

References
----------
.. [1] T. Song, Y. Tong and S. Wei, "Profit allocation for federated learning",
   IEEE Big Data 2019, pp. 2577-2586 (the contribution index, one round and many).
.. [2] S. Wei, Y. Tong, Z. Zhou and T. Song, "Efficient and fair data valuation for
   horizontal federated learning", in Federated Learning, LNCS 12500, 2020,
   pp. 139-152 (rounds that count less as training goes on).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.shapley import shapley_values


def contribution_index(values: npt.ArrayLike) -> Values:
    """Return the values as shares of their sum [1]_.

    Raises
    ------
    UserError
        When they add up to nothing, so that shares mean nothing.
    """
    given = np.asarray(values, dtype=np.float64)
    total = given.sum()
    if not np.isfinite(total) or abs(total) <= 1e-12 * np.abs(given).sum():
        raise UserError("contributions that add up to 0 have no shares")
    shares: Values = given / total
    return shares


def multi_round(games: Sequence[CoalitionGame], decay: float = 1.0) -> Values:
    """Return the sum over rounds of the Shapley values of the rounds' games (MR).

    Parameters
    ----------
    games : sequence of CoalitionGame
        One per round, over the same players.
    decay : float
        Round t weighs ``decay**t`` [2]_, in (0, 1]; 1 is [1]_.

    Raises
    ------
    UserError
        When there is no game, they differ in players, or decay is out of range.
    """
    players = {game.players for game in games}
    if len(players) != 1:
        raise UserError(f"rounds need games over the same players, got {sorted(players)}")
    if not 0 < decay <= 1:
        raise UserError(f"decay must lie in (0, 1], got {decay}")
    weighted = [decay**number * shapley_values(game) for number, game in enumerate(games)]
    return np.asarray(np.sum(weighted, axis=0), dtype=np.float64)
