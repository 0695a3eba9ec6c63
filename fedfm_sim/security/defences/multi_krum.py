"""Multi-Krum: average the updates that lie closest to the others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, Uploads
from fedfm_sim.security.defences.mixing import chosen_mean
from fedfm_sim.security.defences.told import ToldAttackers


class MultiKrum(ToldAttackers):
    """Keep the ``n - f`` updates of the lowest Krum score (Blanchard et al. 2017).

    The score of update k is the sum of its *squared* distances to the
    ``n - f - 2`` nearest *others*, ``sum_j |dW_k - dW_j|^2``, measured on the
    effective weight change ``dW = s (B A - B_0 A_0)``, which is the same in
    every gauge of the factors. The changes of those kept are averaged by samples and
    folded to the adapter's rank.

    Its theorem asks for ``n >= 2 f + 3``; with fewer updates than that, f is
    lowered to the largest number that the theorem covers.
    """

    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    asks: ClassVar[str] = "n >= 2 f + 3"

    def least(self, attackers: int) -> int:
        """Return ``2 f + 3``."""
        return 2 * attackers + 3

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the mean of the updates kept; suspicion is the Krum score."""
        count = len(uploads)
        attackers = self.covered(count)
        scores = krum_scores(uploads.gram, attackers)
        kept = np.argsort(scores, kind="stable")[: count - attackers]
        return chosen_mean(kept, scores, uploads)


def krum_scores(gram: Array, attackers: int) -> Array:
    """Return the Krum score of each of n points, from their inner products (n, n)."""
    norms = np.diag(gram)
    squares = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0)
    np.fill_diagonal(squares, np.inf)
    neighbours = max(0, min(len(gram) - attackers - 2, len(gram) - 1))
    return np.asarray(np.sort(squares, axis=1)[:, :neighbours].sum(axis=1), dtype=np.float64)
