"""Games whose payoffs are means over measured replicates, solved with stated uncertainty.

References
----------
.. [1] M. P. Wellman, "Methods for empirical game-theoretic analysis", AAAI 2006.
.. [2] K. Tuyls et al., "Bounds and dynamics for empirical game theoretic analysis",
   Autonomous Agents and Multi-Agent Systems 34, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import stats

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import LEVEL, Estimate, critical
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame
from fedfm_sim.games.sensitivity import UNUSED, payoff_changes
from fedfm_sim.games.solve import Concept, solve


@dataclass(frozen=True, eq=False)
class Intervals:
    """An equilibrium of the mean game, and what its replicates say of the true one.

    Attributes
    ----------
    equilibrium : Equilibrium
        Of the mean payoffs.
    low, high : (n,) arrays
        Student's interval of each player's payoff in the equilibrium of the true game in which
        the same actions are played; NaN of one replicate.
    regret_high : float
        What the regret of the mean game's strategies in the true game is at most, at a level
        of at least 0.95; NaN of one replicate.
    """

    equilibrium: Equilibrium
    low: Array
    high: Array
    regret_high: float

    @classmethod
    def of(
        cls, equilibrium: Equilibrium, changes: Array, gains: Array, errors: Array, degrees: int
    ) -> Intervals:
        """Return the intervals that replicates give.

        Parameters
        ----------
        equilibrium : Equilibrium
        changes : (R, n) array
            What each replicate moves the payoffs by: see `fedfm_sim.core.intervals.moves`.
        gains, errors : (m,) arrays
            What every deviation gains in the mean game, and its standard error.
        degrees : int
            Of freedom, of the standard errors.
        """
        half = np.sqrt((changes**2).sum(axis=0)) * critical(degrees)
        # One-sided, for all deviations together, as the strategies were chosen on the same data.
        reach = critical(degrees, 2 * LEVEL - 1, max(1, int((errors > 0).sum())))
        most = float(np.max(gains + reach * errors, initial=0.0))
        return cls(equilibrium, equilibrium.payoffs - half, equilibrium.payoffs + half, most)

    def covers(self, other: Intervals) -> bool:
        """Whether two independent estimates agree: intervals of every player overlap.

        Those of one true payoff fail to in about 0.6 % of pairs for each player, as two
        errors rarely lie on opposite sides.
        """
        ends = np.array([self.low, self.high, other.low, other.high])
        rounding = 1e-9 * np.abs(ends).max()  # of payoffs that are known, as of doing nothing
        gaps = np.maximum(self.low - other.high, other.low - self.high)
        return bool((gaps <= rounding).all())


@dataclass(frozen=True, eq=False)
class EmpiricalGame:
    """Replicated payoffs of every profile [1]_.

    Attributes
    ----------
    samples : (R, n, a_1, ..., a_n) array
        Replicate r of player i's payoff in each profile. The replicates of one r share their
        seed over all profiles, so that a resample keeps what they have in common. Profiles
        with fewer replicates than others end in NaN.
    actions : tuple of n tuples of str

    Raises
    ------
    UserError
        When there is no replicate of a profile, or the payoffs are no game.
    """

    samples: Array
    actions: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if self.samples.ndim < 3 or not len(self.samples):
            raise UserError("an empirical game needs at least one replicate of every profile")
        NormalFormGame(self.samples[0], self.actions)
        missing = np.isnan(self.samples)
        if (missing[:-1] & ~missing[1:]).any() or (missing.any(1) != missing.all(1)).any():
            raise UserError("payoffs must be finite; NaN only ends a profile's replicates")
        _ = self.game

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, players: tuple[str, ...], payoffs: tuple[str, ...]
    ) -> EmpiricalGame:
        """Return the game of a table with a row for each profile and ``seed``.

        Parameters
        ----------
        players : tuple of n column names
            Each player's action, in the order of the actions' first appearance.
        payoffs : tuple of n column names

        Raises
        ------
        UserError
            When a profile is missing or there twice for a seed.
        """
        actions = tuple(tuple(map(str, dict.fromkeys(frame[name]))) for name in players)
        if frame.duplicated(["seed", *players]).any():
            raise UserError("a profile is there twice for a seed")
        # Each profile's replicates in the order of their seeds, those that all have first.
        shared = frame.groupby("seed")["seed"].transform("size")
        frame = frame.iloc[np.lexsort((frame["seed"], -shared))]
        replicate = frame.groupby(list(players)).cumcount().to_numpy()
        shape = (int(replicate.max()) + 1, *map(len, actions))
        samples = np.full((len(payoffs), *shape), np.nan)
        index = (
            replicate,
            *(
                np.array([own.index(str(a)) for a in frame[name]], dtype=np.int64)
                for name, own in zip(players, actions, strict=True)
            ),
        )
        played = len(frame.drop_duplicates(list(players)))
        if played != int(np.prod(shape[1:])):
            raise UserError(f"{played} profiles were played of {int(np.prod(shape[1:]))}")
        for i, name in enumerate(payoffs):
            samples[i][index] = frame[name].to_numpy(dtype=np.float64)
        return cls(np.moveaxis(samples, 0, 1), actions)

    @property
    def replicates(self) -> int:
        """The largest number of replicates R of a profile."""
        return len(self.samples)

    @cached_property
    def counts(self) -> Index:
        """The number of replicates of each profile, (a_1, ..., a_n)."""
        return np.asarray((~np.isnan(self.samples[:, 0])).sum(axis=0))

    @cached_property
    def game(self) -> NormalFormGame:
        """The game of mean payoffs."""
        return NormalFormGame(np.nanmean(self.samples, axis=0), self.actions)

    @cached_property
    def moves(self) -> Array:
        """What each replicate moves the mean payoffs by, (R, n, a_1, ..., a_n).

        As `fedfm_sim.core.intervals.moves` for each profile; 0 beyond its last replicate.
        """
        away = np.nan_to_num(self.samples - self.game.payoffs)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(away / np.sqrt(self.counts * (self.counts - 1.0)))

    @cached_property
    def standard_errors(self) -> Array:
        """Standard error of each mean payoff (n, a_1, ..., a_n); NaN for one replicate."""
        return np.asarray(np.sqrt((self.moves**2).sum(axis=0)))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the standard errors: those of the profile played least often."""
        return int(self.counts.min()) - 1

    def solve(
        self, rng: np.random.Generator | None = None, concept: Concept = "nash"
    ) -> tuple[Intervals, ...]:
        """Return the mean game's equilibria, each with intervals over replicates.

        Parameters
        ----------
        rng : Generator, optional
            No notice is taken of it: nothing is drawn.
        concept : str
            See `fedfm_sim.games.solve`.
        """
        found = []
        for own in solve(self.game, concept):
            changes = np.full((1, len(own.payoffs)), np.nan)
            if self.degrees and concept in ("nash", "pure"):
                each = [partial(_values, NormalFormGame(move)) for move in self.moves]
                changes = payoff_changes(partial(_values, self.game), each, own.strategies)
            elif self.degrees:
                changes = np.array([self._half_way(own, move, concept) for move in self.moves])
            gains, errors = self._gains(own.strategies)
            found.append(Intervals.of(own, changes, gains, errors, self.degrees))
        return tuple(found)

    def _half_way(self, own: Equilibrium, move: Array, concept: Concept) -> Array:
        """Return by how much a move of the means moves an equilibrium's payoffs, solved anew."""
        ends = [
            min(
                solve(NormalFormGame(self.game.payoffs + sign * move), concept),
                key=lambda other: _apart(own, other),
            )
            for sign in (1, -1)
        ]
        return np.asarray((ends[0].payoffs - ends[1].payoffs) / 2)

    def _gains(self, strategies: Sequence[Array], player: int | None = None) -> tuple[Array, Array]:
        """Return what every action gains over fixed strategies, and the standard errors."""
        players = range(self.game.players) if player is None else [player]

        def gains(game: NormalFormGame) -> Array:
            each = [game.action_values(strategies, i) for i in players]
            means = [own @ strategies[i] for i, own in zip(players, each, strict=True)]
            return np.concatenate([own - mean for own, mean in zip(each, means, strict=True)])

        means = gains(self.game)
        if not self.degrees:
            return means, np.full(len(means), np.nan)
        moved = np.array([gains(NormalFormGame(move)) for move in self.moves])
        return means, np.asarray(np.sqrt((moved**2).sum(axis=0)))

    def exploitability(
        self,
        strategies: Sequence[Array],
        rng: np.random.Generator | None = None,
        player: int | None = None,
    ) -> Estimate:
        """Return the most that anybody gains by leaving a profile, or that one player does.

        The interval is that of the truly largest gain (`Estimate.of_largest`): a profile that
        nobody gains by leaving has a lower end above 0 in at most 2.5 % of measured games. It
        holds for strategies that were not chosen on the same replicates.

        Parameters
        ----------
        strategies : sequence of n arrays
        rng : Generator, optional
            No notice is taken of it: nothing is drawn.
        player : int, optional
            Whose gain; the largest of all unless given.
        """
        return Estimate.of_largest(*self._gains(strategies, player), self.degrees)

    @cached_property
    def _doubts(self) -> dict[tuple[int, ...], float]:
        """The chance that a deviation pays after all, by the profile next to an equilibrium.

        Shared among the profiles that the deviation leads to, by what each adds to its error.
        """
        doubts: dict[tuple[int, ...], float] = {}
        for found in solve(self.game):
            gains, errors = self._gains(found.strategies)
            chances = np.nan_to_num(stats.t.sf(-gains / np.maximum(errors, 1e-300), self.degrees),
                                    nan=1.0)  # fmt: skip
            parts = np.split(chances, np.cumsum(self.game.payoffs.shape[1:])[:-1])
            for i, own in enumerate(parts):
                for action, chance in enumerate(own):
                    rest = [np.flatnonzero(s > 1e-6).tolist() for s in found.strategies]
                    rest[i] = [action]
                    for profile in np.array(np.meshgrid(*rest)).reshape(len(rest), -1).T:
                        place = tuple(int(a) for a in profile)
                        weight = np.prod(
                            [
                                s[a]
                                for j, (s, a) in enumerate(
                                    zip(found.strategies, place, strict=True)
                                )
                                if j != i
                            ]
                        )
                        error = float(np.nan_to_num(self.standard_errors[(i, *place)], nan=1.0))
                        doubts[place] = max(doubts.get(place, 0.0), chance * weight * error)
        return doubts

    def most_wanted(self, count: int = 1) -> list[tuple[int, ...]]:
        """Return the profiles where another replicate would change the answer most.

        Those one deviation off an equilibrium of the mean game, by the chance that the
        deviation pays after all times what the profile adds to its error [2]_.
        """
        return sorted(self._doubts, key=lambda place: (-self._doubts[place], place))[:count]

    @cached_property
    def settled(self) -> bool:
        """Whether more replicates are not expected to change which actions are played.

        Every action that an equilibrium leaves out then pays less than those played, beyond
        Student's bounds for all of them together: where that is not true of the game, it is
        said in at most 2.5 % of measured games. Never of one replicate.
        """
        for found in solve(self.game):
            gains, errors = self._gains(found.strategies)
            out = np.concatenate(found.strategies) <= UNUSED
            reach = critical(self.degrees, comparisons=max(1, int(out.sum())))
            if not (gains[out] + reach * errors[out] < 0).all():
                return False
        return self.degrees > 0


def _values(game: NormalFormGame, shares: Array) -> Array:
    """Return what every action pays at shares side by side."""
    own = np.split(shares, np.cumsum(game.payoffs.shape[1:])[:-1])
    return np.concatenate([game.action_values(own, i) for i in range(game.players)])


def _apart(first: Equilibrium, second: Equilibrium) -> float:
    gaps = zip(first.strategies, second.strategies, strict=True)
    return float(sum(np.abs(a - b).sum() for a, b in gaps))
