"""Finite games in normal form: payoffs, best replies and how far a profile is from equilibrium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.exact import ROUNDING

Strategies = tuple[Array, ...]

#: Entries of a payoff tensor; a game of more is for `fedfm_sim.games` of few kinds.
LARGEST = 20_000_000


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A profile of mixed strategies that was found, and how good it is.

    Attributes
    ----------
    strategies : tuple of arrays
        One distribution over actions for each player.
    payoffs : (n,) array
        Expected payoff of each player.
    regret : float
        The most that any player gains by deviating: checked, not assumed.
    """

    strategies: Strategies
    payoffs: Array
    regret: float


@dataclass(frozen=True, eq=False)
class NormalFormGame:
    """A game of n players.

    Attributes
    ----------
    payoffs : (n, a_1, ..., a_n) array
        ``payoffs[i][profile]`` is what player i gets.
    actions : tuple of n tuples of str
        Names of each player's actions.

    Raises
    ------
    UserError
        When shapes do not fit, a payoff is not finite, a player has no action, or the tensor
        has more than `LARGEST` entries.
    """

    payoffs: Array
    actions: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        given = np.asarray(self.payoffs)
        if given.size > LARGEST:
            raise UserError(f"a payoff tensor of {given.size} entries; at most {LARGEST} fit")
        payoffs = np.asarray(given, dtype=np.float64)
        if payoffs.ndim < 2 or payoffs.ndim - 1 != len(payoffs) or not payoffs.size:
            raise UserError(
                f"payoffs of shape {payoffs.shape}: expected (n, actions of 1, ..., of n), "
                "at least one action each"
            )
        if not np.isfinite(payoffs).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(payoffs))[0])
            raise UserError(f"payoffs must be finite; the one at {where} is {payoffs[where]}")
        object.__setattr__(self, "payoffs", payoffs)
        names = self.actions or tuple(
            tuple(str(a) for a in range(count)) for count in payoffs.shape[1:]
        )
        if tuple(map(len, names)) != payoffs.shape[1:]:
            raise UserError(f"{[len(own) for own in names]} names for {payoffs.shape[1:]} actions")
        object.__setattr__(self, "actions", names)

    @classmethod
    def from_bimatrix(cls, rows: npt.ArrayLike, columns: npt.ArrayLike) -> NormalFormGame:
        """Return the game of two players with these payoff matrices."""
        first, second = np.asarray(rows, dtype=float), np.asarray(columns, dtype=float)
        if first.shape != second.shape or first.ndim != 2:
            raise UserError(f"payoff matrices of shapes {first.shape} and {second.shape} differ")
        return cls(np.stack([first, second]))

    @property
    def players(self) -> int:
        """The number of players n."""
        return len(self.payoffs)

    @cached_property
    def scale(self) -> float:
        """The range of all payoffs; 1 where all are the same."""
        return float(np.ptp(self.payoffs)) or 1.0

    @cached_property
    def scales(self) -> Array:
        """The range of each player's payoffs, (n,); 1 where they are the same."""
        spans = np.array([np.ptp(own) for own in self.payoffs])
        return np.where(spans > 0, spans, 1.0)

    @cached_property
    def units(self) -> Array:
        """What a wrong action costs each player, (n,): the median over profiles where it costs.

        Regrets are judged in it, for it moves with a player's money and, unlike the range, not
        with a single outlying payoff. 1 where no action is ever wrong.
        """
        units = np.ones(self.players)
        for i, own in enumerate(self.payoffs):
            best = own.max(axis=i, keepdims=True)
            costs = (best - own)[best - own > _rounding(best, own)]
            units[i] = np.median(costs) if costs.size else 1.0
        return units

    def action_values(self, strategies: Sequence[Array], player: int) -> Array:
        """Return what each action of a player pays against the others' mixed strategies."""
        values = np.moveaxis(self.payoffs[player], player, 0)
        for other in reversed(range(self.players)):
            if other != player:
                values = values @ strategies[other]
        return np.asarray(values)

    def expected(self, strategies: Sequence[Array]) -> Array:
        """Return the expected payoff of each player, (n,)."""
        values = [self.action_values(strategies, i) @ strategies[i] for i in range(self.players)]
        return np.array(values)

    def regrets(self, strategies: Sequence[Array]) -> Array:
        """Return the most that each player gains by deviating, (n,), at least 0."""
        gains = [
            float(self.action_values(strategies, i).max()) for i in range(self.players)
        ] - self.expected(strategies)
        return np.asarray(np.maximum(0.0, gains))

    def evaluated(self, strategies: Sequence[Array]) -> Equilibrium:
        """Return a profile with its payoffs and regret."""
        own = tuple(np.asarray(strategy, dtype=np.float64) for strategy in strategies)
        return Equilibrium(own, self.expected(own), float(self.regrets(own).max()))

    def pure_profiles(self) -> Iterator[tuple[int, ...]]:
        """Yield every profile of actions that nobody gains by leaving alone.

        A gain counts when it is more than the rounding of the two payoffs compared.
        """
        stable = np.ones(self.payoffs.shape[1:], dtype=bool)
        for i, own in enumerate(self.payoffs):
            best = own.max(axis=i, keepdims=True)
            stable &= best - own <= _rounding(best, own)
        for profile in np.argwhere(stable):
            yield tuple(int(action) for action in profile)

    def pure_equilibria(self) -> tuple[Equilibrium, ...]:
        """Return the equilibria in pure strategies."""
        counts = self.payoffs.shape[1:]
        return tuple(
            self.evaluated([np.eye(count)[a] for count, a in zip(counts, profile, strict=True)])
            for profile in self.pure_profiles()
        )

    def welfare(self) -> Array:
        """Return the sum of payoffs of every profile."""
        return np.asarray(self.payoffs.sum(axis=0))

    def price_of_anarchy(self, equilibria: Sequence[Equilibrium]) -> float:
        """Return the best welfare over that of the worst equilibrium (Koutsoupias et al. 1999).

        Infinity when that equilibrium is worth nothing.

        Raises
        ------
        UserError
            When there is no equilibrium or some payoffs are negative in sum, where a ratio
            means nothing.
        """
        return anarchy(self.welfare(), [float(found.payoffs.sum()) for found in equilibria])


def _rounding(first: Array, second: Array) -> Array:
    """Return which difference of two payoffs is their rounding, and none."""
    return np.asarray(ROUNDING * np.maximum(np.abs(first), np.abs(second)))


def anarchy(welfare: Array, reached: Sequence[float]) -> float:
    """Return the best welfare of all profiles over the worst of what equilibria reach.

    See `NormalFormGame.price_of_anarchy`.
    """
    if not reached or float(welfare.min()) < 0:
        raise UserError("the price of anarchy needs equilibria, and welfare of at least 0")
    best, worst = float(welfare.max()), min(reached)
    return best / worst if worst > 0 else (1.0 if best == 0 else float("inf"))
