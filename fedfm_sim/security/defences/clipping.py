"""Clipping: no update moves the model further than a bound, from nothing or from the last."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads, normalised
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.defences.mixing import mixed
from fedfm_sim.security.defences.told import MostAreHonest


class NormClipping(MostAreHonest):
    """Average after cutting each ``|dW_k|`` to a bound (Sun et al. 2019).

    Without a bound, the median of the norms is taken, which more than half would
    have to move together. Direction is not looked at. The outcome is folded back
    to the adapter's rank.
    """

    knowledge: ClassVar[str] = "nothing, or a bound on honest norms"
    source: ClassVar[str] = "Sun et al., arXiv:1911.07963, 2019"

    bound: float | None = Field(default=None, gt=0, description="largest norm of dW")

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether half of the updates or more are malicious, where they set the bound."""
        return None if self.bound else super().condition(uploads, malicious)

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the mean of the clipped changes; weights are the shares of samples."""
        rows = uploads.changes
        bound = self.bound or float(rows.norm(dim=1).quantile(0.5))
        weights = normalised(uploads.samples)
        change = torch.from_numpy(weights) @ clipped(rows, bound)
        return mixed(change, weights, uploads)


class CentredClipping(AggregationRule):
    """Average after clipping about the last round's change (Karimireddy et al. 2021).

    ``v <- v + sum_k a_k clip(dW_k - v, bound)``, a few times over, starting from what
    the last round gave: what drifts slowly round after round is noticed no
    more than what is near. Without a bound, the median distance from v is taken.
    The outcome is folded back to the adapter's rank.
    """

    knowledge: ClassVar[str] = "last round's aggregate, and perhaps a bound"
    source: ClassVar[str] = "Karimireddy, He and Jaggi, ICML 2021"

    bound: float | None = Field(default=None, gt=0, description="largest distance from v")
    iterations: int = Field(default=3, ge=1, description="clippings, each about the last mean")

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether more than a tenth of the updates are malicious (theorem III)."""
        if 10 * malicious > uploads:
            return f"{malicious} of {uploads} updates were malicious, its theorem takes a tenth"
        return None

    _centre: Tensor | None = PrivateAttr(default=None)

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the clipped mean; weights are the shares of samples."""
        rows = uploads.changes
        weights = normalised(uploads.samples)
        centre = torch.zeros(rows.shape[1]).double() if self._centre is None else self._centre
        for _ in range(self.iterations):
            away = rows - centre
            bound = self.bound or float(away.norm(dim=1).quantile(0.5))
            centre = centre + torch.from_numpy(weights) @ clipped(away, bound)
        return mixed(centre, weights, uploads)

    def learn(self, uploads: Uploads, aggregate: Aggregate) -> None:
        """Keep the round's change as the next centre."""
        adapter = aggregate.adapter[None]
        self._centre = changes(uploads.layout, adapter, uploads.reference)[0]


def clipped(rows: Tensor, bound: float) -> Tensor:
    """Return the rows (K, D), those longer than the bound cut to it."""
    norms = rows.norm(dim=1, keepdim=True)
    return rows * torch.clamp(bound / norms.clamp(min=1e-30), max=1.0)
