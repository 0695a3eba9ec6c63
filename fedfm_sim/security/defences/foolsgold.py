"""FoolsGold: those who always say the same are one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import PrivateAttr
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads, normalised
from fedfm_sim.security.defences.flame import cosine_distances
from fedfm_sim.security.defences.mixing import mixed


class FoolsGold(AggregationRule):
    """Weigh down participants whose summed updates look alike (Fung et al. 2020).

    From the cosines ``c_ij`` of the changes dW summed over all rounds and
    ``v_i = max_j c_ij``: pardoning sets ``c_ij <- c_ij v_i / v_j`` where ``v_j > v_i``, then
    ``a_i = 1 - max_j c_ij`` is divided by the largest, and the weight is
    ``ln(a_i / (1 - a_i)) + 1/2``, cut to [0, 1]. It assumes that honest participants
    differ more than sybils do; where all are alike, it is the plain mean. All entries
    of dW count, where the paper can pick out those of the last layer.
    """

    knowledge: ClassVar[str] = "who sent which update in earlier rounds"
    source: ClassVar[str] = "Fung, Yoon and Beschastnikh, RAID 2020"

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether an attacker is alone, whom nobody resembles."""
        if malicious == 1:
            return f"1 of {uploads} updates was malicious; it finds those that are like another"
        return None

    _history: dict[int, Tensor] = PrivateAttr(default_factory=dict)

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the weighted mean of dW; suspicion is 1 less the weight before it sums to 1."""
        summed = self._summed(uploads)
        weights = foolsgold_weights(1 - cosine_distances((summed @ summed.T).numpy()))
        suspicion = 1 - weights
        shares = normalised(weights if weights.any() else np.ones(len(weights)))
        result = mixed(torch.from_numpy(shares) @ uploads.changes, shares, uploads)
        return Aggregate(result.adapter, shares, suspicion, result.residual)

    def learn(self, uploads: Uploads, aggregate: Aggregate) -> None:
        """Add the round's updates to the sums."""
        rows = zip(uploads.members.tolist(), self._summed(uploads), strict=True)
        self._history = {**self._history, **dict(rows)}

    def _summed(self, uploads: Uploads) -> Tensor:
        nothing = torch.zeros(uploads.changes.shape[1], dtype=torch.float64)
        before = [self._history.get(member, nothing) for member in uploads.members.tolist()]
        return uploads.changes + torch.stack(before)


def foolsgold_weights(cosines: Array) -> Array:
    """Return the weights in [0, 1] from the cosines (n, n) of summed updates."""
    count = len(cosines)
    if count < 2:
        return np.ones(count)
    cosines = cosines.copy()
    np.fill_diagonal(cosines, -np.inf)
    largest = cosines.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pardon = np.where(largest[None, :] > largest[:, None], largest[:, None] / largest, 1.0)
    np.fill_diagonal(cosines, 0.0)
    scaled = cosines * np.clip(pardon, 0.0, 1.0)
    np.fill_diagonal(scaled, -np.inf)
    unlike = np.clip(1 - scaled.max(axis=1), 0.0, 1.0)
    if unlike.max() < 1e-9:
        return np.zeros(count)
    unlike = np.clip(unlike / unlike.max(), 1e-12, 1 - 1e-12)
    return np.asarray(np.clip(np.log(unlike / (1 - unlike)) + 0.5, 0.0, 1.0))
