"""Aggregation rules: how a server turns participants' updates into the next model.

Robust rules are defences (`fedfm_sim.security.defences`); this module holds
what they share, and the plain average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Aggregate:
    """The outcome of an aggregation.

    Attributes
    ----------
    adapter : Tensor
        (P,) the next global adapter.
    weights : (K,) array
        Each update's part in it; sums to 1, or to 0 when nothing was accepted.
    suspicion : (K,) array
        How far each update stands out, by the rule's own measure; larger is
        more suspect. Comparable within a round only.
    """

    adapter: Tensor
    weights: Array
    suspicion: Array


class AggregationRule(BaseModel):
    """Base of all rules; its fields are its scenario parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: What the server must know or assume for the rule's guarantee.
    knowledge: ClassVar[str]
    #: Where it was published.
    source: ClassVar[str]

    def aggregate(
        self, updates: Tensor, reference: Tensor, samples: Array, layout: AdapterLayout
    ) -> Aggregate:
        """Combine K uploaded adapters.

        Parameters
        ----------
        updates : Tensor
            (K, P) adapters after local training; finite.
        reference : Tensor
            (P,) the global adapter they started from.
        samples : (K,) array
            Declared sample counts, the weights of FedAvg.
        layout : AdapterLayout
            Gives rules the effective weight change ``s B A``.
        """
        raise NotImplementedError

    def learn(self, adapter: Tensor, reference: Tensor, layout: AdapterLayout) -> None:
        """Take note of the round's outcome; rules with a memory keep it here.

        `aggregate` may be asked about several profiles in a round, and changes nothing.
        """


class FedAvg(AggregationRule):
    """Average of the factors A and B, weighted by samples (McMahan et al. 2017).

    ``A = sum_k n_k A_k / sum n``, and B likewise. The mean of the products
    ``B A`` is another thing (FedEx-LoRA, Singhal et al. 2024). Suspicion is the
    distance of ``dW_k`` from the mean over participants.
    """

    knowledge: ClassVar[str] = "that nobody is malicious"
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"

    def aggregate(
        self, updates: Tensor, reference: Tensor, samples: Array, layout: AdapterLayout
    ) -> Aggregate:
        """Return the weighted mean; with no updates, the reference."""
        weights = normalised(samples)
        suspicion = distance_from_mean(layout.change_gram(updates, reference).numpy())
        return Aggregate(weighted_mean(updates, reference, weights), weights, suspicion)


def normalised(weights: Array) -> Array:
    """Return weights that sum to 1; all zero stay zero."""
    total = weights.sum()
    return weights / total if total > 0 else np.zeros_like(weights)


def weighted_mean(updates: Tensor, reference: Tensor, weights: Array) -> Tensor:
    """Return ``sum_k w_k updates_k`` (P,), or the reference when all weights are zero.

    Weights (K,) give one adapter; (M, K) give M of them, one for each row.
    """
    rows = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    return torch.where(rows.sum(-1, keepdim=True) > 0, rows @ updates, reference)


def distance_from_mean(gram: Array) -> Array:
    """Return each point's distance from the mean of all, from inner products (K, K)."""
    if not len(gram):
        return np.zeros(0)
    squares = np.diag(gram) - 2 * gram.mean(1) + gram.mean()
    return np.asarray(np.sqrt(np.maximum(squares, 0)), dtype=np.float64)
