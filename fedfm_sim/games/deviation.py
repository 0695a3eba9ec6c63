"""Eq. 13 by deviating: what each participant could gain by always playing another action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedfm_sim.core.intervals import Estimate, critical

#: What tells deviations apart: who plays what all the time.
RULE = ["participant", "kind", "action"]


@dataclass(frozen=True, eq=False)
class DeviationTest:
    r"""How far a profile is from an equilibrium.

    A deviation is a fixed rule: participant k plays action a in every round, where it played
    its policy's. Round by round, everything else stays as it was: the model that the round
    starts from, what others do, every random draw. Its gain is the mean over all T rounds
    that were tried; in a round in which a is what was played, it changes nothing and gains 0.

    .. math:: \epsilon^* = \max_{k, a} \frac{1}{T} \sum_t
       [U_k(a, a_{-k, t}) - U_k(a_{k, t}, a_{-k, t})]

    and at least 0: the profile is an epsilon*-equilibrium over these deviations (Eq. 13).

    Attributes
    ----------
    gains : DataFrame
        One row per participant and action: mean ``gain`` in utility, money, with Student's
        interval ``low`` to ``high`` of that one mean, the number of ``rounds`` it is over, and
        its standard ``error`` (NaN of one round).
    epsilon : Estimate
        epsilon*, and the interval of the truly largest gain: see
        `fedfm_sim.core.intervals.Estimate.of_largest`. The largest of many measured gains is
        high by luck; the lower end allows for it, and is above 0 in at most 2.5 % of runs in
        which nobody truly gains. Rounds stand for independent replicates, which a policy that
        learns makes them only in part.
    """

    gains: pd.DataFrame
    epsilon: Estimate

    @property
    def epsilon_star(self) -> float:
        """The largest mean gain, at least 0, money."""
        return self.epsilon.value

    @property
    def best(self) -> pd.Series | None:
        """Return the row of the largest gain, or None when nothing was tried."""
        return None if self.gains.empty else self.gains.iloc[int(self.gains["gain"].argmax())]


def deviation_test(samples: pd.DataFrame, rounds: int | None = None) -> DeviationTest:
    """Summarise gains from deviating.

    Parameters
    ----------
    samples : DataFrame
        Columns ``participant``, ``kind``, ``action``, ``gain`` (money), one row
        per deviation and round.
    rounds : int, optional
        How many were tried, T; where it is not given, as many as ``samples`` have of
        different ``round``, or, without that column, the most of any deviation.
    """
    if samples.empty:
        empty = pd.DataFrame(columns=[*RULE, "gain", "low", "high", "rounds", "error"])
        return DeviationTest(empty, Estimate(0.0, 0.0, 0.0))
    groups = samples.groupby(RULE, sort=True)["gain"]
    counts = groups.size()
    if rounds is None:
        rounds = int(samples["round"].nunique() if "round" in samples else counts.max())
    means = groups.sum() / rounds
    # A round that is not there is one of gain 0.
    own = pd.MultiIndex.from_frame(samples[RULE])
    away = (samples["gain"].to_numpy() - means.loc[own].to_numpy()) ** 2
    there = pd.Series(away).groupby([samples[name].to_numpy() for name in RULE], sort=True).sum()
    mean = means.to_numpy()
    squares = there.to_numpy() + (rounds - counts.to_numpy()) * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(squares / (rounds * (rounds - 1.0)))
    half = error * critical(rounds - 1)
    table = means.index.to_frame(index=False)
    table = table.assign(gain=mean, low=mean - half, high=mean + half, rounds=rounds, error=error)
    return DeviationTest(table, Estimate.of_largest(mean, error, rounds - 1))
