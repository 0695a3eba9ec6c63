"""What a participant can ask for by threatening to take its data back.

The right to be forgotten is also a bargaining position. Whoever leaves gives up its
share; the others lose what its data was worth and pay for the unlearning.

References
----------
.. [1] J. F. Nash, "The bargaining problem", Econometrica 18(2), 1950, pp. 155-162.
.. [2] O. Hart and J. Moore, "Property rights and the nature of the firm", Journal of
   Political Economy 98(6), 1990, pp. 1119-1158.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution.shapley import shapley_values


@dataclass(frozen=True)
class HoldUp:
    """The outcome of a threat to leave.

    Attributes
    ----------
    share : float
        What the participant has by staying quietly, and gives up by leaving; money.
    loss : float
        What leaving costs the others, unlearning included; money.
    transfer : float
        What it gets on top of its share by threatening.
    """

    share: float
    loss: float
    transfer: float

    @property
    def works(self) -> bool:
        """Whether the threat is worth more than silence."""
        return self.transfer > 0


def hold_up(share: float, loss: float) -> HoldUp:
    """Return the Nash bargain over staying [1]_.

    Staying with a transfer t gives the participant ``share + t`` against 0, and the others
    ``-t`` against ``-loss``. The product of the gains ``(share + t)(loss - t)`` is largest
    at ``t = (loss - share) / 2``. Where the loss is no more than the share there is nothing to
    be had: leaving costs the leaver more than the others.

    Raises
    ------
    UserError
        When a number is not finite.
    """
    if not np.isfinite([share, loss]).all():
        raise UserError(f"shares and losses must be finite, got {share} and {loss}")
    return HoldUp(share, loss, max(0.0, (loss - share) / 2))


def settled_again(game: CoalitionGame, leaver: int, pot: float) -> tuple[Array, Array]:
    """Return everybody's part of a pot before and after one participant's data has gone, (n,).

    Before, by Shapley values of the game, less what nobody has; after, by those of the
    game among those who stay. Negative values are owed nothing, and the rest is scaled
    to the pot; the leaver's part afterwards is 0. The pot after is ``pot * v(N without
    leaver) / v(N)``, at least 0: a model that is worth less earns less.

    Raises
    ------
    UserError
        When there is no such player or nobody else.
    """
    if not 0 <= leaver < game.players or game.players < 2:
        raise UserError(f"player {leaver} cannot leave a game of {game.players}")
    table = game.table() - game.table()[0]
    others = [k for k in range(game.players) if k != leaver]
    masks = np.arange(2 ** len(others))
    spread = np.sum([((masks >> bit) & 1) << k for bit, k in enumerate(others)], axis=0)
    smaller = CoalitionGame.from_table(table[spread])
    whole, left = float(table[-1]), float(table[spread[-1]])
    after = np.zeros(game.players)
    rest = pot * max(0.0, left / whole) if whole > 0 else 0.0
    after[others] = _parts(shapley_values(smaller), rest)
    return _parts(shapley_values(game), pot), after


def _parts(values: Array, pot: float) -> Array:
    owed = np.maximum(values, 0)
    total = owed.sum()
    return np.asarray(pot * owed / total if total > 0 else np.full(len(owed), pot / len(owed)))
