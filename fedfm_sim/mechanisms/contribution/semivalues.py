"""Semivalues: weighted means of a player's marginal contributions, by coalition size.

References
----------
.. [1] P. Dubey, A. Neyman and R. J. Weber, "Value theory without efficiency",
   Mathematics of Operations Research 6(1), 1981, pp. 122-128.
"""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Values


def semivalue(game: CoalitionGame, weights: Values) -> Values:
    r"""Return the semivalue [1]_ with the given weight per coalition of each size.

    .. math:: \phi_i = \sum_{S \subseteq N \setminus i} w_{|S|} \, [v(S \cup i) - v(S)]

    Parameters
    ----------
    game : CoalitionGame
        At most ``MAX_TABLE_PLAYERS`` players; all ``2**n`` coalitions are valued.
    weights : (n,) array
        ``w_s`` for sizes s from 0 to n - 1, with
        ``sum_s binomial(n - 1, s) w_s = 1``.

    Returns
    -------
    (n,) array
        In the game's unit.

    Raises
    ------
    UserError
        When the game is too large for a table.
    """
    n = game.players
    table = game.table()
    by_coalition = weights[np.bitwise_count(np.arange(1 << (n - 1)))]
    values = np.empty(n)
    for player in range(n):
        # Player i's bit is the middle axis, and the coalitions without i keep
        # their order when that bit is struck out, so one array of weights
        # serves all players. Differences come first: a null player gets 0 exactly.
        pairs = table.reshape(-1, 2, 1 << player)
        values[player] = np.vdot(by_coalition, (pairs[:, 1] - pairs[:, 0]).ravel())
    return values
