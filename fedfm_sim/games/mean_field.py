"""Equilibria of large populations, where payoffs depend on the share that plays each action.

A symmetric mixed equilibrium of finitely many players is one too: its payoffs are those
expected against others who all play the shares (`fedfm_sim.games.symmetric`).

References
----------
.. [1] J. G. Wardrop, "Some theoretical aspects of road traffic research", Proceedings of the
   Institution of Civil Engineers 1(3), 1952, pp. 325-362 (first principle).
.. [2] W. H. Sandholm, "Population Games and Evolutionary Dynamics", MIT Press, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.optimize import least_squares

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import Equilibrium

#: Regret of an equilibrium that is rounding, in what a wrong action costs (`PopulationGame.units`).
TOLERANCE = 1e-8
#: Supports that are all tried; with more, only random starts are.
MOST_SUPPORTS = 300
#: Steps of the replicator, and how far one goes, over the range of payoffs.
STEPS, RATE = 300, 0.2
#: Shares that move less than this in a step are at rest.
REST = 1e-9

#: Shares of all role-actions side by side (A,) to what each of them pays (A,).
Payoff = Callable[[Array], Array]


def mean_field_equilibrium(
    payoff: Payoff, actions: tuple[int, ...], start: Array | None = None
) -> Equilibrium:
    """Return the equilibrium of a large population that play comes to from ``start``.

    At a Wardrop equilibrium every action in use pays the same and no other pays more [1]_.
    The replicator [2]_ is followed from the start, and where it ends is polished by solving
    for equal payoffs on the actions still in use; where that fails, the start is.

    Parameters
    ----------
    payoff : callable
        Shares of every role's actions side by side, (A,), to payoffs, (A,).
    actions : tuple of int
        The number of actions of each role; one role is ``(a,)``.
    start : (A,) array, optional
        Shares to start from; even ones unless given. The replicator never takes up an
        action that nobody plays at the start.

    Returns
    -------
    Equilibrium
        Strategies and payoffs by role. Its regret tells whether one was found: it stays above
        0 where payoffs jump, or where the start lacks an action that would pay more.

    Raises
    ------
    UserError
        When the start is no distribution for each role, or payoffs do not fit or are not
        finite.
    """
    game = PopulationGame(payoff, actions)
    point = game.uniform if start is None else game.checked(start)
    ends = game.settled(game.followed(point)), game.settled(point)
    return ends[0] if game.is_equilibrium(ends[0]) else min(ends, key=game.gap)


@dataclass(frozen=True, eq=False)
class PopulationGame:
    """Roles whose members are many and alike, and payoffs by the shares of their actions.

    Attributes
    ----------
    payoff : callable
        Shares of every role's actions side by side, (A,), to payoffs, (A,).
    actions : tuple of int
        The number of actions of each role.

    Raises
    ------
    UserError
        When a role has no action.
    """

    payoff: Payoff
    actions: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.actions or min(self.actions) < 1:
            raise UserError(f"every role needs at least one action, got {self.actions}")

    @cached_property
    def uniform(self) -> Array:
        """Even shares within each role, (A,)."""
        return np.concatenate([np.full(count, 1 / count) for count in self.actions])

    @cached_property
    def _probes(self) -> list[Array]:
        """Payoffs at even shares, and where one role is of one mind."""
        points = [self.uniform]
        for role, count in enumerate(self.actions):
            for own in np.eye(count):
                parts = self.split(self.uniform)
                parts[role] = own
                points.append(np.concatenate(parts))
        return [self.values(point) for point in points]

    @cached_property
    def scales(self) -> Array:
        """The range of each role's payoffs at even shares and where one role is of one mind."""
        whole = np.stack(self._probes)
        spans = [float(np.ptp(own)) for own in np.split(whole, self._starts[1:], axis=1)]
        return np.array([span or 1.0 for span in spans])

    @cached_property
    def units(self) -> Array:
        """What a wrong action costs each role there, the median: regrets are judged in it.

        Unlike the range it moves with a role's money alone, and not with one outlying payoff.
        """
        costs = [[own.max() - own for own in self.split(values)] for values in self._probes]
        whole = [np.concatenate(own) for own in zip(*costs, strict=True)]
        units = [float(np.median(own[own > 0])) if own.any() else 0.0 for own in whole]
        return np.where(np.array(units) > 0, units, self.scales)

    def split(self, shares: Array) -> list[Array]:
        """Return the shares of each role."""
        return np.split(shares, self._starts[1:])

    @cached_property
    def roles(self) -> Index:
        """The role of each role-action, (A,)."""
        return np.repeat(np.arange(len(self.actions)), self.actions)

    @cached_property
    def _starts(self) -> Index:
        return np.asarray(np.cumsum((0, *self.actions[:-1])))

    def checked(self, shares: Array) -> Array:
        """Return shares as floats; UserError unless they are a distribution for each role."""
        own = np.asarray(shares, dtype=np.float64)
        if own.shape != (sum(self.actions),):
            raise UserError(f"shares of shape {own.shape}, expected ({sum(self.actions)},)")
        if not (own.min() >= 0 and (abs(np.add.reduceat(own, self._starts) - 1) < 1e-9).all()):
            raise UserError(f"the shares of each role must be a distribution, got {shares}")
        return own

    def values(self, shares: Array) -> Array:
        """Return what each role-action pays, (A,); UserError unless finite."""
        values = np.asarray(self.payoff(shares), dtype=np.float64)
        if values.shape != shares.shape or not np.isfinite(values).all():
            raise UserError(f"payoffs at {shares} must be {len(shares)} finite numbers: {values}")
        return values

    def evaluated(self, shares: Array) -> Equilibrium:
        """Return shares by role with their mean payoffs and the largest regret."""
        own, values = self.split(shares), self.split(self.values(shares))
        means = np.array([x @ u for x, u in zip(own, values, strict=True)])
        gains = np.array([u.max() for u in values]) - means
        return Equilibrium(tuple(own), means, max(0.0, float(gains.max())))

    def is_equilibrium(self, found: Equilibrium) -> bool:
        """Whether nobody's regret is more than rounding."""
        return self.gap(found) <= TOLERANCE

    def gap(self, found: Equilibrium) -> float:
        """Return the largest regret in the unit of its role."""
        values = self.split(self.values(np.concatenate(found.strategies)))
        regrets = np.array([own.max() for own in values]) - found.payoffs
        return float((regrets / self.units).max())

    def equilibria(self, rng: np.random.Generator, starts: int = 20) -> tuple[Equilibrium, ...]:
        """Return the equilibria that many starts lead to, without repetition.

        Even shares on every support (where there are up to `MOST_SUPPORTS`) and ``starts``
        random ones are polished, the random ones also from where the replicator takes them.
        Nothing proves that these are all; a continuum shows as many points.
        """
        found: list[Equilibrium] = []
        drawn = [
            np.concatenate([rng.dirichlet(np.ones(count)) for count in self.actions])
            for _ in range(starts)
        ]
        followed = [self.followed(point) for point in (self.uniform, *drawn)]
        for point in (*self._centres(), *drawn, *followed):
            new = self.settled(point)
            if self.is_equilibrium(new) and not any(_same(new, old) for old in found):
                found.append(new)
        return tuple(found)

    def _centres(self) -> Iterator[Array]:
        """Yield even shares on every support, or on the largest alone where they are many."""
        if np.prod([2.0**count - 1 for count in self.actions]) > MOST_SUPPORTS:
            yield self.uniform
            return
        each = [[s for s in product((0.0, 1.0), repeat=a) if any(s)] for a in self.actions]
        for supports in product(*each):
            yield np.concatenate([np.array(s) / sum(s) for s in supports])

    def followed(self, shares: Array) -> Array:
        """Return where the replicator leads in `STEPS` steps, or until it rests."""
        rates = RATE / self.scales[self.roles]
        for _ in range(STEPS):
            values = self.values(shares)
            best = np.maximum.reduceat(values, self._starts)[self.roles]
            grown = shares * np.exp(rates * (values - best))
            after = grown / np.add.reduceat(grown, self._starts)[self.roles]
            if np.abs(after - shares).max() < REST:
                return np.asarray(after)
            shares = after
        return shares

    def settled(self, near: Array) -> Equilibrium:
        """Return the best point of equal payoffs near shares, over guesses of the support.

        From each guess on, actions that would have to be played less than never are left out
        one by one, and those of ``near`` that pay more are taken in.
        """
        ends, tried = [self.evaluated(near)], set()
        for least in (1e-2, 1e-4, 1e-6):
            used = np.concatenate([own > least * own.max() for own in self.split(near)])
            while used.tobytes() not in tried:
                tried.add(used.tobytes())
                ends.append(self._equalised(near, used))
                if self.is_equilibrium(ends[-1]):
                    return ends[-1]
                used = self._other(ends[-1], near > 0, used)
        return min(ends, key=self.gap)

    def _other(self, found: Equilibrium, open_: Mask, used: Mask) -> Mask:
        """Return a support with the best action taken in, or the least played left out."""
        shares = np.concatenate(found.strategies)
        lost = (found.payoffs[self.roles] - self.values(shares)) / self.units[self.roles]
        other = used.copy()
        uneven = np.abs(lost[used]).max() > TOLERANCE
        if uneven:
            alone = np.bincount(self.roles[used], minlength=len(self.actions))[self.roles] == 1
            spare = used & ~alone
            other[np.argmin(np.where(spare, shares, np.inf))] &= not spare.any()
        else:
            gains = np.where(open_ & ~used, -lost, 0.0)
            other[np.argmax(gains)] |= bool(gains.max() > 0)
        return other

    def _equalised(self, near: Array, used: Array) -> Equilibrium:
        """Solve for shares on the support that all pay the same within their role."""
        members = [np.flatnonzero(used & (self.roles == r)) for r in range(len(self.actions))]

        def whole(shares: Array) -> Array:
            full = np.zeros(len(used))
            full[used] = shares
            return np.asarray(full / np.add.reduceat(full, self._starts)[self.roles])

        def gaps(shares: Array) -> Array:
            values = self.values(whole(shares)) / self.units[self.roles]
            uneven = [values[own[1:]] - values[own[0]] for own in members]
            off = np.bincount(self.roles[used], weights=shares) - 1
            return np.concatenate([*uneven, off])

        if all(len(own) == 1 for own in members):
            return self.evaluated(used.astype(np.float64))
        solved = least_squares(
            gaps, near[used], bounds=(0, np.inf), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=100
        )
        return self.evaluated(whole(np.asarray(solved.x)))


def _same(first: Equilibrium, second: Equilibrium) -> bool:
    gaps = np.concatenate(first.strategies) - np.concatenate(second.strategies)
    return bool(np.abs(gaps).max() < 1e-5)
