"""What rules share that mix updates as weight changes and not as factors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.learning.aggregation import Aggregate, Uploads, normalised
from fedfm_sim.learning.low_rank import fold


def mixed(change: Tensor, weights: Array, uploads: Uploads) -> Aggregate:
    """Return the aggregate of a mixed change (D,); suspicion is each one's distance from it.

    Parameters
    ----------
    change : Tensor
        (D,) what the rule made of the changes.
    weights : (K,) array
        Each one's part in it.
    uploads : Uploads
    """
    suspicion = (uploads.changes - change).norm(dim=1).numpy()
    adapter, residual = fold(uploads.layout, change, uploads.reference)
    return Aggregate(adapter, weights, suspicion, residual)


def chosen_mean(kept: Index, suspicion: Array, uploads: Uploads) -> Aggregate:
    """Return the mean by samples of the changes of those kept.

    Changes are averaged, and not factors: (Q A, B Q^-1) passes every test on dW, and
    with a large Q would still ruin an average of factors.
    """
    samples = np.zeros(len(uploads))
    samples[kept] = uploads.samples[kept]
    weights = normalised(samples)
    change = torch.from_numpy(weights) @ uploads.changes
    adapter, residual = fold(uploads.layout, change, uploads.reference)
    return Aggregate(adapter, weights, suspicion, residual)


def middle_mean(rows: Tensor, trimmed: int) -> tuple[Tensor, Array]:
    """Return each coordinate's mean without its ``trimmed`` least and greatest values.

    Also how often each row's value was in it, as shares that add up to 1.
    """
    count = len(rows)
    order = rows.argsort(dim=0, stable=True)[trimmed : count - trimmed]
    return rows.gather(0, order).mean(0), _shares(order, count)


def nearest_mean(rows: Tensor, centre: Tensor, kept: int) -> tuple[Tensor, Array]:
    """Return each coordinate's mean over the ``kept`` values nearest to the centre, and shares."""
    order = (rows - centre).abs().argsort(dim=0, stable=True)[:kept]
    return rows.gather(0, order).mean(0), _shares(order, len(rows))


def _shares(order: Tensor, count: int) -> Array:
    return np.asarray(torch.bincount(order.flatten(), minlength=count).numpy() / order.numel())
