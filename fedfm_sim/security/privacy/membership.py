"""Membership inference: telling whether an example was in the training data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu

Losses = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def membership_auc(members: Losses, others: Losses) -> float:
    """Return the AUC of the loss-threshold attack (Yeom et al. 2018), in [0, 1].

    The attacker calls an example a member when its loss is below a threshold;
    the AUC is over all thresholds, ties counting one half.

    Parameters
    ----------
    members, others : arrays
        Losses of examples in and not in the training data, of one distribution.
    """
    statistic = mannwhitneyu(others, members).statistic
    return float(statistic / (len(members) * len(others)))


def membership_advantage(members: Losses, others: Losses) -> float:
    """Return the attacker's advantage ``max(0, 2 AUC - 1)``, in [0, 1]; 0 is a coin toss."""
    return max(0.0, 2 * membership_auc(members, others) - 1)
