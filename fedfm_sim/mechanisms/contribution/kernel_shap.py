"""KernelSHAP: the Shapley value as a weighted regression on coalitions.

References
----------
.. [1] S. M. Lundberg and S.-I. Lee, "A unified approach to interpreting model
   predictions", NeurIPS 2017, pp. 4765-4774.
.. [2] I. Covert and S.-I. Lee, "Improving KernelSHAP: practical Shapley value
   estimation via linear regression", AISTATS 2021 (paired sampling).
.. [3] A. Charnes, B. Golany, M. Keane and J. Rousseau, "Extremal principle solutions
   of games in characteristic function form", 1988 (the regression).
"""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import EFFICIENCY, Meter, SampledScheme, Spent

#: Sampling ends after this many pairs in a row that were not new.
IDLE_PAIRS = 10_000


class KernelShap(SampledScheme):
    r"""Regress the worth of coalitions on membership, adding up to ``v(N)`` exactly.

    The Shapley value is the additive game nearest to v when a coalition of
    size s weighs ``(n - 1) / (binomial(n, s) s (n - s))`` [3]_. Coalitions are
    drawn by that weight, each with its complement [2]_. Standard errors are
    those of the jackknife over pairs.
    """

    axioms = (EFFICIENCY,)
    source = "Lundberg and Lee, NeurIPS 2017; Covert and Lee, AISTATS 2021"

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the regression on as many pairs as the budget covers."""
        n = game.players
        empty, grand = meter.ends(least=min(2 * n, 1 << n))
        total = grand - empty
        if n == 1:
            return Contribution("kernel-shap", np.array([total]), meter.spent)
        pairs = _pairs(n, meter, rng)
        design = members(pairs, n)
        excess = meter.values(pairs) - empty - design @ np.full(n, total / n)
        # Deviations from the equal split add up to 0: drop the last player.
        reduced = design[:, :-1] - design[:, -1:]
        solution = np.linalg.lstsq(reduced, excess, rcond=None)[0]
        values = total / n + np.append(solution, -solution.sum())
        errors = _jackknife(reduced, excess - reduced @ solution)
        free = np.full(n, max(len(pairs) // 2 - n + 1.0, 0.0))
        return Contribution(
            "kernel-shap", values, meter.spent, standard_errors=errors, degrees=free
        )


def _pairs(n: int, meter: Meter, rng: np.random.Generator) -> Masks:
    """Return coalitions, each followed by its complement, until the budget is spent."""
    sizes = np.arange(1, n)
    chances = 1.0 / (sizes * (n - sizes))
    chances /= chances.sum()
    drawn: list[int] = []
    idle = 0
    while idle < IDLE_PAIRS:
        before = meter.spent
        size = int(rng.choice(sizes, p=chances))
        mask = sum(1 << int(player) for player in rng.choice(n, size, replace=False))
        pair = [mask, (1 << n) - 1 - mask]
        try:
            meter.values(np.array(pair, dtype=np.int64))
        except Spent:
            break
        drawn += pair
        idle = idle + 1 if meter.spent == before else 0
    return np.array(drawn, dtype=np.int64)


def _jackknife(rows: Values, residuals: Values) -> Values:
    """Return the standard errors of all n values from the (2m, n - 1) regression of m pairs.

    Those of leaving out one pair after the other. The rows of a pair are opposite, so that
    only the difference of their residuals counts, and how far the pair alone decides the
    fit is twice the leverage of a row.
    """
    pairs, free = len(rows) // 2, rows.shape[1]
    if pairs <= free:
        return np.full(free + 1, np.nan)
    bread, own = np.linalg.pinv(rows.T @ rows), rows[::2]
    leverage = 2 * np.einsum("mi,ij,mj->m", own, bread, own)
    differences = (residuals[::2] - residuals[1::2]) / np.maximum(1 - leverage, 1e-9)
    moved = (own * differences[:, None]) @ bread * np.sqrt((pairs - 1) / pairs)
    moved = np.c_[moved, -moved.sum(axis=1)]
    errors: Values = np.sqrt((moved**2).sum(axis=0))
    return errors
