"""FLAME: cluster by direction, clip to the median norm."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
import torch

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.learning.aggregation import Aggregate, Uploads, normalised
from fedfm_sim.learning.low_rank import fold
from fedfm_sim.security.defences.clipping import clipped
from fedfm_sim.security.defences.told import MostAreHonest


class Flame(MostAreHonest):
    """Keep the largest cluster of directions, clip to the median norm (Nguyen et al. 2022).

    ``dW = sum_k a_k min(1, m / |dW_k|) dW_k`` over the cluster, a_k its shares of samples
    and m the median length of all. HDBSCAN on cosine distances finds clusters of at
    least ``n / 2 + 1``; what it calls noise is left out. The paper then adds Gaussian noise
    to the model, which is left to the protections here. The outcome is folded back to
    the adapter's rank.
    """

    source: ClassVar[str] = "Nguyen et al., USENIX Security 2022"

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the clipped mean of the cluster; suspicion is the mean cosine distance."""
        rows = uploads.changes
        distances = cosine_distances(uploads.gram)
        inside = largest_cluster(distances)
        weights = normalised(np.where(inside, uploads.samples, 0.0))
        bound = float(rows.norm(dim=1).quantile(0.5))
        change = torch.from_numpy(weights) @ clipped(rows, bound)
        adapter, residual = fold(uploads.layout, change, uploads.reference)
        return Aggregate(adapter, weights, distances.mean(axis=1), residual)


def cosine_distances(gram: Array) -> Array:
    """Return ``1 - cos`` between points, from inner products (n, n); 1 from what is nothing."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.outer(norms, norms)
    cosines = np.divide(gram, scale, out=np.zeros_like(gram), where=scale > 0)
    distances = np.clip(1 - cosines, 0.0, 2.0)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances)


def largest_cluster(distances: Array) -> Mask:
    """Return who is in the cluster of more than half; everybody where there is none."""
    from sklearn.cluster import HDBSCAN

    count = len(distances)
    if count < 3:
        return np.ones(count, dtype=np.bool_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = (
            HDBSCAN(
                min_cluster_size=count // 2 + 1,
                min_samples=1,
                metric="precomputed",
                allow_single_cluster=True,
            )
            .fit(distances.copy())
            .labels_
        )
    return labels == 0 if (labels == 0).any() else np.ones(count, dtype=np.bool_)
