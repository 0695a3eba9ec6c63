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
from functools import cached_property

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.estimates import LEVEL, RESAMPLES, TAILS, Estimate
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame, Strategies
from fedfm_sim.games.solve import Concept, solve


@dataclass(frozen=True, eq=False)
class Intervals:
    """An equilibrium of the mean game, and what resampling the replicates makes of it.

    Attributes
    ----------
    equilibrium : Equilibrium
        Of the mean payoffs.
    low, high : (n,) arrays
        Bootstrap interval of each player's payoff in the resampled games' equilibrium.
    regret_high : float
        Upper end of the regret that the mean game's strategies have in resampled games.
    frequencies : tuple of arrays
        Share of resamples whose equilibrium plays each action with a chance above 1 %.
    """

    equilibrium: Equilibrium
    low: Array
    high: Array
    regret_high: float
    frequencies: Strategies

    def covers(self, other: Intervals) -> bool:
        """Whether two independent estimates agree: intervals of every player overlap."""
        return bool(((self.low <= other.high) & (other.low <= self.high)).all())


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
    def standard_errors(self) -> Array:
        """Standard error of each mean payoff (n, a_1, ..., a_n); NaN for one replicate."""
        away = self.samples - self.game.payoffs
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.nansum(away**2, axis=0) / (self.counts - 1)
        return np.asarray(np.sqrt(variance / self.counts))

    def resampled(self, rng: np.random.Generator) -> NormalFormGame:
        """Return a game of means over replicates drawn with replacement.

        Profiles with the same number of replicates have the same ones drawn.
        """
        drawn = rng.random(self.replicates).reshape(-1, *[1] * self.counts.ndim)
        index = (drawn * self.counts).astype(np.int64)
        taken = np.take_along_axis(self.samples, index[:, None], axis=0)
        rank = np.arange(self.replicates).reshape(drawn.shape)
        kept = (rank < self.counts)[:, None]
        return NormalFormGame(np.where(kept, taken, 0.0).sum(axis=0) / self.counts)

    def solve(self, rng: np.random.Generator, concept: Concept = "nash") -> tuple[Intervals, ...]:
        """Return the mean game's equilibria, each with bootstrap intervals over replicates.

        Every resample is solved; of its equilibria the one nearest in strategies is taken.
        """
        means = [self.resampled(rng) for _ in range(RESAMPLES)]
        found = [solve(game, concept) for game in means]
        return tuple(
            intervals(own, [game.evaluated(own.strategies).regret for game in means], found)
            for own in solve(self.game, concept)
        )

    def exploitability(
        self, strategies: Sequence[Array], rng: np.random.Generator, player: int | None = None
    ) -> Estimate:
        """Return the most that anybody gains by leaving a profile, or that one player does.

        An interval's lower end is above 0 where the gain is there in nearly all resamples;
        as the largest of several measured gains, it is somewhat high itself.
        """

        def gain(game: NormalFormGame) -> float:
            own = game.regrets(strategies)
            return float(own.max() if player is None else own[player])

        return Estimate.of(gain(self.game), [gain(self.resampled(rng)) for _ in range(RESAMPLES)])

    def most_wanted(self, count: int = 1) -> list[tuple[int, ...]]:
        """Return the profiles where another replicate would change the answer most.

        Those one deviation off an equilibrium of the mean game, by the chance, in standard
        errors, that the deviation pays after all [2]_.
        """
        doubts: dict[tuple[int, ...], float] = {}
        for found in solve(self.game):
            for i, own in enumerate(found.strategies):
                values = self.game.action_values(found.strategies, i)
                for action in range(len(own)):
                    short = float(found.payoffs[i] - values[action])
                    rest = [np.flatnonzero(s > 1e-6).tolist() for s in found.strategies]
                    rest[i] = [action]
                    for profile in np.array(np.meshgrid(*rest)).reshape(len(rest), -1).T:
                        place = tuple(int(a) for a in profile)
                        error = float(np.nan_to_num(self.standard_errors[(i, *place)], nan=1e9))
                        doubt = error / (short + 1e-9 * self.game.scale + error)
                        doubts[place] = max(doubts.get(place, 0.0), doubt)
        return sorted(doubts, key=lambda place: (-doubts[place], place))[:count]


def intervals(
    own: Equilibrium, regrets: Sequence[float], resampled: Sequence[tuple[Equilibrium, ...]]
) -> Intervals:
    """Return what resampling makes of an equilibrium.

    Parameters
    ----------
    own : Equilibrium
        Of the mean game.
    regrets : sequence of float
        That of its strategies in each resampled game.
    resampled : sequence of tuples of Equilibrium
        The equilibria of each resampled game.
    """
    nearest = [min(found, key=lambda other: _apart(own, other)) for found in resampled if found]
    low, high = np.quantile([near.payoffs for near in nearest], TAILS, axis=0)
    shares = tuple(
        np.mean([near.strategies[i] > 0.01 for near in nearest], axis=0)
        for i in range(len(own.strategies))
    )
    return Intervals(own, low, high, float(np.quantile(regrets, LEVEL)), shares)


def _apart(first: Equilibrium, second: Equilibrium) -> float:
    gaps = zip(first.strategies, second.strategies, strict=True)
    return float(sum(np.abs(a - b).sum() for a, b in gaps))
