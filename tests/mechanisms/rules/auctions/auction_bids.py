"""What the tests of the auctions share: thresholds by bisection, and drawn bids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array, Mask

seeds = st.integers(0, 2**32 - 1)

#: Highest ask that the bisection tries.
MOST = 1e3


def money(rng: np.random.Generator, n: int) -> Array:
    """Draw amounts, half the time from few levels, so that ties occur."""
    if rng.random() < 0.5:
        return rng.choice([0.0, 1.0, 2.0, 3.0], n)
    return rng.uniform(0, 5, n)


def threshold(select: Callable[[Array], Mask], asks: Array, who: int) -> float:
    """Return the highest ask with which ``who`` wins, by bisection; infinity if any does."""

    def wins(ask: float) -> bool:
        lied = asks.copy()
        lied[who] = ask
        return bool(select(lied)[who])

    low, high = 0.0, MOST
    if wins(high):
        return np.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if wins(middle) else (low, middle)
    return low
