"""Aggregation rules: how a server turns participants' updates into the next model.

Robust rules are defences (`fedfm_sim.security.defences`); this module holds
what they share, and the plain average.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.learning.trainer import TrainingSettings


@dataclass(frozen=True, eq=False)
class Uploads:
    """What a server has in hand when it aggregates.

    Attributes
    ----------
    updates : Tensor
        (K, P) adapters after local training; finite.
    reference : Tensor
        (P,) the global adapter they started from.
    samples : (K,) array
        Declared sample counts, the weights of FedAvg.
    layout : AdapterLayout
        Gives the effective weight change ``s B A``.
    members : (K,) array of int
        Who sent each, for rules that remember; 0 to K - 1 unless given.
    server : Tensor or None
        (P,) what the server's own training gave, for rules that ask for it.
    seed : int
        What a rule that draws at random draws from.
    """

    updates: Tensor
    reference: Tensor
    samples: Array
    layout: AdapterLayout
    members: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    server: Tensor | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.members) != len(self.updates):
            object.__setattr__(self, "members", np.arange(len(self.updates)))

    def __len__(self) -> int:
        return len(self.updates)

    @cached_property
    def changes(self) -> Tensor:
        """The changes of weights dW (K, D), float64."""
        return changes(self.layout, self.updates, self.reference)

    @cached_property
    def gram(self) -> Array:
        """Inner products of the changes (K, K), without forming them."""
        return np.asarray(self.layout.change_gram(self.updates, self.reference).numpy())

    def mean(self, weights: Array) -> Tensor:
        """Return the weighted mean of the factors (P,)."""
        return weighted_mean(self.updates, self.reference, weights)

    def select(self, rows: Index) -> Uploads:
        """Return the uploads of some rows alone."""
        at = torch.from_numpy(rows)
        return Uploads(
            self.updates[at],
            self.reference,
            self.samples[rows],
            self.layout,
            self.members[rows],
            self.server,
            self.seed,
        )


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
    residual : float
        What folding to the adapter's rank lost, as a share of the change's norm.
    dropped : (K,) bool array
        True for each upload that never arrived; all False unless given.
    """

    adapter: Tensor
    weights: Array
    suspicion: Array
    residual: float = 0.0
    dropped: Mask = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if not len(self.dropped):
            object.__setattr__(self, "dropped", np.zeros(len(self.weights), dtype=np.bool_))


class AggregationRule(Plugin):
    """Base of all rules; its fields are its scenario parameters."""

    #: What the server must know or assume for the rule's guarantee.
    knowledge: ClassVar[str] = ""
    #: Where it was published.
    source: ClassVar[str] = ""

    #: Whether the server sees nothing of updates but their mean.
    hides_updates: ClassVar[bool] = False
    #: Whether the model moves by the plain sum of the changes sent, at weights that depend on
    #: declared samples and on who arrived alone; then noises add up, and protect in the sum.
    sums: ClassVar[bool] = False
    #: Whether the server trains on its validation data, as `Uploads.server` tells.
    needs_server_update: ClassVar[bool] = False

    def prescribe(self, training: TrainingSettings) -> TrainingSettings:
        """Return the local training that the server asks for, given the scenario's."""
        return training

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return which published condition of the rule does not hold, or None where all do.

        Parameters
        ----------
        uploads : int
            How many updates are aggregated.
        malicious : int
            How many of them break the protocol, which the rule does not know.
        """
        return None

    def aggregate(self, uploads: Uploads) -> Aggregate:
        """Combine the uploads; without any, the reference stays."""
        if not len(uploads):
            return Aggregate(uploads.reference, np.zeros(0), np.zeros(0))
        return self.combine(uploads)

    @abstractmethod
    def combine(self, uploads: Uploads) -> Aggregate:
        """Combine at least one upload; it changes nothing, as many profiles are tried a round."""

    def learn(self, uploads: Uploads, aggregate: Aggregate) -> None:
        """Take note of what was aggregated in the round; rules with a memory keep it here."""


class FedAvg(AggregationRule):
    """Average of the factors A and B, weighted by samples (McMahan et al. 2017).

    ``A = sum_k n_k A_k / sum n``, and B likewise. The mean of the products
    ``B A`` is another thing (FedEx-LoRA, Singhal et al. 2024). Suspicion is the
    distance of ``dW_k`` from the mean over participants.
    """

    knowledge: ClassVar[str] = "that nobody is malicious"
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"
    sums: ClassVar[bool] = True

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the weighted mean."""
        weights = normalised(uploads.samples)
        return Aggregate(uploads.mean(weights), weights, distance_from_mean(uploads.gram))


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
