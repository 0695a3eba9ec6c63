"""The core of a game, and the properties of games that say much about it.

References
----------
.. [1] D. B. Gillies, "Solutions to general non-zero-sum games", in Contributions
   to the Theory of Games IV, Annals of Mathematics Studies 40, 1959, pp. 47-85.
.. [2] L. S. Shapley, "Cores of convex games", International Journal of Game
   Theory 1, 1971, pp. 11-26.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values

#: Differences below this share of the values compared are rounding errors.
RELATIVE_TOLERANCE = 1e-9

#: Up to this many players all pairs of disjoint coalitions are looked at.
MAX_PAIRED_PLAYERS = 16


def excesses(game: CoalitionGame, allocation: npt.ArrayLike) -> Values:
    """Return what each coalition would gain by leaving, ``v(S) - v(empty) - x(S)``.

    Parameters
    ----------
    game : CoalitionGame
        At most ``MAX_TABLE_PLAYERS`` players; all ``2**n`` coalitions are valued.
    allocation : (n,) array
        What each player gets, in the game's unit.

    Returns
    -------
    (2**n,) array
        By bitmask; 0 for the empty coalition, and 0 for the grand coalition
        where the allocation shares out all there is.

    Raises
    ------
    UserError
        When the game is too large for a table, or the allocation is not one
        finite number per player.
    """
    shares = np.asarray(allocation, dtype=np.float64)
    if shares.shape != (game.players,) or not np.isfinite(shares).all():
        raise UserError(f"an allocation is one finite number for each of {game.players} players")
    gains: Values = game.table() - game.table()[0] - subset_sums(shares)
    return gains


def in_core(game: CoalitionGame, allocation: npt.ArrayLike) -> bool:
    """Whether no coalition gains by leaving, and all there is is shared out [1]_.

    Raises
    ------
    UserError
        As `excesses` does.

    Examples
    --------
    >>> glove = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})
    >>> in_core(glove, [1, 0, 0]), in_core(glove, [2 / 3, 1 / 6, 1 / 6])
    (True, False)
    """
    gains = excesses(game, allocation)
    slack = _slack(game, subset_sums(np.abs(np.asarray(allocation, dtype=np.float64))))
    return bool((gains <= slack).all() and abs(gains[-1]) <= slack[-1])


def is_superadditive(game: CoalitionGame) -> bool:
    """Whether disjoint coalitions never lose by merging, ``v(S) + v(T) <= v(S | T)``.

    Values are relative to ``v(empty)``. All ``3**n`` pairs are looked at.

    Raises
    ------
    UserError
        When the game has more than 16 players.
    """
    if game.players > MAX_PAIRED_PLAYERS:
        raise UserError(f"superadditivity is checked up to {MAX_PAIRED_PLAYERS} players only")
    worth = game.table() - game.table()[0]
    slack = _slack(game)
    for player in range(game.players):
        # The pairs whose union has this player as its highest: S with it, T without.
        lower = worth[: 1 << player]
        upper = worth[1 << player : 2 << player]
        for rest in range(1, 1 << player):
            apart = _disjoint(rest, player)
            most = slack[rest] + slack[apart | 1 << player] + slack[apart | rest | 1 << player]
            if (lower[rest] + upper[apart] > upper[apart | rest] + most).any():
                return False
    return True


def is_convex(game: CoalitionGame) -> bool:
    """Whether a player adds the more, the larger the coalition that it joins [2]_.

    Then the core is not empty, the Shapley value is in it, and the game is
    superadditive.

    Raises
    ------
    UserError
        When the game is too large for a table.
    """
    table, slack = game.table(), _slack(game)
    masks = np.arange(table.size, dtype=np.int64)
    for first in range(game.players):
        for second in range(first):
            i, j = 1 << first, 1 << second
            without = masks[(masks & (i | j)) == 0]
            apart = table[without | i] - table[without]
            together = table[without | i | j] - table[without | j]
            most = slack[without] + slack[without | i] + slack[without | j] + slack[without | i | j]
            if (apart > together + most).any():
                return False
    return True


def subset_sums(shares: Values) -> Values:
    """Return the sum of the shares of every coalition, ``(2**n,)`` by bitmask."""
    sums = np.zeros(1 << shares.size)
    for player, share in enumerate(shares):
        np.add(sums[: 1 << player], share, out=sums[1 << player : 2 << player])
    return sums


def without_outliers(worth: Values) -> Values:
    """Return the values with those raised that are too low to matter, which drown the rest.

    In the least core every player's share is within n times the largest surplus of what it is
    worth alone, so a coalition with a larger loss never objects.
    """
    n = worth.size.bit_length() - 1
    alone = subset_sums(worth[1 << np.arange(n)])
    surplus = worth - alone
    relevant = float(surplus.max()) + abs(float(surplus[-1]))
    if relevant <= RELATIVE_TOLERANCE * float(np.abs(alone).max()):
        return worth
    return np.asarray(np.maximum(worth, alone - 3 * n * relevant))


def members(masks: Masks, players: int) -> Values:
    """Return the (m, n) matrix of who is in each of m coalitions, as 0 and 1."""
    return ((masks[:, None] >> np.arange(players)) & 1).astype(np.float64)


def _slack(game: CoalitionGame, also: Values | float = 0.0) -> Values:
    """Return what counts as rounding of each coalition's value, (2**n,).

    In proportion to it, to what is shared out and to ``v(empty)``, not to another coalition's.
    """
    sizes = np.maximum(np.abs(game.table()), also)
    return np.asarray(RELATIVE_TOLERANCE * np.maximum(sizes, max(sizes[0], sizes[-1])))


def _disjoint(mask: int, players: int) -> Masks:
    """Return the coalitions of the first players that share none with ``mask``."""
    found = np.zeros(1, dtype=np.int64)
    for player in range(players):
        if not mask >> player & 1:
            found = np.concatenate([found, found | (1 << player)])
    return found
