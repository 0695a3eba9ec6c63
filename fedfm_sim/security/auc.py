"""How well a score tells two groups apart: the area under the ROC curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fedfm_sim.core.arrays import Array

#: Scores in single or double precision.
Scores = npt.NDArray[np.float32] | Array


def auc(positives: Scores, negatives: Scores) -> float:
    """Return the share of pairs in which the positive scores higher, ties counting one half.

    It is the area under the ROC curve, by the rank sum of Mann and Whitney (1947): exact but
    for one division, in the precision of the scores. NaN where one of the groups is missing
    or a score is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> auc(np.array([2.0, 4.0]), np.array([1.0, 3.0]))
    0.75
    """
    count, pairs = len(positives), len(positives) * len(negatives)
    if not pairs:
        return float("nan")
    scores = np.concatenate([positives, negatives])
    won = rankdata(scores)[:count].sum() - count * (count + 1) / 2
    return float(won.astype(scores.dtype) / pairs)
