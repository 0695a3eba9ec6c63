"""Contribution evaluation: what each participant adds, from a coalition game.

One file holds one scheme and one line of `SCHEMES` names it. A scheme is a
function from a `CoalitionGame` to a `Contribution`; another package adds its
own through the entry-point group ``fedfm_sim.contribution``.
"""

from __future__ import annotations

from collections.abc import Callable

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.registry import Registry
from fedfm_sim.mechanisms.contribution.result import Contribution

Scheme = Callable[[CoalitionGame], Contribution]

#: The contribution schemes by name.
SCHEMES: Registry[Scheme] = Registry(
    "contribution scheme",
    "fedfm_sim.contribution",
    {
        "shapley": "fedfm_sim.mechanisms.contribution.shapley:scheme",
        "leave-one-out": "fedfm_sim.mechanisms.contribution.leave_one_out:scheme",
        "least-core": "fedfm_sim.mechanisms.contribution.least_core:scheme",
    },
)


def evaluate(game: CoalitionGame, method: str = "shapley") -> Contribution:
    """Return what each player of ``game`` contributes.

    Parameters
    ----------
    game : CoalitionGame
        The game of ``n`` players, in any unit.
    method : str
        A name in `SCHEMES`: "shapley", "leave-one-out" or "least-core".

    Returns
    -------
    Contribution
        With ``values`` of shape (n,), in the game's unit.

    Raises
    ------
    UserError
        When the method is unknown, or the game too large for it.

    Examples
    --------
    >>> glove = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})
    >>> evaluate(glove, "shapley").values.round(3).tolist()
    [0.667, 0.167, 0.167]
    """
    return SCHEMES[method](game)


__all__ = ["SCHEMES", "Contribution", "Scheme", "evaluate"]
