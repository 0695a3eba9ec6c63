"""Games of incomplete information: each player knows its own type and guesses the others'.

Types are, say, honest, semi-honest and malicious participants, whom a server cannot tell apart.

References
----------
.. [1] J. C. Harsanyi, "Games with incomplete information played by 'Bayesian' players",
   Management Science 14, 1967-68.
.. [2] M. J. Osborne, "An Introduction to Game Theory", Oxford University Press, 2004, chapter 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import LARGEST, NormalFormGame, Strategies
from fedfm_sim.games.solve import solve


@dataclass(frozen=True, eq=False)
class BayesNash:
    """A profile of a Bayesian game, and how good it is to each type.

    Attributes
    ----------
    strategies : tuple of (t_i, a_i) arrays
        Each type's distribution over actions.
    interim : tuple of (t_i,) arrays
        Expected payoff of each type that knows itself; NaN for types of no chance.
    payoffs : (n,) array
        Expected payoff of each player before types are drawn.
    regret : float
        The most that any type gains by deviating: checked, not assumed.
    """

    strategies: Strategies
    interim: tuple[Array, ...]
    payoffs: Array
    regret: float


@dataclass(frozen=True, eq=False)
class BayesianGame:
    """A game of n players with finitely many types each [1]_.

    Attributes
    ----------
    prior : (t_1, ..., t_n) array
        Common prior chance of each profile of types; types may be correlated.
    payoffs : (n, t_1, ..., t_n, a_1, ..., a_n) array
        ``payoffs[i][types][actions]`` is what player i gets.

    Raises
    ------
    UserError
        When shapes do not fit, the prior is no distribution, or a payoff is not finite.
    """

    prior: Array
    payoffs: Array

    def __post_init__(self) -> None:
        prior = np.asarray(self.prior, dtype=np.float64)
        payoffs = np.asarray(self.payoffs, dtype=np.float64)
        n = prior.ndim
        if payoffs.shape[: n + 1] != (n, *prior.shape) or payoffs.ndim != 2 * n + 1 or n < 1:
            raise UserError(
                f"payoffs of shape {payoffs.shape} for a prior of shape {prior.shape}: expected "
                "(n, types of 1, ..., of n, actions of 1, ..., of n)"
            )
        if not payoffs.size or not np.isfinite(payoffs).all():
            raise UserError("payoffs of a Bayesian game must be finite, at least one action each")
        if not (prior.min() >= 0 and abs(prior.sum() - 1) < 1e-9):
            raise UserError("the prior must be a distribution over profiles of types")
        object.__setattr__(self, "prior", prior)
        object.__setattr__(self, "payoffs", payoffs)

    @property
    def players(self) -> int:
        """The number of players n."""
        return self.prior.ndim

    @property
    def actions(self) -> tuple[int, ...]:
        """The number of actions of each player."""
        return self.payoffs.shape[self.players + 1 :]

    def chances(self, player: int) -> Array:
        """Return the prior chance of each type of a player, (t_i,)."""
        others = tuple(j for j in range(self.players) if j != player)
        return np.asarray(self.prior.sum(axis=others))

    @cached_property
    def _plans(self) -> tuple[Index, ...]:
        """Each player's pure strategies, (plans, t_i): an action for every type."""
        plans = []
        for i, count in enumerate(self.actions):
            # A type of no chance changes no payoff: it keeps to its first action.
            choices = [range(count) if chance > 0 else range(1) for chance in self.chances(i)]
            if self.players * prod(map(len, choices)) > LARGEST:
                raise UserError(f"too many pure strategies in this Bayesian game: {self.actions}")
            plans.append(np.array(list(product(*choices)), dtype=np.int64))
        return tuple(plans)

    def ex_ante(self) -> NormalFormGame:
        """Return the game before types are drawn, whose actions are plans for every type.

        Raises
        ------
        UserError
            When there are more than `LARGEST` payoffs of profiles of plans.
        """
        sizes = [len(own) for own in self._plans]
        if self.players * prod(sizes) > LARGEST:
            raise UserError(f"{sizes} pure strategies are too many; at most {LARGEST} payoffs fit")
        whole = np.zeros((self.players, *sizes))
        for types in np.argwhere(self.prior > 0):
            acts = np.ix_(*(plans[:, t] for plans, t in zip(self._plans, types, strict=True)))
            place = tuple(types)
            for i in range(self.players):
                whole[i] += self.prior[place] * self.payoffs[(i, *place)][acts]
        return NormalFormGame(whole)

    def action_values(self, strategies: Sequence[Array], player: int) -> Array:
        """Return what each action is expected to pay each type of a player, (t_i, a_i).

        Against the others' strategies and the beliefs that the type has by Bayes' rule; NaN
        for a type of no chance.
        """
        n = self.players
        terms: list[object] = [self.payoffs[player], [*range(2 * n)], self.prior, [*range(n)]]
        for other in range(n):
            if other != player:
                terms += [strategies[other], [other, n + other]]
        values = np.einsum(*terms, [player, n + player], optimize=True)  # type: ignore[call-overload]
        with np.errstate(invalid="ignore"):
            return np.asarray(values / self.chances(player)[:, None])

    def evaluated(self, strategies: Sequence[Array]) -> BayesNash:
        """Return strategies (t_i, a_i) with their interim and ex-ante payoffs and regret."""
        own = tuple(np.asarray(strategy, dtype=np.float64) for strategy in strategies)
        interim, payoffs, gains = [], [], [0.0]
        for i, strategy in enumerate(own):
            values, chances = self.action_values(own, i), self.chances(i)
            interim.append((values * strategy).sum(1))
            payoffs.append(chances[chances > 0] @ interim[i][chances > 0])
            gains.append(float((values.max(1) - interim[i])[chances > 0].max()))
        return BayesNash(own, tuple(interim), np.array(payoffs), max(gains))

    def equilibria(self) -> tuple[BayesNash, ...]:
        """Return Bayes-Nash equilibria, through the ex-ante game and `solve`.

        With two players these are all extreme ones of the ex-ante game, and with more the
        pure ones, or where there is none a mixed one; the regret says how good.
        A type of no chance plays its first action.

        Raises
        ------
        UserError
            When the ex-ante game is too large to build or to enumerate.
        """
        found: list[BayesNash] = []
        for mixed in solve(self.ex_ante()):
            strategies = [
                np.stack([x @ np.eye(count)[acts] for acts in plans.T])
                for x, plans, count in zip(mixed.strategies, self._plans, self.actions, strict=True)
            ]
            # Mixtures of plans that come to the same behaviour of every type are one.
            if not any(
                all(
                    np.allclose(a, b, atol=1e-7)
                    for a, b in zip(strategies, old.strategies, strict=True)
                )
                for old in found
            ):
                found.append(self.evaluated(strategies))
        return tuple(found)

    def observed_by(self, players: Sequence[int]) -> BayesianGame:
        """Return the game in which these players see everybody's type, and all know that.

        The type of each of them is then the whole profile of types, in C order.

        Raises
        ------
        UserError
            When a player is none of the game's, or the game has too many payoffs.
        """
        if not set(players) <= set(range(self.players)):
            raise UserError(f"players {list(players)} of a game of {self.players}")
        states = self.prior.size
        shape = tuple(states if i in players else t for i, t in enumerate(self.prior.shape))
        if self.players * prod(shape) * prod(self.actions) > LARGEST:
            raise UserError(f"types of shape {shape} are too many to observe")
        prior = np.zeros(shape)
        payoffs = np.zeros((self.players, *shape, *self.actions))
        for state, types in enumerate(np.ndindex(self.prior.shape)):
            place = tuple(state if i in players else t for i, t in enumerate(types))
            prior[place] = self.prior[types]
            payoffs[:, *place] = self.payoffs[:, *types]
        return BayesianGame(prior, payoffs)


