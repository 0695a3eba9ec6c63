"""What rules share that mix updates as weight changes and not as factors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import Aggregate, Array
from fedfm_sim.learning.low_rank import changes, fold


def mixed(
    change: Tensor, rows: Tensor, weights: Array, reference: Tensor, layout: AdapterLayout
) -> Aggregate:
    """Return the aggregate of a mixed change (D,); suspicion is each one's distance from it.

    Parameters
    ----------
    change : Tensor
        (D,) what the rule made of the changes.
    rows : Tensor
        (K, D) the changes themselves.
    weights : (K,) array
        Each one's part in it.
    """
    suspicion = (rows - change).norm(dim=1).numpy()
    return Aggregate(fold(layout, change, reference)[0], weights, suspicion)


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


def weight_changes(updates: Tensor, reference: Tensor, layout: AdapterLayout) -> Tensor:
    """Return the (K, D) changes of K uploads."""
    return changes(layout, updates, reference)


def nothing(reference: Tensor) -> Aggregate:
    """Return the aggregate of no update at all."""
    return Aggregate(reference, np.zeros(0), np.zeros(0))


def _shares(order: Tensor, count: int) -> Array:
    return np.asarray(torch.bincount(order.flatten(), minlength=count).numpy() / order.numel())
