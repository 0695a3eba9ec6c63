"""One door to the solution concepts: ``solve(game, "nash")``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.linear import stackelberg
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame
from fedfm_sim.games.quantal import quantal_response

Concept = Literal["nash", "pure", "stackelberg", "quantal"]

#: Precision of quantal response, over the range of payoffs, unless another is given.
PRECISION = 5.0


def solve(
    game: NormalFormGame, concept: Concept = "nash", precision: float | None = None
) -> tuple[Equilibrium, ...]:
    """Return the equilibria of a game, each with its payoffs and regret.

    "nash" gives all equilibria of a non-degenerate bimatrix game. For more players it gives
    all pure ones and, where there is none, the quantal response of the highest precision
    that still settles; its regret says how far from an equilibrium that is. "stackelberg" has
    the first of two players lead; the follower's regret is 0 and the leader's need not be.

    Raises
    ------
    UserError
        When the concept is unknown or does not fit the number of players.
    """
    if concept == "pure":
        return game.pure_equilibria()
    if concept == "quantal":
        level = PRECISION / game.scale if precision is None else precision
        return (quantal_response(game, level),)
    if concept == "stackelberg":
        if game.players != 2:
            raise UserError(f"a leader needs one follower, and this game has {game.players}")
        found = stackelberg(*game.payoffs)
        reply = np.eye(game.payoffs.shape[2])[found.reply]
        return (game.evaluated([found.strategy, reply]),)
    if concept != "nash":
        raise UserError(
            f"unknown concept '{concept}'; expected one of: nash, pure, stackelberg, quantal"
        )
    if game.players == 2:
        return support_enumeration(game)
    return game.pure_equilibria() or (_sharpest(game),)


def _sharpest(game: NormalFormGame) -> Equilibrium:
    """Return the quantal response of the highest precision, doubling, that settles."""
    found, precision = quantal_response(game, 0.0), 1.0 / game.scale
    for _ in range(12):
        try:
            found = quantal_response(game, precision)
        except UserError:
            break
        precision *= 2
    return found
