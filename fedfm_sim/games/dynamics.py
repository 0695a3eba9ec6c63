"""How players come to an equilibrium, or go round it: learning in a normal-form game.

References
----------
.. [1] G. W. Brown, "Iterative solution of games by fictitious play", 1951.
.. [2] P. Taylor and L. Jonker, "Evolutionary stable strategies and game dynamics", 1978.
.. [3] S. Hart and A. Mas-Colell, "A simple adaptive procedure leading to correlated
   equilibrium", Econometrica 68(5), 2000, pp. 1127-1150.
.. [4] P. Auer et al., "The nonstochastic multiarmed bandit problem", SIAM J. Comput. 32(1), 2002.
.. [5] D. Fudenberg and D. Levine, "The Theory of Learning in Games", MIT Press, 1998 (logit).
.. [6] C. Watkins and P. Dayan, "Q-learning", Machine Learning 8, 1992 (one state).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.quantal import logit_replies


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a dynamic led through.

    Attributes
    ----------
    strategies : tuple of (steps + 1, a_i) arrays
        Each player's mixed strategy, or what it played on average so far.
    regrets : (steps + 1,) array
        The largest regret of any player at each of them.
    """

    strategies: tuple[Array, ...]
    regrets: Array

    @property
    def final(self) -> tuple[Array, ...]:
        """The last strategies."""
        return tuple(own[-1] for own in self.strategies)

    def distance(self, target: tuple[Array, ...]) -> Array:
        """Return how far each step is from a profile, the largest difference, (steps + 1,)."""
        gaps = [np.abs(own - aim).max(1) for own, aim in zip(self.strategies, target, strict=True)]
        return np.asarray(np.max(gaps, axis=0))


Update = Callable[[list[Array], int], list[Array]]


def replicator(
    game: NormalFormGame, start: list[Array], steps: int, rate: float = 0.1
) -> Trajectory:
    """Follow the replicator equation, ``dx_a = x_a (u_a - u)`` [2]_, by steps of ``rate``.

    Payoffs are in units of each player's own range, so that the path is the same in any money.
    The step is exponential, ``x_a ~ x_a exp(rate u_a)``, so that no share leaves [0, 1].
    """
    rates = rate / game.scales

    def update(now: list[Array], _: int) -> list[Array]:
        grown = [own * np.exp(rates[i] * _centred(game, now, i)) for i, own in enumerate(now)]
        return [own / own.sum() for own in grown]

    return _run(game, start, steps, update)


def best_response(
    game: NormalFormGame, start: list[Array], steps: int, rate: float = 1.0
) -> Trajectory:
    """Move each player by ``rate`` towards its best reply to the others' present strategies."""

    def update(now: list[Array], _: int) -> list[Array]:
        return [(1 - rate) * own + rate * _reply(game, now, i) for i, own in enumerate(now)]

    return _run(game, start, steps, update)


def fictitious_play(game: NormalFormGame, start: list[Array], steps: int) -> Trajectory:
    """Reply best to what the others played on average; returns the averages [1]_."""

    def update(now: list[Array], step: int) -> list[Array]:
        weight = 1 / (step + 2)
        return [(1 - weight) * own + weight * _reply(game, now, i) for i, own in enumerate(now)]

    return _run(game, start, steps, update)


def logit(
    game: NormalFormGame,
    start: list[Array],
    steps: int,
    precision: npt.ArrayLike,
    rate: float = 0.2,
) -> Trajectory:
    """Move each player by ``rate`` towards its logit reply [5]_.

    The precision is per unit of payoff, one number or one for each player.
    """

    def update(now: list[Array], _: int) -> list[Array]:
        replies = logit_replies(game, now, precision)
        return [(1 - rate) * own + rate * new for own, new in zip(now, replies, strict=True)]

    return _run(game, start, steps, update)


