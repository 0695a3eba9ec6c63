"""The Banzhaf value, exact and by maximum sample reuse.

References
----------
.. [1] J. F. Banzhaf, "Weighted voting doesn't work: a mathematical analysis",
   Rutgers Law Review 19, 1965, pp. 317-343.
.. [2] J. T. Wang and R. Jia, "Data Banzhaf: a robust data valuation framework for
   machine learning", AISTATS 2023 (the value and its estimator).
"""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import (
    ADDITIVITY,
    NULL_PLAYER,
    SYMMETRY,
    Meter,
    SampledScheme,
    Scheme,
    Spent,
    satterthwaite,
)
from fedfm_sim.mechanisms.contribution.semivalues import semivalue


class Banzhaf(Scheme):
    """The mean marginal contribution over all coalitions of the others [1]_.

    Every coalition weighs the same, which makes it the semivalue that noise in
    the values disturbs least [2]_; it does not add up to ``v(N)``.
    """

    axioms = (SYMMETRY, NULL_PLAYER, ADDITIVITY)
    source = "Banzhaf, Rutgers Law Review 1965"
    exhaustive = True

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact value."""
        n = game.players
        values = semivalue(game, np.full(n, 0.5 ** (n - 1)))
        return Contribution("banzhaf", values, 1 << n)


class SampledBanzhaf(SampledScheme):
    """The Banzhaf value by maximum sample reuse [2]_.

    Coalitions are drawn uniformly; player i's value is the mean worth of those
    with it less the mean of those without it, so each serves all players.
    """

    axioms = ()
    source = "Wang and Jia, AISTATS 2023"

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the estimate from as many draws as the budget has different coalitions for."""
        n = game.players
        meter.ends(least=2)
        drawn: list[int] = []
        limit = 4 * meter.budget  # small games run out of new coalitions
        while len(drawn) < limit:
            mask = int(rng.integers(0, game.grand, endpoint=True))
            try:
                meter.value(mask)
            except Spent:
                break
            drawn.append(mask)
        masks = np.array(drawn, dtype=np.int64)
        worth = meter.values(masks)
        inside = members(masks, n).astype(bool)
        values, errors, degrees = np.zeros(n), np.full(n, np.nan), np.zeros(n)
        for player in range(n):
            parts = worth[inside[:, player]], worth[~inside[:, player]]
            if all(part.size for part in parts):
                values[player] = parts[0].mean() - parts[1].mean()
            if all(part.size > 1 for part in parts):
                each = np.array([_variance_of_mean(part) for part in parts])
                errors[player] = np.sqrt(each.sum())
                degrees[player] = satterthwaite(each, np.array([len(part) - 1 for part in parts]))
        return Contribution(
            "banzhaf-sampled", values, meter.spent, standard_errors=errors, degrees=degrees
        )


def _variance_of_mean(sample: Values) -> float:
    return float(sample.var(ddof=1) / sample.size)
