"""FedAvg under secure aggregation: the server sees the mean and nothing else."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads
from fedfm_sim.security.privacy.secure_aggregation import from_fixed, secure_sum, to_fixed

#: Fixed-point digits after the point: entries up to 1e6 times samples fit into 64 bits.
BITS = 24


class SecureSum(AggregationRule):
    """Average factors by samples without seeing any update (Bonawitz et al. 2017).

    Participants send ``n_k (w_k - w_0)`` and n_k as masked integers; the server unmasks
    the sums alone. A share of them, drawn anew each round, drops out after the masks
    are agreed on. No update can be looked at, so nobody is more suspect than
    another, and what a single update reveals is what the mean does. Where
    too few stay, the model stays too.
    """

    knowledge: ClassVar[str] = "that nobody is malicious"
    source: ClassVar[str] = "Bonawitz et al., CCS 2017"
    hides_updates: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    dropout: float = Field(default=0.0, ge=0, lt=1, description="share that never answers")
    threshold: float = Field(default=0.5, gt=0, le=1, description="share that has to stay")

    def left(self, uploads: int) -> tuple[int, int]:
        """Return how many answer of those who began, and how many have to."""
        needed = max(1, int(np.ceil(self.threshold * uploads)))
        return uploads - int(self.dropout * uploads), needed

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether too few answer for the sum to be unmasked."""
        answered, needed = self.left(uploads)
        if uploads and answered < needed:
            return f"{answered} of {uploads} answered, {needed} have to; the model stayed"
        return None

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the unmasked mean; suspicion is NaN, as no one can be told from another."""
        count, rng = len(uploads), np.random.default_rng(uploads.seed)
        answered, needed = self.left(count)
        gone = rng.permutation(count)[: count - answered]
        weights = uploads.samples.copy()
        weights[gone] = 0.0
        dropped = np.isin(np.arange(count), gone)
        suspicion = np.full(count, np.nan)
        if answered < needed or not weights.any():
            return Aggregate(uploads.reference, np.zeros(count), suspicion, dropped=dropped)
        moved = (uploads.updates - uploads.reference).double().numpy()
        sent = np.hstack([uploads.samples[:, None] * moved, uploads.samples[:, None]])
        total = from_fixed(secure_sum(to_fixed(sent, BITS), gone.tolist(), needed, rng), BITS)
        mean = torch.from_numpy((total[:-1] / total[-1]).astype(np.float32))
        adapter, shares = uploads.reference + mean, weights / weights.sum()
        return Aggregate(adapter, shares, suspicion, dropped=dropped)
