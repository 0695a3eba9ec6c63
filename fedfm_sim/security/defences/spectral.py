"""Divide and conquer (DnC): leave out what stands out along the main direction of spread."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads
from fedfm_sim.security.defences.mixing import chosen_mean


class DivideAndConquer(AggregationRule):
    """Score by the squared projection on the top singular vector (Shejwalkar and Houmansadr 2021).

    The changes dW are centred, and those ``filtered * f`` of the highest score are left
    out; the rest is averaged by samples and folded to the adapter's rank. The paper
    repeats this on random subsets of coordinates because models are large; all
    coordinates are used here, through inner products, so that nothing is random.
    """

    knowledge: ClassVar[str] = "f, how many may be malicious"
    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"

    attackers: int = Field(default=2, ge=0, description="f, how many updates may be malicious")
    filtered: float = Field(default=1.0, gt=0, description="updates left out for each attacker")

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the mean of those kept; suspicion is the score."""
        count = len(uploads)
        gram = uploads.gram
        scores = spectral_scores(gram)
        dropped = min(round(self.filtered * self.attackers), (count - 1) // 2)
        kept = np.argsort(scores, kind="stable")[: count - dropped]
        return chosen_mean(kept, scores, uploads)


def spectral_scores(gram: Array) -> Array:
    """Return squared projections on the top principal direction, from inner products (n, n)."""
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centred)
    return np.asarray(np.maximum(values[-1], 0.0) * vectors[:, -1] ** 2)
