"""Role-symmetric games: many players of few kinds, where only how many play what matters.

The game of n players in the same role and a actions has ``C(n + a - 1, a - 1)`` profiles of
counts instead of ``a**n``.

References
----------
.. [1] S.-F. Cheng, D. Reeves, Y. Vorobeychik and M. Wellman, "Notes on equilibria in symmetric
   games", GTDT workshop at AAMAS 2004.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb, prod

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.mean_field import PopulationGame
from fedfm_sim.games.normal_form import LARGEST, Equilibrium, NormalFormGame, anarchy

#: Profiles of counts of a game; one of more is for a reduction.
MOST_PROFILES = 200_000


def count_profiles(players: Sequence[int], actions: Sequence[int]) -> Index:
    """Return every profile of counts, (M, A), in lexicographic order.

    Parameters
    ----------
    players, actions : sequences of int
        The number of players and of actions of each role, at least 1.

    Raises
    ------
    UserError
        When a number is below 1, or there are more than `MOST_PROFILES` profiles.
    """
    if not players or len(players) != len(actions) or min(*players, *actions) < 1:
        raise UserError(f"{players} players and {actions} actions of the roles: expected >= 1 each")
    size = prod(comb(n + a - 1, a - 1) for n, a in zip(players, actions, strict=True))
    if size > MOST_PROFILES:
        raise UserError(f"{size} profiles of counts are too many; at most {MOST_PROFILES}")
    whole = np.zeros((1, 0), dtype=np.int64)
    for n, a in zip(players, actions, strict=True):
        # Stars and bars: the gaps between a - 1 bars among n + a - 1 places.
        bars = np.array(list(combinations(range(n + a - 1), a - 1)), dtype=np.int64)
        own = np.diff(bars, axis=1, prepend=-1, append=n + a - 1) - 1
        whole = np.c_[np.repeat(whole, len(own), axis=0), np.tile(own, (len(whole), 1))]
    return whole


@dataclass(frozen=True, eq=False)
class RoleSymmetricGame:
    """A game whose players are alike within their role [1]_.

    Attributes
    ----------
    roles : tuple of R str
    players : tuple of R int
        The number of players n_r of each role.
    actions : tuple of R tuples of str
        Names of the actions of each role; A of them in all.
    counts : (M, A) int array
        How many play each action, the roles side by side: every profile once, in any order;
        kept in the order of `count_profiles`.
    payoffs : (M, A) array
        What a player of each action gets there; kept as NaN where nobody plays it.

    Raises
    ------
    UserError
        When shapes do not fit, a profile is missing or there twice, or a payoff is not finite.
    """

    roles: tuple[str, ...]
    players: tuple[int, ...]
    actions: tuple[tuple[str, ...], ...]
    counts: Index
    payoffs: Array

    def __post_init__(self) -> None:
        if not len(self.roles) == len(self.players) == len(self.actions):
            raise UserError("roles, players and actions must be of one length")
        profiles = count_profiles(self.players, self.sizes)
        counts, payoffs = np.asarray(self.counts), np.asarray(self.payoffs, dtype=np.float64)
        if counts.shape != payoffs.shape or counts.ndim != 2 or counts.shape[1] != sum(self.sizes):
            raise UserError(
                f"counts of shape {counts.shape} and payoffs of shape {payoffs.shape}: expected "
                f"(profiles, {sum(self.sizes)}) both"
            )
        rows = {tuple(map(float, row)): at for at, row in enumerate(counts)}
        places = np.array([rows.get(tuple(map(float, profile)), -1) for profile in profiles])
        if (places < 0).any():
            missing = profiles[int(np.argmax(places < 0))]
            raise UserError(f"payoffs of the profile {self.described(missing)} are missing")
        if len(counts) != len(profiles):
            raise UserError(f"{len(counts)} rows for {len(profiles)} profiles of counts")
        ordered = np.where(profiles > 0, payoffs[places], np.nan)
        wrong = (profiles > 0) & ~np.isfinite(ordered)
        if wrong.any():
            where = self.described(profiles[int(np.argmax(wrong.any(1)))])
            raise UserError(f"payoffs of who plays in the profile {where} must be finite")
        object.__setattr__(self, "counts", profiles)
        object.__setattr__(self, "payoffs", ordered)

    @classmethod
    def from_function(
        cls,
        roles: tuple[str, ...],
        players: tuple[int, ...],
        actions: tuple[tuple[str, ...], ...],
        payoff: Callable[[Index], npt.ArrayLike],
    ) -> RoleSymmetricGame:
        """Return the game whose payoffs (A,) are a function of the counts (A,)."""
        profiles = count_profiles(players, tuple(map(len, actions)))
        payoffs = np.array([payoff(profile) for profile in profiles], dtype=np.float64)
        return cls(roles, players, actions, profiles, payoffs)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of actions of each role."""
        return tuple(map(len, self.actions))

    @cached_property
    def population(self) -> PopulationGame:
        """Shares of the actions to `expected` payoffs: what symmetric equilibria solve."""
        return PopulationGame(self.expected, self.sizes)

    def described(self, profile: Index) -> str:
        """Return a profile of counts in words."""
        parts = np.split(profile, np.cumsum(self.sizes)[:-1])
        return "; ".join(
            f"{role}: " + ", ".join(f"{n} {a}" for n, a in zip(part, own, strict=True) if n)
            for role, part, own in zip(self.roles, parts, self.actions, strict=True)
        )

    @cached_property
    def _chances(self) -> Array:
        """Log of the number of ways, (M, A), that others make up a profile with one player.

        The others of role r are n_r - 1: ``(n_r - 1)! / prod (c - e)!`` is
        ``n_r! / prod c! * c_a / n_r``.
        """
        ways = gammaln(np.array(self.players) + 1.0).sum() - gammaln(self.counts + 1.0).sum(1)
        mates = np.repeat(np.array(self.players, dtype=np.float64), self.sizes)
        with np.errstate(divide="ignore"):
            return np.asarray(ways[:, None] + np.log(self.counts / mates))

    @cached_property
    def _paid(self) -> Array:
        """Payoffs, 0 where nobody plays."""
        return np.nan_to_num(self.payoffs)

    def expected(self, mixture: Array) -> Array:
        """Return what each role-action pays against others who all play the mixtures, (A,).

        Exact: a payoff counts with the multinomial chance that the n_r - 1 others of one's
        role and the n_s of each other role make up the rest of the profile.

        Parameters
        ----------
        mixture : (A,) array
            Each role's distribution over its actions, side by side.

        Raises
        ------
        UserError
            When the mixture is no distribution for each role.
        """
        own = self.population.checked(mixture)
        unused = own == 0
        logs = np.log(np.where(unused, 1.0, own))
        others_use_it = (self.counts @ unused)[:, None] - unused > 0
        weights = np.exp(self._chances + (self.counts @ logs)[:, None] - logs)
        weights[others_use_it | (self.counts == 0)] = 0
        return np.asarray((weights * self._paid).sum(0))

    def regret(self, mixture: Array) -> float:
        """Return the most that any player gains by leaving its role's mixture alone."""
        return self.population.evaluated(self.population.checked(mixture)).regret

    def symmetric_equilibria(
        self, rng: np.random.Generator, starts: int = 20
    ) -> tuple[Equilibrium, ...]:
        """Return the equilibria found in which all players of a role play alike.

        At least one exists (Nash 1951). Strategies and payoffs are by role; see
        `PopulationGame.equilibria` for how they are searched for.
        """
        return self.population.equilibria(rng, starts)

    def expanded(self) -> NormalFormGame:
        """Return the same game of all players one by one, role after role.

        Raises
        ------
        UserError
            When its tensor has more than `LARGEST` entries.
        """
        role = np.repeat(np.arange(len(self.players)), self.players)
        shape = tuple(self.sizes[r] for r in role)
        if len(role) * prod(shape) > LARGEST:
            raise UserError(
                f"a payoff tensor of {len(role) * prod(shape)} entries; at most {LARGEST} fit"
            )
        starts = np.cumsum((0, *self.sizes[:-1]))[role]
        chosen = np.indices(shape).reshape(len(role), -1) + starts[:, None]
        # Counts as the digits of one number tell profiles apart, and sort like them.
        digits = (max(self.players) + 1.0) ** np.arange(sum(self.sizes))[::-1]
        rows = np.searchsorted(self.counts @ digits, digits[chosen].sum(0))
        payoffs = self.payoffs[rows, chosen].reshape(len(role), *shape)
        return NormalFormGame(payoffs, tuple(self.actions[r] for r in role))

    def welfare(self) -> Array:
        """Return the sum of all players' payoffs in every profile, (M,)."""
        return np.asarray((self.counts * self._paid).sum(1))

    def best_welfare(self) -> float:
        """Return the highest welfare of any profile."""
        return float(self.welfare().max())

    def price_of_anarchy(self, equilibria: Sequence[Equilibrium]) -> float:
        """Return the best welfare over that of the worst equilibrium.

        As `NormalFormGame.price_of_anarchy`, for equilibria by role.

        Raises
        ------
        UserError
            When there is no equilibrium or some payoffs are negative in sum.
        """
        reached = [float(np.dot(self.players, found.payoffs)) for found in equilibria]
        return anarchy(self.welfare(), reached)
