"""Coordinate-wise trimmed mean and median."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads
from fedfm_sim.security.defences.mixing import middle_mean, mixed


class TrimmedMean(AggregationRule):
    """Per coordinate of dW, the mean without the f least and f greatest (Yin et al. 2018).

    With at most f attackers every coordinate stays within the range of the honest
    ones; it takes ``n > 2 f``, and f is lowered where there are fewer updates.
    All updates count alike, whatever their samples. The outcome is folded back
    to the adapter's rank.
    """

    knowledge: ClassVar[str] = "f, how many may be malicious"
    source: ClassVar[str] = "Yin et al., ICML 2018"

    attackers: int = Field(default=2, ge=0, description="f, how many updates may be malicious")

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the trimmed mean; weights say in how many coordinates each one counts."""
        rows = uploads.changes
        change, shares = middle_mean(rows, min(self.attackers, (len(rows) - 1) // 2))
        return mixed(change, shares, uploads)


class Median(AggregationRule):
    """Per coordinate of dW, the median (Yin et al. 2018).

    Fewer than half of the updates can't move a coordinate outside the range of
    the honest ones. All updates count alike, whatever their samples. The outcome
    is folded back to the adapter's rank.
    """

    knowledge: ClassVar[str] = "that fewer than half are malicious"
    source: ClassVar[str] = "Yin et al., ICML 2018"

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the median; weights say in how many coordinates each one is it."""
        rows = uploads.changes
        change, shares = middle_mean(rows, (len(rows) - 1) // 2)
        return mixed(change, shares, uploads)
