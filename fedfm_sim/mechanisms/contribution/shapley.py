"""The exact Shapley value, from the values of all coalitions.

References
----------
.. [1] L. S. Shapley, "A value for n-person games", in Contributions to the
   Theory of Games II, Annals of Mathematics Studies 28, 1953, pp. 307-317.
.. [2] I. Mann and L. S. Shapley, "Values of large games, VI: evaluating the
   electoral college exactly", RAND RM-3158, 1962.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import (
    ADDITIVITY,
    EFFICIENCY,
    NULL_PLAYER,
    SYMMETRY,
    Scheme,
)
from fedfm_sim.mechanisms.contribution.semivalues import semivalue


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
    # s! (n-s-1)! / n!, rounded once.
    return semivalue(game, np.array([1 / (n * comb(n - 1, size)) for size in range(n)]))


class Shapley(Scheme):
    """The Shapley value; see `shapley_values`."""

    axioms = (EFFICIENCY, SYMMETRY, NULL_PLAYER, ADDITIVITY)
    source = "Shapley, Annals of Mathematics Studies 28, 1953"
    exhaustive = True

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact value."""
        return Contribution("shapley", shapley_values(game), 1 << game.players)


def weighted_voting_shapley(weights: npt.ArrayLike, quota: int) -> Values:
    """Return the Shapley value of a weighted voting game of many players.

    A coalition wins, and is worth 1, when its weight is at least ``quota``. Coalitions
    of the others are counted by size and weight [2]_, as shares of those of
    their size, so that nothing overflows: ``n**3`` times the total weight steps.

    Parameters
    ----------
    weights : (n,) array of int
        At least 0.
    quota : int
        Above 0.

    Returns
    -------
    (n,) array
        Adds up to 1, or to 0 where even everybody loses.

    Raises
    ------
    UserError
        When a weight is negative or not whole, or the quota is not positive.
    """
    given = np.asarray(weights)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer) or (given < 0).any():
        raise UserError("voting weights must be whole numbers of at least 0")
    if quota < 1:
        raise UserError(f"a quota must be at least 1, got {quota}")
    values = np.empty(given.size)
    for weight in np.unique(given):
        player = int(np.flatnonzero(given == weight)[0])
        shares = _weight_shares(np.delete(given, player))
        pivotal = shares[:, max(0, quota - int(weight)) : quota].sum(axis=1)
        values[given == weight] = pivotal.mean()
    return values


def _weight_shares(weights: Index) -> Values:
    """Return ``P[weight = w]`` for a random coalition of each size, (m + 1, total + 1)."""
    shares = np.zeros((weights.size + 1, int(weights.sum()) + 1))
    shares[0, 0] = 1.0
    for count, weight in enumerate(weights.tolist(), start=1):
        # A coalition of s out of the first `count` holds the last with chance s / count.
        sizes = np.arange(1, count + 1)[:, None] / count
        moved = np.zeros_like(shares[:count])
        moved[:, weight:] = shares[:count, : shares.shape[1] - weight]
        shares[1 : count + 1] = shares[1 : count + 1] * (1 - sizes) + moved * sizes
    return shares
