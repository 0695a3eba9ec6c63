"""Strategies of repeated games as automata: what they earn, and whether they hold together.

References
----------
.. [1] G. Mailath and L. Samuelson, "Repeated Games and Reputations", Oxford University
   Press, 2006 (automata: section 2.3; one-shot deviations: proposition 2.2.1).
.. [2] M. Nowak and K. Sigmund, "A strategy of win-stay, lose-shift that outperforms
   tit-for-tat", Nature 364, 1993, pp. 56-58 (Pavlov).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.repeated import Profile, check_discount, check_profile

#: Joint states of automata whose values are solved for.
MOST_STATES = 2_000


@dataclass(frozen=True, eq=False)
class Automaton:
    """A strategy with finitely many states, moved by what everyone did [1]_.

    Attributes
    ----------
    actions : (s,) int array
        What is played in each state; play starts in state 0.
    transitions : (s, a_1, ..., a_n) int array
        The next state after each profile.
    """

    actions: Index
    transitions: Index


def always(game: NormalFormGame, action: int) -> Automaton:
    """Return the strategy that plays one action for ever."""
    return Automaton(np.array([action]), np.zeros((1, *game.payoffs.shape[1:]), dtype=np.int64))


def grim(game: NormalFormGame, player: int, cooperation: Profile, punishment: int) -> Automaton:
    """Return the strategy that leaves cooperation for good once anyone does."""
    check_profile(game, cooperation)
    _check_player(game, player)
    moves = np.ones((2, *game.payoffs.shape[1:]), dtype=np.int64)
    moves[(0, *cooperation)] = 0
    return Automaton(np.array([cooperation[player], punishment]), moves)


def tit_for_tat(game: NormalFormGame, player: int) -> Automaton:
    """Return the strategy of two players that starts with action 0 and copies the other's last."""
    counts = _two_alike(game, "tit-for-tat")
    _check_player(game, player)
    other = np.indices(counts)[1 - player]
    return Automaton(np.arange(counts[0]), np.tile(other, (counts[0], 1, 1)))


def pavlov(game: NormalFormGame) -> Automaton:
    """Return win-stay, lose-shift: action 0 at first and after both did the same, else 1 [2]_."""
    if _two_alike(game, "Pavlov") != (2, 2):
        raise UserError("Pavlov is for two actions")
    return Automaton(np.arange(2), np.tile(1 - np.eye(2, dtype=np.int64), (2, 1, 1)))


def play(
    game: NormalFormGame, automata: Sequence[Automaton], rounds: int, discount: float
) -> Array:
    """Return each player's mean payoff over rounds, the t-th weighted by ``discount**t``, (n,).

    Raises
    ------
    UserError
        When the automata do not fit the game, there is no round, or the discount factor is
        not in (0, 1].
    """
    _check_automata(game, automata)
    if rounds < 1 or not 0 < discount <= 1:
        raise UserError(f"play needs rounds >= 1 and a discount in (0, 1]: {rounds}, {discount}")
    states = [0] * game.players
    paid = []
    for _ in range(rounds):
        profile = _played(automata, states)
        paid.append([own[profile] for own in game.payoffs])
        states = _next(automata, states, profile)
    return np.asarray(np.average(paid, axis=0, weights=discount ** np.arange(rounds)))


@dataclass(frozen=True)
class OneShotDeviation:
    """The best single deviation from automata that all follow again afterwards.

    Attributes
    ----------
    gain : float
        What it gains, as a discounted mean; the automata are a subgame-perfect equilibrium
        where it is not above 0 (rounding aside).
    player, action : int
        Who deviates, and to what.
    states : tuple of n int
        Joint state of the automata there.
    """

    gain: float
    player: int
    action: int
    states: Profile


def one_shot_deviation(
    game: NormalFormGame, automata: Sequence[Automaton], discount: float
) -> OneShotDeviation:
    """Return the best one-shot deviation over all joint states that some history leads to.

    Values solve ``V(s) = (1 - D) u(s) + D V(next(s))``. No gain means subgame perfection, by
    the one-shot deviation principle [1]_.

    Raises
    ------
    UserError
        When the automata do not fit the game, the discount factor is not in [0, 1), or more
        than `MOST_STATES` joint states can be reached.
    """
    _check_automata(game, automata)
    check_discount(discount)
    states, follow = _reachable(game, automata)
    played = [_played(automata, own) for own in states]
    rows = np.arange(len(states))
    moves = np.zeros((len(states), len(states)))
    moves[rows, [follow[s][own] for s, own in enumerate(played)]] = 1
    now = np.array([[payoffs[own] for payoffs in game.payoffs] for own in played])
    values = np.linalg.solve(np.eye(len(states)) - discount * moves, (1 - discount) * now)
    best = OneShotDeviation(-inf, 0, 0, states[0])
    for s, profile in enumerate(played):
        for i, count in enumerate(game.payoffs.shape[1:]):
            for action in range(count):
                other = (*profile[:i], action, *profile[i + 1 :])
                value = (1 - discount) * game.payoffs[(i, *other)]
                gain = float(value + discount * values[follow[s][other], i] - values[s, i])
                if action != profile[i] and gain > best.gain:
                    best = OneShotDeviation(gain, i, action, states[s])
    return best


def _reachable(
    game: NormalFormGame, automata: Sequence[Automaton]
) -> tuple[list[Profile], list[dict[Profile, int]]]:
    """Return joint states that histories lead to, and the next one's place by profile."""
    states: list[Profile] = [(0,) * game.players]
    places, follow = {states[0]: 0}, []
    for own in states:  # grows as new ones are met
        moves: dict[Profile, int] = {}
        for profile in np.ndindex(game.payoffs.shape[1:]):
            after = tuple(_next(automata, own, profile))
            if after not in places:
                places[after] = len(states)
                states.append(after)
            moves[profile] = places[after]
        follow.append(moves)
        if len(states) > MOST_STATES:
            raise UserError(f"automata of more than {MOST_STATES} joint states")
    return states, follow


def _played(automata: Sequence[Automaton], states: Sequence[int]) -> Profile:
    return tuple(int(own.actions[s]) for own, s in zip(automata, states, strict=True))


def _next(automata: Sequence[Automaton], states: Sequence[int], profile: Profile) -> list[int]:
    return [int(own.transitions[(s, *profile)]) for own, s in zip(automata, states, strict=True)]


def _two_alike(game: NormalFormGame, name: str) -> Profile:
    counts = game.payoffs.shape[1:]
    if game.players != 2 or counts[0] != counts[1]:
        raise UserError(f"{name} is for two players with the same actions, not {counts}")
    return counts


def _check_player(game: NormalFormGame, player: int) -> None:
    if not 0 <= player < game.players:
        raise UserError(f"player {player} of a game of {game.players}")


def _check_automata(game: NormalFormGame, automata: Sequence[Automaton]) -> None:
    counts = game.payoffs.shape[1:]
    if len(automata) != game.players:
        raise UserError(f"{len(automata)} automata for {game.players} players")
    for own, count in zip(automata, counts, strict=True):
        size = len(own.actions)
        if (
            own.transitions.shape != (size, *counts)
            or not ((own.actions >= 0) & (own.actions < count)).all()
            or not ((own.transitions >= 0) & (own.transitions < size)).all()
        ):
            raise UserError(f"an automaton of {size} states does not fit {counts} actions")
