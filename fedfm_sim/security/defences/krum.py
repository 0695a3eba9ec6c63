"""Krum: the one update that lies closest to the others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fedfm_sim.learning.aggregation import (
    Aggregate,
    Uploads,
    normalised,
)
from fedfm_sim.security.defences.multi_krum import krum_scores
from fedfm_sim.security.defences.told import ToldAttackers


class Krum(ToldAttackers):
    """Take the update of the lowest Krum score as it is (Blanchard et al. 2017).

    The score is the sum of *squared* distances of dW to the ``n - f - 2`` nearest
    *others*. The theorem asks for ``n >= 2 f + 3``; f is lowered to what it covers. Equal
    scores are settled by the total distance to all others, and what is equal
    even then, as two updates alone are, is averaged.
    """

    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    asks: ClassVar[str] = "n >= 2 f + 3"

    def least(self, attackers: int) -> int:
        """Return ``2 f + 3``."""
        return 2 * attackers + 3

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the chosen update; suspicion is the Krum score."""
        count = len(uploads)
        attackers = self.covered(count)
        gram = uploads.gram
        scores, totals = krum_scores(gram, attackers), krum_scores(gram, -1)
        best = scores == scores.min()
        best &= totals == totals[best].min()
        weights = normalised(best.astype(np.float64))
        return Aggregate(uploads.mean(weights), weights, scores)
