"""Pareto fronts: what no other beats in everything."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.arrays import Array, Mask


def pareto_front(losses: Array) -> Mask:
    """Return which of M points (M, d) no other beats: as small everywhere, smaller somewhere.

    Equal points do not beat each other. What is to be large goes in with a minus.

    Examples
    --------
    >>> import numpy as np
    >>> pareto_front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    no_worse = (losses[:, None] <= losses[None]).all(2)
    better = (losses[:, None] < losses[None]).any(2)
    return np.asarray(~(no_worse & better).any(0))
