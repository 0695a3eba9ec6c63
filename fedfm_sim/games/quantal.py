"""Quantal response: players who err, the less the more it costs (McKelvey and Palfrey 1995)."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame


def quantal_response(
    game: NormalFormGame, precision: float, steps: int = 200, most: int = 20_000
) -> Equilibrium:
    """Return the logit equilibrium on the branch from uniform play.

    ``x_i = softmax(precision * payoffs of i's actions)``. The precision is raised from 0 in
    ``steps`` (the branch that selects among equilibria), each solved by damped iteration from
    the last, until the strategies reproduce themselves to 1e-9.

    Parameters
    ----------
    precision : float
        At least 0, per unit of payoff; 0 is uniform play, and large ones near a Nash
        equilibrium.

    Raises
    ------
    UserError
        When the precision is negative, or iteration does not settle: the branch then
        turns, and a smaller precision is needed.
    """
    if not (np.isfinite(precision) and precision >= 0):
        raise UserError(f"a precision is at least 0, got {precision}")
    strategies = [np.full(count, 1 / count) for count in game.payoffs.shape[1:]]
    for level in np.linspace(0, precision, steps + 1)[1:]:
        strategies = _settle(game, strategies, float(level), most)
    return game.evaluated(strategies)


def logit_replies(game: NormalFormGame, strategies: list[Array], precision: float) -> list[Array]:
    """Return every player's logit reply to the others' mixed strategies."""
    return [
        np.asarray(softmax(precision * game.action_values(strategies, i)))
        for i in range(game.players)
    ]


def _settle(
    game: NormalFormGame, strategies: list[Array], precision: float, most: int
) -> list[Array]:
    damping, before = 0.5, np.inf
    for _ in range(most):
        replies = logit_replies(game, strategies, precision)
        moved = max(float(np.abs(a - b).max()) for a, b in zip(replies, strategies, strict=True))
        if moved < 1e-9:
            return strategies
        if moved > before:  # it swings round the answer
            damping = max(1e-3, damping * 0.7)
        before = moved
        strategies = [
            (1 - damping) * own + damping * reply
            for own, reply in zip(strategies, replies, strict=True)
        ]
    raise UserError(f"quantal response did not settle at a precision of {precision:.3g}")
