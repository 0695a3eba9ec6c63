"""Stratified sampling of the Shapley value, without marginal contributions.

References
----------
.. [1] S. Maleki, L. Tran-Thanh, G. Hines, T. Rahwan and A. Rogers, "Bounding the
   estimation error of sampling-based Shapley value approximation",
   arXiv:1306.4265, 2013 (strata by player and size).
.. [2] P. Kolpaczki, V. Bengs, M. Muschalik and E. Huellermeier, "Approximating the
   Shapley value without marginal contributions", AAAI 2024 (one coalition
   serves the strata of all players).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np

from fedfm_sim.core.arrays import Index, Mask
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import Meter, SampledScheme, satterthwaite


class Stratified(SampledScheme):
    r"""Strata by player, size and membership, filled by every coalition at once [2]_.

    .. math:: \phi_i = \frac{1}{n} \sum_{s=0}^{n-1}
       \bigl( E[v(S) \mid i \in S, |S| = s + 1] - E[v(S) \mid i \notin S, |S| = s] \bigr)

    The sizes 0, 1, n - 1 and n are valued in full, every other stratum once,
    and then coalitions are drawn with a uniformly random size between. One that
    comes again is not counted again, so that all of a size give its exact mean.
    """

    axioms = ()
    source = "Maleki et al., arXiv 2013; Kolpaczki et al., AAAI 2024"

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the estimate; the budget must cover every stratum once."""
        n = game.players
        singles = np.int64(1) << np.arange(n, dtype=np.int64)
        border = np.unique(np.concatenate([[0, game.grand], singles, game.grand - singles]))
        first = np.array(list(_once(n, rng)), dtype=np.int64)
        meter.ends(least=np.union1d(border, first).size)
        drawn = set(first.tolist())
        meter.values(np.union1d(border, first))
        while meter.spent < min(self.budget, 1 << n):
            mask = _of_size(n, int(rng.integers(2, n - 1)), rng)
            meter.value(mask)
            drawn.add(mask)
        masks = np.concatenate([border, np.array(sorted(drawn), dtype=np.int64)])
        values, errors, degrees = _estimate(masks, meter.values(masks), n)
        return Contribution(
            "stratified", values, meter.spent, standard_errors=errors, degrees=degrees
        )


def _of_size(n: int, size: int, rng: np.random.Generator) -> int:
    return sum(1 << int(player) for player in rng.choice(n, size, replace=False))


def _once(n: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield coalitions of sizes 2 to n - 2 that put everybody once in and once out."""
    for size in range(2, n - 1):
        for inside in (True, False):
            part = size if inside else n - size
            order = rng.permutation(n)
            for start in range(0, n, part):
                # The last part is filled up from the front.
                chosen = np.roll(order, -start)[:part]
                mask = sum(1 << int(player) for player in chosen)
                yield mask if inside else (1 << n) - 1 - mask


def _estimate(masks: Masks, worth: Values, n: int) -> tuple[Values, Values, Values]:
    """Return values, standard errors and degrees of freedom, from different coalitions."""
    inside = members(masks, n).astype(bool)
    sizes = inside.sum(axis=1)
    found = [_of_player(inside[:, player], sizes, worth, n) for player in range(n)]
    values, errors, degrees = np.array(found).T
    return values, errors, degrees


def _of_player(inside: Mask, sizes: Index, worth: Values, n: int) -> tuple[float, float, float]:
    value, counts, missing, spreads = 0.0, [], [], []
    for size in range(n + 1):
        for part, sign in ((inside, 1.0), (~inside, -1.0)):
            stratum = worth[(sizes == size) & part]
            if not stratum.size:
                continue  # nobody is outside the grand or inside the empty coalition
            value += sign * float(stratum.mean()) / n
            # Drawn without replacement: a whole stratum has no error.
            left = 1 - stratum.size / comb(n - 1, size - 1 if sign > 0 else size)
            if left > 0:
                counts.append(stratum.size)
                missing.append(left)
                spreads.append(stratum.var(ddof=1) if stratum.size > 1 else 0.0)
    if not counts:
        return value, 0.0, 1.0
    sampled, free = np.array(counts, dtype=np.float64), np.array(counts) - 1.0
    if not free.any():
        return value, np.nan, 0.0
    # A stratum of one sample is taken to vary as the others of the player do.
    common = float(np.array(spreads) @ free / free.sum())
    own = np.where(free > 0, spreads, common)
    parts = np.array(missing) * own / sampled / n**2
    return value, float(np.sqrt(parts.sum())), satterthwaite(parts, np.maximum(free, 1.0))
