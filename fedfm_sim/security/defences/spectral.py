"""Divide and conquer (DnC): leave out what stands out along the main direction of spread."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, Uploads
from fedfm_sim.security.defences.mixing import chosen_mean
from fedfm_sim.security.defences.told import ToldAttackers


class DivideAndConquer(ToldAttackers):
    """Score by the squared projection on the top singular vector (Shejwalkar and Houmansadr 2021).

    The changes dW are centred, and those ``filtered * f`` of the highest score are left
    out; the rest is averaged by samples and folded to the adapter's rank. The paper
    repeats this on random subsets of coordinates because models are large; all
    coordinates are used here, through inner products, so that nothing is random.
    """

    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"

    asks: ClassVar[str] = "fewer than half left out, n >= 2 filtered f + 1"

    filtered: float = Field(default=1.0, gt=0, description="updates left out for each attacker")

    def least(self, attackers: int) -> int:
        """Return ``2 filtered f + 1``, of which fewer than half are left out."""
        return 2 * round(self.filtered * attackers) + 1

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the mean of those kept; suspicion is the score."""
        count = len(uploads)
        gram = uploads.gram
        scores = spectral_scores(gram)
        dropped = round(self.filtered * self.covered(count))
        kept = np.argsort(scores, kind="stable")[: count - dropped]
        return chosen_mean(kept, scores, uploads)


def spectral_scores(gram: Array) -> Array:
    """Return squared projections on the top principal direction, from inner products (n, n)."""
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centred)
    return np.asarray(np.maximum(values[-1], 0.0) * vectors[:, -1] ** 2)
