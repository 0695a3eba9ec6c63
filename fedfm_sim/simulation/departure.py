"""What a participant's departure led to, as a run's result holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from fedfm_sim.mechanisms.theory.holdup import HoldUp


@dataclass(frozen=True, eq=False)
class Departure:
    """What a departure led to.

    Attributes
    ----------
    table : DataFrame
        The executors beside retraining, with ``miss``, the most by which accuracy,
        attack success or membership is worse than the retrained model's, and
        ``money``, what their training and messages cost.
    chosen : str
        The cheapest whose miss is within the tolerance; "retrain" if there is no other.
    shares : DataFrame
        ``participant``, ``before`` and ``after``, money of the pot.
    threat : HoldUp
        What the leaver could have asked for to stay.
    """

    table: pd.DataFrame
    chosen: str
    shares: pd.DataFrame
    threat: HoldUp

    @property
    def summary(self) -> dict[str, Any]:
        """What a run's summary says of it."""
        own = self.table[self.table["executor"] == self.chosen].iloc[0]
        return {
            "executor": self.chosen,
            "miss": float(own["miss"]),
            "money": float(own["money"]),
            "retraining_money": float(self.table["money"].iloc[-1]),
            "share": self.threat.share,
            "loss": self.threat.loss,
            "threat": self.threat.transfer,
        }
