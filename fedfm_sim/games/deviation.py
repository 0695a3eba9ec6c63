"""Eq. 13 by deviating: what each participant could gain by another action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True, eq=False)
class DeviationTest:
    """How far a profile is from an equilibrium.

    Attributes
    ----------
    gains : DataFrame
        One row per participant and action: mean gain in utility over the
        rounds it was tried in, money, with the interval's ``low`` and ``high``.
    epsilon_star : float
        The largest mean gain, at least 0: the profile is an
        epsilon*-equilibrium over the listed deviations.
    """

    gains: pd.DataFrame
    epsilon_star: float

    @property
    def best(self) -> pd.Series | None:
        """Return the row of the largest gain, or None when nothing was tried."""
        return None if self.gains.empty else self.gains.iloc[int(self.gains["gain"].argmax())]


def deviation_test(samples: pd.DataFrame, confidence: float = 0.95) -> DeviationTest:
    """Summarise gains from deviating.

    Parameters
    ----------
    samples : DataFrame
        Columns ``participant``, ``kind``, ``action``, ``gain`` (money), one row
        per deviation and round.
    confidence : float
        Of the two-sided Student interval of each mean over rounds; NaN bounds
        with a single round.
    """
    if samples.empty:
        empty = pd.DataFrame(columns=["participant", "kind", "action", "gain", "low", "high"])
        return DeviationTest(empty, 0.0)
    groups = samples.groupby(["participant", "kind", "action"], sort=True)["gain"]
    gains = groups.agg(["mean", "std", "count"]).reset_index()
    quantile = stats.t.ppf((1 + confidence) / 2, np.maximum(gains["count"] - 1, 1))
    half = quantile * gains["std"] / np.sqrt(gains["count"])
    gains["gain"], gains["low"], gains["high"] = (
        gains["mean"],
        gains["mean"] - half,
        gains["mean"] + half,
    )
    table = gains[["participant", "kind", "action", "gain", "low", "high", "count"]].rename(
        columns={"count": "rounds"}
    )
    return DeviationTest(table, max(0.0, float(table["gain"].max())))
