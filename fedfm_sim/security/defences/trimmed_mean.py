"""Coordinate-wise trimmed mean and median."""

from __future__ import annotations

from typing import ClassVar

from fedfm_sim.learning.aggregation import Aggregate, Uploads
from fedfm_sim.security.defences.mixing import middle_mean, mixed
from fedfm_sim.security.defences.told import MostAreHonest, ToldAttackers


class TrimmedMean(ToldAttackers):
    """Per coordinate of dW, the mean without the f least and f greatest (Yin et al. 2018).

    With at most f attackers every coordinate stays within the range of the honest
    ones; it takes ``n > 2 f``, and f is lowered where there are fewer updates.
    All updates count alike, whatever their samples. The outcome is folded back
    to the adapter's rank.
    """

    source: ClassVar[str] = "Yin et al., ICML 2018"
    asks: ClassVar[str] = "n >= 2 f + 1"

    def least(self, attackers: int) -> int:
        """Return ``2 f + 1``."""
        return 2 * attackers + 1

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the trimmed mean; weights say in how many coordinates each one counts."""
        rows = uploads.changes
        change, shares = middle_mean(rows, self.covered(len(rows)))
        return mixed(change, shares, uploads)


class Median(MostAreHonest):
    """Per coordinate of dW, the median (Yin et al. 2018).

    Fewer than half of the updates can't move a coordinate outside the range of
    the honest ones. All updates count alike, whatever their samples. The outcome
    is folded back to the adapter's rank.
    """

    source: ClassVar[str] = "Yin et al., ICML 2018"

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the median; weights say in how many coordinates each one is it."""
        rows = uploads.changes
        change, shares = middle_mean(rows, (len(rows) - 1) // 2)
        return mixed(change, shares, uploads)
