"""The exact Shapley value, from the values of all coalitions.

References
----------
.. [1] L. S. Shapley, "A value for n-person games", in Contributions to the
   Theory of Games II, Annals of Mathematics Studies 28, 1953, pp. 307-317.
"""

from __future__ import annotations

from math import comb

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.result import Contribution


def shapley_values(game: CoalitionGame) -> Values:
    r"""Return the Shapley value of every player.

    .. math:: \phi_i = \sum_{S \subseteq N \setminus i}
       \frac{|S|! \, (n - |S| - 1)!}{n!} \, [v(S \cup i) - v(S)]

    which is due to [1]_. It is the only value that is efficient (it shares
    out ``v(N) - v(empty)``), symmetric, additive, and zero for null players.

    Parameters
    ----------
    game : CoalitionGame
        At most ``MAX_TABLE_PLAYERS`` players; all ``2**n`` coalitions are valued.

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
    weights = _weights(n)[np.bitwise_count(np.arange(1 << (n - 1)))]
    values = np.empty(n)
    for player in range(n):
        # Player i's bit is the middle axis, and the coalitions without i keep
        # their order when that bit is struck out, so one array of weights
        # serves all players. Differences come first: a null player gets 0 exactly.
        pairs = table.reshape(-1, 2, 1 << player)
        values[player] = np.vdot(weights, (pairs[:, 1] - pairs[:, 0]).ravel())
    return values


def _weights(n: int) -> Values:
    """Return ``s! (n-s-1)! / n!`` by coalition size, rounded once."""
    return np.array([1 / (n * comb(n - 1, size)) for size in range(n)])


def scheme(game: CoalitionGame) -> Contribution:
    """Return the Shapley value as a `Contribution`; see `shapley_values`."""
    return Contribution("shapley", shapley_values(game), 1 << game.players)
