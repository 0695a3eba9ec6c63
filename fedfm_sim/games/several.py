"""An equilibrium of a game of any number of players, where none is pure.

References
----------
.. [1] T. Turocy, "A dynamic homotopy interpretation of the logistic quantal response
   equilibrium correspondence", Games and Economic Behavior 51(2), 2005, pp. 243-263.
.. [2] R. Porter, E. Nudelman and Y. Shoham, "Simple search methods for finding a Nash
   equilibrium", Games and Economic Behavior 63(2), 2008, pp. 642-662.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from fedfm_sim.core.arrays import Mask
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame, Strategies
from fedfm_sim.games.quantal import Branch, moves

#: Regrets below this, in each player's own unit (`NormalFormGame.units`), are rounding.
TOLERANCE = 1e-9
#: Steps along the logit branch, and supports that are tried after it.
MOST_STEPS, MOST_SUPPORTS = 400, 400
#: Newton's steps on a support.
POLISHING = 30


def mixed_equilibrium(game: NormalFormGame) -> tuple[Equilibrium, bool]:
    """Return an equilibrium, and whether its regret is rounding.

    The logit branch from uniform play leads to an equilibrium as players err less and less
    [1]_. On the way, payoffs are made equal on the actions that are still in use, by Newton's
    method, until that is an equilibrium. Should the branch get lost, small supports are tried
    first to last [2]_. Otherwise the profile of least regret is returned.
    """
    best = game.evaluated([np.full(count, 1 / count) for count in game.payoffs.shape[1:]])
    gap = _gap(game, best.strategies)
    for guess, support in _guesses(game):
        for strategies in (guess, polished(game, guess, support)):
            if strategies is not None and (own := _gap(game, strategies)) < gap:
                best, gap = game.evaluated(strategies), own
        if gap <= TOLERANCE:
            return best, True
    return best, False


def polished(
    game: NormalFormGame, near: Strategies, support: tuple[Mask, ...]
) -> Strategies | None:
    """Return mixtures near others under which a support's actions pay the same; None if lost."""
    used = np.concatenate(support)
    player = np.repeat(np.arange(game.players), game.payoffs.shape[1:])
    payoffs = game.payoffs / game.scales.reshape(-1, *[1] * game.players)
    ends = np.cumsum(game.payoffs.shape[1:])[:-1]
    chances = np.where(used, np.concatenate(near), 0.0)
    totals = (player[None] == np.arange(game.players)[:, None]) & used
    levels = np.array([0.0] * game.players)
    for _ in range(POLISHING):
        values, effects = moves(payoffs, np.split(chances, ends))
        if not levels.any():
            levels = (totals * chances) @ values
        gaps = np.r_[(values - levels[player])[used], totals @ chances - 1]
        rows = np.block(
            [
                [effects[np.ix_(used, used)], -totals.T[used].astype(np.float64)],
                [totals[:, used].astype(np.float64), np.zeros((game.players, game.players))],
            ]
        )
        move = np.linalg.lstsq(rows, gaps)[0]
        chances[used] -= move[: used.sum()]
        levels = levels - move[used.sum() :]
        if not np.isfinite(chances).all() or np.abs(chances).max() > 1e3:
            return None
        if np.abs(move).max() < 1e-15:
            break
    if chances.min() < -1e-9:
        return None
    own = [np.maximum(part, 0) for part in np.split(chances, ends)]
    return tuple(part / part.sum() for part in own)


def _gap(game: NormalFormGame, strategies: Strategies) -> float:
    return float((game.regrets(strategies) / game.units).max())


def _guesses(game: NormalFormGame) -> Iterator[tuple[Strategies, tuple[Mask, ...]]]:
    """Yield profiles with the actions that an equilibrium nearby may use."""
    branch, tried = Branch(game, 1 / game.scales), set()
    for number, (point, _) in zip(range(MOST_STEPS), branch.points(), strict=False):
        if number % 5:
            continue
        strategies = branch.strategies(point)
        for least in (0.1, 1e-2, 1e-4):
            support = tuple(own > least * own.max() for own in strategies)
            key = b"".join(own.tobytes() for own in support)
            if point[-1] > 100 or key not in tried:
                tried.add(key)
                yield strategies, support
    for _, support in zip(range(MOST_SUPPORTS), _small_supports(game), strict=False):
        yield tuple(own / own.sum() for own in support), support


def _small_supports(game: NormalFormGame) -> Iterator[tuple[Mask, ...]]:
    """Yield supports, balanced and small ones first."""
    counts = game.payoffs.shape[1:]
    sizes = product(*(range(1, count + 1) for count in counts))
    for each in sorted(sizes, key=lambda own: (sum(own), max(own) - min(own))):
        chosen = (combinations(range(a), k) for a, k in zip(counts, each, strict=True))
        for support in product(*map(list, chosen)):
            yield tuple(np.isin(np.arange(a), own) for a, own in zip(counts, support, strict=True))
