"""Telling attackers by their suspicion scores, and spending audits where they point."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.security.auc import auc


def detection_auc(suspicion: Array, attackers: Mask) -> float:
    """Return the area under the ROC curve of suspicion as a detector of attackers.

    0.5 is a coin toss, 1 ranks every attacker above every honest participant, and below 0.5
    the honest look worse. NaN where one of the two is missing. Scores that are NaN, of
    those whose update did not reach the rule, are left out.

    Parameters
    ----------
    suspicion : (n,) array
    attackers : (n,) bool array
    """
    scored = ~np.isnan(suspicion)
    return auc(suspicion[scored & attackers], suspicion[scored & ~attackers])


def roc(suspicion: Array, attackers: Mask) -> tuple[Array, Array]:
    """Return the false and the true positive rates at every threshold, from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(attackers, suspicion, drop_intermediate=False)
    return np.asarray(false), np.asarray(true)


def audit_chances(suspicion: Array, rate: float, focus: float) -> Array:
    """Return each one's chance (n,) of an audit, when a share of audits follows suspicion.

    Of the ``rate n`` audits that are expected in a round, ``focus`` of them go to the most
    suspect first, each up to certainty, and the rest is drawn by lot. Equal scores
    share alike, and the expected number of audits stays ``rate n``.

    Parameters
    ----------
    suspicion : (n,) array
        NaN counts as the most suspect: the update did not even reach the rule.
    rate : float
        Expected share of participants audited, in [0, 1].
    focus : float
        In [0, 1]; 0 is the plain lottery.
    """
    scores = np.where(np.isnan(suspicion), np.inf, suspicion)
    chances = np.full(len(scores), (1 - focus) * rate)
    budget = focus * rate * len(scores)
    for score in np.unique(scores)[::-1]:
        tied = scores == score
        room = float((1 - chances[tied]).sum())
        given = min(budget, room)
        chances[tied] += given / tied.sum()
        budget -= given
    return chances