def regret_matching(game: NormalFormGame, steps: int) -> Trajectory:
    """Play actions by their positive regret so far; returns average play [3]_.

    Expected regrets are used, so that nothing is drawn. Average play of a zero-sum game
    comes to an equilibrium, and joint play of any game to coarse correlated ones.
    """
    counts = game.payoffs.shape[1:]
    regrets = [np.zeros(count) for count in counts]
    average = [np.full(count, 1 / count) for count in counts]

    def update(mean: list[Array], step: int) -> list[Array]:
        playing = []
        for own in regrets:
            positive = np.maximum(own, 0)
            total = positive.sum()
            playing.append(positive / total if total > 0 else np.full(len(own), 1 / len(own)))
        for i, own in enumerate(regrets):
            values = game.action_values(playing, i)
            own += values - playing[i] @ values
        weight = 1 / (step + 1)
        return [(1 - weight) * m + weight * p for m, p in zip(mean, playing, strict=True)]

    return _run(game, average, steps, update)


def exp3(
    game: NormalFormGame, steps: int, rng: np.random.Generator, exploration: float = 0.05
) -> Trajectory:
    """Play by Exp3 on own received payoffs alone; returns average play [4]_."""
    lows = [float(own.min()) for own in game.payoffs]
    gains = [np.zeros(count) for count in game.payoffs.shape[1:]]
    average = [np.full(len(own), 1 / len(own)) for own in gains]

    def update(mean: list[Array], step: int) -> list[Array]:
        playing = [
            (1 - exploration) * np.asarray(softmax(exploration * own / len(own)))
            + exploration / len(own)
            for own in gains
        ]
        profile = tuple(int(rng.choice(len(own), p=own)) for own in playing)
        for i, action in enumerate(profile):
            received = (game.payoffs[i][profile] - lows[i]) / game.scales[i]
            gains[i][action] += received / playing[i][action]
        weight = 1 / (step + 1)
        return [(1 - weight) * m + weight * p for m, p in zip(mean, playing, strict=True)]

    return _run(game, average, steps, update)


def q_learning(
    game: NormalFormGame,
    steps: int,
    rng: np.random.Generator,
    rate: float = 0.05,
    temperature: float = 0.1,
) -> Trajectory:
    """Play by softmax of learnt values of own actions, one state [6]_.

    Values are in units of each player's own range above its least payoff, and start from there.
    """
    values = [np.zeros(count) for count in game.payoffs.shape[1:]]
    lows = [float(own.min()) for own in game.payoffs]

    def playing() -> list[Array]:
        return [np.asarray(softmax(own / temperature)) for own in values]

    def update(_: list[Array], __: int) -> list[Array]:
        profile = tuple(int(rng.choice(len(own), p=own)) for own in playing())
        for i, action in enumerate(profile):
            received = (game.payoffs[i][profile] - lows[i]) / game.scales[i]
            values[i][action] += rate * (received - values[i][action])
        return playing()

    return _run(game, playing(), steps, update)


def _run(game: NormalFormGame, start: list[Array], steps: int, update: Update) -> Trajectory:
    if steps < 1:
        raise UserError(f"a dynamic takes at least one step, got {steps}")
    _check(game, start)
    path = [[np.asarray(own, dtype=np.float64) for own in start]]
    for step in range(steps):
        path.append(update(path[-1], step))
    strategies = tuple(np.stack([now[i] for now in path]) for i in range(game.players))
    return Trajectory(strategies, np.array([game.regrets(now).max() for now in path]))


def _check(game: NormalFormGame, start: list[Array]) -> None:
    for own, count in zip(start, game.payoffs.shape[1:], strict=True):
        if np.shape(own) != (count,) or abs(np.sum(own) - 1) > 1e-9 or np.min(own) < 0:
            raise UserError(f"a strategy over {count} actions must be a distribution, got {own}")


def _centred(game: NormalFormGame, now: list[Array], player: int) -> Array:
    values = game.action_values(now, player)
    return np.asarray(values - values.max())


def _reply(game: NormalFormGame, now: list[Array], player: int) -> Array:
    values = game.action_values(now, player)
    return np.asarray(np.eye(len(values))[int(np.argmax(values))])
