"""RFA: the geometric median of the updates."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, Uploads, normalised
from fedfm_sim.security.defences.mixing import mixed
from fedfm_sim.security.defences.told import MostAreHonest


class GeometricMedian(MostAreHonest):
    """Minimise ``sum_k a_k |dW_k - z|``, a_k the share of samples (RFA, Pillutla et al. 2022).

    By Weiszfeld's iteration, ``w_k ~ a_k / max(v, |dW_k - z|)`` and ``z = sum_k w_k dW_k``,
    smoothed by v. Attackers with less than half of the samples move z by a
    bounded amount, however far away they are. The outcome is folded back to the
    adapter's rank.
    """

    knowledge: ClassVar[str] = "that less than half of the samples are malicious"
    source: ClassVar[str] = "Pillutla, Kakade and Harchaoui, IEEE Transactions 2022"

    iterations: int = Field(default=100, ge=1, description="most steps of Weiszfeld's method")
    smoothing: float = Field(default=1e-6, gt=0, description="v, as a share of the median norm")

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the geometric median; weights are Weiszfeld's."""
        rows = uploads.changes
        gram = uploads.gram
        least = self.smoothing * max(float(np.median(np.sqrt(np.diag(gram)))), 1e-12)
        weights = geometric_median_weights(
            gram, normalised(uploads.samples), least, self.iterations
        )
        return mixed(torch.from_numpy(weights) @ rows, weights, uploads)


def geometric_median_weights(gram: Array, shares: Array, least: float, iterations: int) -> Array:
    """Return the weights of the points in their geometric median, from inner products (n, n)."""
    weights = shares
    for _ in range(iterations):
        squares = np.diag(gram) - 2 * gram @ weights + weights @ gram @ weights
        distances = np.sqrt(np.maximum(squares, 0.0))
        updated = normalised(shares / np.maximum(distances, least))
        if np.abs(updated - weights).max() < 1e-12:
            break
        weights = updated
    return weights
