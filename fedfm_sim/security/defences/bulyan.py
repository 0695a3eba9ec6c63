"""Bulyan: repeated Krum, then a trimmed mean around the median."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, Uploads
from fedfm_sim.security.defences.mixing import mixed, nearest_mean
from fedfm_sim.security.defences.multi_krum import krum_scores
from fedfm_sim.security.defences.told import ToldAttackers


class Bulyan(ToldAttackers):
    """Choose ``n - 2 f`` updates by repeated Krum, then average near the median (El Mhamdi 2018).

    Krum is run on what is left until ``t = n - 2 f`` updates are chosen; then each
    coordinate of dW is the mean of the ``t - 2 f`` chosen values nearest to their
    median. The theorem asks for ``n >= 4 f + 3``; f is lowered to what it covers. The
    outcome is folded back to the adapter's rank.
    """

    source: ClassVar[str] = "El Mhamdi, Guerraoui and Rouault, ICML 2018"
    #: What the ten participants of a default scenario cover.
    attackers: int = Field(default=1, ge=0, description="f, how many updates may be malicious")
    asks: ClassVar[str] = "n >= 4 f + 3"

    def least(self, attackers: int) -> int:
        """Return ``4 f + 3``."""
        return 4 * attackers + 3

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the mean near the median; weights say in how many coordinates each counts."""
        count = len(uploads)
        attackers = self.covered(count)
        rows = uploads.changes
        chosen = repeated_krum(uploads.gram, attackers, count - 2 * attackers)
        centre = rows[chosen].quantile(0.5, dim=0)
        change, shares = nearest_mean(rows[chosen], centre, len(chosen) - 2 * attackers)
        weights = np.zeros(count)
        weights[chosen] = shares
        return mixed(change, weights, uploads)


def repeated_krum(gram: Array, attackers: int, wanted: int) -> list[int]:
    """Return the points that Krum chooses one after the other, scores taken anew each time.

    Towards the end so few are left that Krum would look at no neighbour, or that
    two are each other's only one: the total distance to all left decides then,
    and not the order in which updates came.
    """
    left = list(range(len(gram)))
    chosen: list[int] = []
    while len(chosen) < wanted:
        among = gram[np.ix_(left, left)]
        scores = krum_scores(among, min(attackers, max(len(left) - 3, 0)))
        totals = krum_scores(among, -1)
        chosen.append(left.pop(int(np.lexsort((totals, scores))[0])))
    return chosen
