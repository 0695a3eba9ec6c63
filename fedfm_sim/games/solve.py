"""One door to the solution concepts: ``solve(game, "nash")``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.linear import stackelberg
from fedfm_sim.games.nash import Equilibria, extreme_equilibria
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.quantal import quantal_response
from fedfm_sim.games.several import mixed_equilibrium

Concept = Literal["nash", "pure", "stackelberg", "quantal"]

#: Precision of quantal response, over each player's range of payoffs, unless another is given.
PRECISION = 5.0


def solve(
    game: NormalFormGame, concept: Concept = "nash", precision: float | None = None
) -> Equilibria:
    """Return the equilibria of a game, each with its payoffs and regret.

    "nash" gives all extreme equilibria of a bimatrix game (`extreme_equilibria`). For more
    players it gives all pure ones and, where there is none, a mixed one (`mixed_equilibrium`);
    the result's ``complete`` is False then and its ``note`` says why. "stackelberg" has
    the first of two players lead; the follower's regret is 0 and the leader's need not be.
    "quantal" takes a precision per unit of payoff, or one of `PRECISION` over the range of each
    player's own payoffs, whatever their unit.

    Raises
    ------
    UserError
        When the concept is unknown or does not fit the number of players.
    """
    if concept == "pure":
        return Equilibria(game.pure_equilibria())
    if concept == "quantal":
        level = PRECISION / game.scales if precision is None else precision
        return Equilibria([quantal_response(game, level)])
    if concept == "stackelberg":
        if game.players != 2:
            raise UserError(f"a leader needs one follower, and this game has {game.players}")
        found = stackelberg(*game.payoffs)
        reply = np.eye(game.payoffs.shape[2])[found.reply]
        return Equilibria([game.evaluated([found.strategy, reply])])
    if concept != "nash":
        raise UserError(
            f"unknown concept '{concept}'; expected one of: nash, pure, stackelberg, quantal"
        )
    if game.players == 2:
        return extreme_equilibria(game)
    if pure := game.pure_equilibria():
        return Equilibria(pure, "all pure equilibria; mixed ones beside them are not looked for")
    mixed, exact = mixed_equilibrium(game)
    if exact:
        return Equilibria([mixed], "one of the mixed equilibria, and there is no pure one")
    return Equilibria(
        [mixed],
        f"no equilibrium was found within the limits of the search; in the profile of least regret "
        f"somebody gains {mixed.regret:.3g} by deviating",
    )
