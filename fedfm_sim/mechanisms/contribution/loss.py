"""How far contributions are from the truth, where the truth was planted (Eq. 11)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values


def contribution_loss(values: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return ``sum_k |C_k - C*_k|`` over shares, in [0, 2].

    Both are taken as shares of their positive parts, as they would be paid; what
    has no positive part is shared equally.

    Parameters
    ----------
    values : (n,) array
        Contributions by some scheme, in any unit.
    truth : (n,) array
        The planted C*, at least 0.

    Raises
    ------
    UserError
        When the shapes differ, a number is not finite, or the truth is negative.
    """
    found, planted = _shares(values), _shares(truth)
    if found.shape != planted.shape or (np.asarray(truth) < 0).any():
        raise UserError("contributions and their truth (at least 0) are one number per player")
    return float(np.abs(found - planted).sum())


def rank_correlation(values: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation, in [-1, 1]; 0 where all values are equal."""
    found, planted = (np.asarray(given, dtype=np.float64) for given in (values, truth))
    if np.ptp(found) == 0 or np.ptp(planted) == 0:
        return 0.0
    return float(spearmanr(found, planted).statistic)


def _shares(given: npt.ArrayLike) -> Values:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise UserError("contributions must be flat and finite")
    positive = np.maximum(values, 0.0)
    highest = positive.max()
    if highest == 0:
        return np.full(values.size, 1 / values.size)
    positive /= highest
    return np.asarray(positive / positive.sum())