@dataclass(frozen=True, eq=False)
class InformationValue:
    """What seeing the others' types changes for a player.

    Attributes
    ----------
    without, informed : (k,), (m,) arrays
        The player's expected payoff in each equilibrium found, before and after.
    """

    without: Array
    informed: Array

    @property
    def gain(self) -> tuple[float, float]:
        """Change of the player's payoff from worst to worst and from best to best equilibrium."""
        return (
            float(self.informed.min() - self.without.min()),
            float(self.informed.max() - self.without.max()),
        )


def value_of_information(
    game: BayesianGame, player: int, observers: Sequence[int] | None = None
) -> InformationValue:
    """Return what a player gains when it, or others, see everybody's type.

    It is common knowledge who sees, so unlike in a decision alone the value may be negative.

    Parameters
    ----------
    player : int
        Whose payoff counts.
    observers : sequence of int, optional
        Who sees all types; the player itself unless given.

    Raises
    ------
    UserError
        When a player is none of the game's, or a game is too large or no equilibrium of it
        is found.
    """
    if not 0 <= player < game.players:
        raise UserError(f"player {player} of a game of {game.players}")
    informed = game.observed_by([player] if observers is None else observers)
    before, after = game.equilibria(), informed.equilibria()
    if not before or not after:
        raise UserError("no equilibrium was found to compare information by")
    return InformationValue(
        np.array([found.payoffs[player] for found in before]),
        np.array([found.payoffs[player] for found in after]),
    )
