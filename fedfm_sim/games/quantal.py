"""Quantal response: players who err, the less the more it costs (McKelvey and Palfrey 1995).

References
----------
.. [1] R. McKelvey and T. Palfrey, "Quantal response equilibria for normal form games", Games
   and Economic Behavior 10(1), 1995, pp. 6-38 (the principal branch).
.. [2] T. Turocy, "A dynamic homotopy interpretation of the logistic quantal response
   equilibrium correspondence", Games and Economic Behavior 51(2), 2005, pp. 243-263.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame, Strategies

#: Steps along a branch.
MOST_STEPS = 2_000
#: Corrections of a step, and the size of one that counts as none.
CORRECTIONS, SETTLED = 8, 1e-11


def quantal_response(
    game: NormalFormGame, precision: npt.ArrayLike, most: int = MOST_STEPS
) -> Equilibrium:
    """Return the logit equilibrium on the branch from uniform play [1]_.

    ``x_i = softmax(precision_i * payoffs of i's actions)``. The branch that starts at a
    precision of 0 is followed, also where it turns back for a while, until it first reaches
    the precision [2]_.

    Parameters
    ----------
    precision : float or (n,) array
        At least 0, per unit of each player's payoff; 0 is uniform play, and large ones near a
        Nash equilibrium.
    most : int
        Steps along the branch after which to give up.

    Raises
    ------
    UserError
        When a precision is negative, or the branch is not at it after so many steps.
    """
    sharp = np.broadcast_to(np.asarray(precision, dtype=np.float64), game.players)
    if not (np.isfinite(sharp) & (sharp >= 0)).all():
        raise UserError(f"a precision is at least 0, got {sharp.tolist()}")
    branch = Branch(game, sharp)
    for _, (point, turned) in zip(range(most), branch.points(), strict=False):
        if point[-1] >= 1:
            found = branch.corrected(np.r_[point[:-1], 1.0], np.eye(point.size)[-1])
            if found is not None:
                return game.evaluated(branch.strategies(found))
        if turned < 0 and point[-1] < 0:
            break  # it is back where it came from
    raise UserError(
        f"the logit branch does not come to a precision of {sharp.tolist()} in {most} steps"
    )


def logit_replies(
    game: NormalFormGame, strategies: list[Array], precision: npt.ArrayLike
) -> list[Array]:
    """Return every player's logit reply to the others' mixed strategies.

    The precision is one number or one for each player.
    """
    sharp = np.broadcast_to(np.asarray(precision, dtype=np.float64), game.players)
    return [
        np.asarray(softmax(sharp[i] * game.action_values(strategies, i)))
        for i in range(game.players)
    ]


class Branch:
    """The logit equilibria that uniform play leads to as precision grows, as a curve.

    A point holds the logarithm of every chance, the players side by side, and last the share t
    of the precision: ``log x_ia - log x_i0 = t precision_i (u_ia - u_i0)``, chances adding to 1.
    """

    def __init__(self, game: NormalFormGame, precision: Array) -> None:
        self.counts = game.payoffs.shape[1:]
        self.ends = np.cumsum(self.counts)[:-1]
        self.first = np.r_[0, self.ends]
        self.player = np.repeat(np.arange(game.players), self.counts)
        # Less the least payoff of all, which changes no reply and could drown the rest.
        offset = game.payoffs - game.payoffs.reshape(game.players, -1).min(1).reshape(
            -1, *[1] * game.players
        )
        self.payoffs = offset * precision.reshape(-1, *[1] * game.players)

    def strategies(self, point: Array) -> Strategies:
        """Return the mixed strategies at a point."""
        return tuple(np.asarray(softmax(own)) for own in np.split(point[:-1], self.ends))

    def points(self) -> Iterator[tuple[Array, float]]:
        """Yield points along the branch, and whether t grows (above 0) or falls there."""
        size = len(self.player)
        point = np.r_[-np.log(np.array(self.counts, dtype=np.float64))[self.player], 0.0]
        along, step = np.eye(size + 1)[-1], 0.05
        while True:
            tangent = self._tangent(point, along)
            if tangent is None:
                return
            while step > 1e-10:
                after = self.corrected(point + step * tangent, tangent)
                if after is not None and np.abs(after - point).max() < 4 * step:
                    break
                step /= 3
            else:
                return
            point, along = after, tangent
            # Far out the branch is all but straight, and its logarithms are large.
            step = min(step * 1.6, 0.25 * (1 + float(np.abs(point).max())))
            yield point, float(tangent[-1])

    def corrected(self, near: Array, across: Array) -> Array | None:
        """Return the point of the branch on the plane through ``near`` across a direction."""
        point = near
        for _ in range(CORRECTIONS):
            gaps, slopes = self._equations(point)
            rows = np.vstack([slopes, across])
            try:
                move = np.linalg.solve(rows, np.r_[gaps, across @ (point - near)])
            except np.linalg.LinAlgError:
                return None
            point = point - move
            if not np.isfinite(point).all() or np.abs(move).max() > 1e3 * (1 + np.abs(near).max()):
                return None
            if np.abs(move).max() <= SETTLED * (1 + np.abs(point).max()):
                return np.asarray(point)
        return None

    def _tangent(self, point: Array, along: Array) -> Array | None:
        _, slopes = self._equations(point)
        try:
            own = np.linalg.solve(np.vstack([slopes, along]), np.eye(point.size)[-1])
        except np.linalg.LinAlgError:
            return None
        return np.asarray(own / np.linalg.norm(own))

    def _equations(self, point: Array) -> tuple[Array, Array]:
        """Return by how much the equations fail, (A,), and their slopes (A, A + 1)."""
        logs, t = point[:-1], point[-1]
        chances = np.exp(np.minimum(logs, 50.0))
        parts = np.split(chances, self.ends)
        values, effects = moves(self.payoffs, parts)
        first = self.first[self.player]
        gaps = logs - logs[first] - t * (values - values[first])
        slopes = np.zeros((logs.size, point.size))
        slopes[:, :-1] = np.eye(logs.size) - np.eye(logs.size)[first]
        slopes[:, :-1] -= t * (effects - effects[first]) * chances
        slopes[:, -1] = -(values - values[first])
        # The equation of a player's first action is that its chances add up to 1.
        for start, own in zip(self.first, parts, strict=True):
            gaps[start] = own.sum() - 1
            slopes[start] = 0
            slopes[start, start : start + len(own)] = own
        return gaps, slopes


def moves(payoffs: Array, strategies: list[Array]) -> tuple[Array, Array]:
    """Return what every action pays, (A,), and the slope in every other chance, (A, A)."""
    players = len(payoffs)
    starts = np.cumsum([0, *map(len, strategies)])
    values, effects = np.zeros(starts[-1]), np.zeros((starts[-1], starts[-1]))
    for i in range(players):
        own = slice(starts[i], starts[i + 1])
        for j in range(players):
            if j == i:
                continue
            paid = np.moveaxis(payoffs[i], (i, j), (0, 1))
            others = [strategies[k] for k in range(players) if k not in (i, j)]
            for mixture in reversed(others):
                paid = paid @ mixture
            effects[own, starts[j] : starts[j + 1]] = paid
            values[own] = paid @ strategies[j]
        if players == 1:
            values[own] = payoffs[0]
    return values, effects
