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

from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import Meter, SampledScheme


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
        values, errors = _estimate(masks, meter.values(masks), n)
        return Contribution("stratified", values, meter.spent, standard_errors=errors)


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


def _estimate(masks: Masks, worth: Values, n: int) -> tuple[Values, Values]:
    """Return values and standard errors, from different coalitions."""
    inside = members(masks, n).astype(bool)
    sizes = inside.sum(axis=1)
    values, variances = np.zeros(n), np.zeros(n)
    for size in range(n + 1):
        of_size = sizes == size
        for player in range(n):
            for part, sign in ((inside[:, player], 1.0), (~inside[:, player], -1.0)):
                stratum = worth[of_size & part]
                if not stratum.size:
                    continue  # nobody is outside the grand or inside the empty coalition
                values[player] += sign * stratum.mean() / n
                # Drawn without replacement: a whole stratum has no error.
                missing = 1 - stratum.size / comb(n - 1, size - 1 if sign > 0 else size)
                if missing > 0:
                    spread = stratum.var(ddof=1) if stratum.size > 1 else np.nan
                    variances[player] += missing * spread / stratum.size / n**2
    return values, np.sqrt(variances)
