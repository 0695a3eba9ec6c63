"""Deviation-preserving reduction: a large role-symmetric game played by a few, nearly the same.

References
----------
.. [1] B. Wiedenbeck and M. P. Wellman, "Scaling simulation-based game analysis through
   deviation-preserving reduction", AAMAS 2012, pp. 931-938.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.symmetric import RoleSymmetricGame, count_profiles


@dataclass(frozen=True, eq=False)
class Reduction:
    """Which profiles of a full game give the payoffs of a reduced one.

    Attributes
    ----------
    players : tuple of R int
        The number of players of each role in the reduced game.
    counts : (M, A) int array
        Profiles of the reduced game.
    required : (M, A, A) int array
        ``required[p, j]`` is the full profile in which role-action j gets what it gets in
        reduced profile p; 0 where nobody plays j there.
    """

    players: tuple[int, ...]
    counts: Index
    required: Index

    @property
    def profiles(self) -> Index:
        """Every full profile to be played, each once, (P, A)."""
        return np.asarray(np.unique(self.required[self.counts > 0], axis=0), dtype=np.int64)

    def assemble(
        self,
        roles: tuple[str, ...],
        actions: tuple[tuple[str, ...], ...],
        payoffs: Callable[[Index], npt.ArrayLike] | Mapping[tuple[int, ...], npt.ArrayLike],
    ) -> RoleSymmetricGame:
        """Return the reduced game.

        Parameters
        ----------
        roles, actions
            Names, as in `RoleSymmetricGame`.
        payoffs : callable or mapping
            Full profile of counts, (A,), to the payoffs of its role-actions, (A,); a mapping
            has tuples for keys. A callable is called once for each of `profiles`.

        Raises
        ------
        UserError
            When a full profile is not in the mapping, or payoffs are not finite.
        """
        known: dict[tuple[int, ...], Array] = {}
        for profile in self.profiles:
            key = tuple(map(int, profile))
            if isinstance(payoffs, Mapping) and key not in payoffs:
                raise UserError(f"payoffs of the full profile {key} are missing")
            given = payoffs[key] if isinstance(payoffs, Mapping) else payoffs(profile)
            known[key] = np.asarray(given, dtype=np.float64)
            if known[key].shape != profile.shape:
                raise UserError(f"payoffs of the full profile {key} must be {len(profile)} numbers")
        reduced = np.full(self.counts.shape, np.nan)
        for p, j in np.argwhere(self.counts > 0):
            reduced[p, j] = known[tuple(map(int, self.required[p, j]))][j]
        return RoleSymmetricGame(roles, self.players, actions, self.counts, reduced)


def deviation_preserving(
    full: tuple[int, ...], reduced: tuple[int, ...], actions: tuple[int, ...]
) -> Reduction:
    """Return the deviation-preserving reduction of a role-symmetric game [1]_.

    A reduced player stands for one full player as it deviates, and for its share of all as
    others see it. The payoff of action a of role r in a reduced profile is that of the one
    player of a in a full profile where the ``N_r - 1`` others of its role are divided as the
    ``n_r - 1`` others of the reduced one, and each other role s scales from n_s to N_s. It is
    exact for payoffs that are linear in the shares of the others, where these divide evenly;
    where they do not, the largest remainders are rounded up, the earlier action first.

    A role reduced to one player moves as one body: all N_r do what it does, so its
    deviations are no longer those of a single player.

    Parameters
    ----------
    full, reduced : tuples of R int
        Players of each role, N_r and n_r.
    actions : tuple of R int
        The number of actions of each role.

    Raises
    ------
    UserError
        When the numbers of roles differ, or a reduced role has more players than the full one.
    """
    if not len(full) == len(reduced) == len(actions):
        raise UserError("full and reduced players and actions must be of one length")
    if any(n > whole for n, whole in zip(reduced, full, strict=True)):
        raise UserError(f"players {reduced} of the reduced game exceed {full} of the full one")
    counts = count_profiles(reduced, actions)
    ends = np.cumsum(actions)
    required = np.zeros((*counts.shape, counts.shape[1]), dtype=np.int64)
    for p, j in np.argwhere(counts > 0):
        own = int(np.searchsorted(ends, j, side="right"))
        for role, part in enumerate(np.split(np.arange(ends[-1]), ends[:-1])):
            seen = counts[p, part].astype(np.float64)
            if role == own and reduced[role] > 1:
                seen[j - part[0]] -= 1
                required[p, j, part] = _scaled(seen, full[role] - 1)
                required[p, j, j] += 1
            else:
                required[p, j, part] = _scaled(seen, full[role])
    return Reduction(reduced, counts, required)


def _scaled(counts: Array, total: int) -> Index:
    """Divide a total as counts are, the largest remainders rounded up."""
    exact = counts * total / counts.sum()
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - whole).round(9), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return np.asarray(whole)
