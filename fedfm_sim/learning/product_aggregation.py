"""Averaging what adapters do, and not their factors: exact means, a frozen A, stacking.

The mean of the products ``B_k A_k`` is not the product of the means
``(mean B)(mean A)``; `astray` says by how much they differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import (
    Aggregate,
    AggregationRule,
    FedAvg,
    Uploads,
    distance_from_mean,
    normalised,
    weighted_mean,
)
from fedfm_sim.learning.low_rank import changes, fold
from fedfm_sim.learning.trainer import TrainingSettings


class Exact(AggregationRule):
    """Mean of the changes dW themselves, cut back to the adapter's rank.

    ``dW = sum_k w_k dW_k`` with weights by samples (FedEx-LoRA, Singhal et al. 2024), then
    the nearest adapter of rank r by singular values (FlexLoRA, Bai et al. 2024). What
    the cut loses is the aggregate's residual.
    """

    knowledge: ClassVar[str] = "that nobody is malicious"
    source: ClassVar[str] = "Singhal et al., arXiv 2024; Bai et al., NeurIPS 2024"

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the folded mean; suspicion is the distance of dW_k from the mean."""
        weights = normalised(uploads.samples)
        change = torch.from_numpy(weights) @ uploads.changes
        adapter, residual = fold(uploads.layout, change, uploads.reference)
        return Aggregate(adapter, weights, distance_from_mean(uploads.gram), residual)


class FrozenA(FedAvg):
    """FedAvg where participants train B alone (FFA-LoRA, Sun et al. 2024).

    With one A for everybody, the mean of the B's times A is the mean of the products, so
    that averaging factors is exact; half of the adapter is never sent or learnt.
    """

    source: ClassVar[str] = "Sun et al., ICLR 2024"

    def prescribe(self, training: TrainingSettings) -> TrainingSettings:
        """Return the training with A frozen."""
        return training.model_copy(update={"freeze_a": True})

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the weighted mean; whatever A is sent, the server keeps its own."""
        updates, frozen = uploads.updates.clone(), uploads.layout.positions_of_a
        updates[:, frozen] = uploads.reference[frozen]
        return super().combine(replace(uploads, updates=updates))


def stack(layout: AdapterLayout, updates: Tensor, weights: Array) -> tuple[AdapterLayout, Tensor]:
    """Return one adapter of rank ``K r`` whose product is exactly the mean of the K products.

    ``A = [A_1; ...; A_K]`` and ``B = [w_1 B_1, ..., w_K B_K]`` (FLoRA, Wang et al. 2024). It
    is what a server hands out at the end, or merges into the base; a federation that goes
    on at rank r has to fold it, which is `Exact`.

    Returns
    -------
    layout : AdapterLayout
        Of rank K r and the same scaling.
    adapter : Tensor
        (P',) float32.
    """
    count = len(updates)
    shares = torch.from_numpy(np.asarray(weights, dtype=np.float32))[:, None, None]
    settings = layout.settings.model_copy(
        update={"rank": count * layout.settings.rank, "alpha": count * layout.settings.alpha}
    )
    shapes, parts = {}, []
    factors = layout.factors(updates)
    for names, (a, b) in zip(_pairs(layout), factors.values(), strict=True):
        rows = a.reshape(-1, a.shape[2])
        columns = (shares * b).permute(1, 0, 2).reshape(b.shape[1], -1)
        for name, tensor in zip(names, (rows, columns), strict=True):
            shapes[name] = tuple(tensor.shape)
            parts.append(tensor.flatten())
    return replace(layout, shapes=shapes, settings=settings), torch.cat(parts)


def astray(layout: AdapterLayout, updates: Tensor, reference: Tensor, weights: Array) -> float:
    """Return how far averaged factors are from the true mean of dW, over its norm.

    ``|s (mean B)(mean A) - s mean(B A)| / |mean dW|``, Frobenius norms over all modules.
    """
    mean = torch.from_numpy(weights) @ changes(layout, updates, reference)
    averaged = weighted_mean(updates, reference, weights)
    given = changes(layout, averaged[None], reference)[0]
    return float((given - mean).norm() / mean.norm())


def _pairs(layout: AdapterLayout) -> list[tuple[str, str]]:
    names = list(layout.shapes)
    return list(zip(names[::2], names[1::2], strict=True))
