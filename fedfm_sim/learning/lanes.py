"""Lanes: several threads of work on one frozen model, each with adapters of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

#: A thread takes at least so many rows: what it computes is long against what Python adds.
LEAST_LANE = 8


def in_lanes(work: Callable[[slice], None], count: int, least: int = LEAST_LANE) -> None:
    """Do ``count`` rows of work in as many threads as torch has, at ``least`` so many in each.

    Rows are dealt round. Each thread computes its own alone, which gives the bits of one
    thread; torch's own threads would share every single product, and wait for each other
    between them.
    """
    threads = torch.get_num_threads()
    lanes = max(1, min(threads, count // least))
    if lanes == 1:
        work(slice(None))
        return
    try:
        with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, [slice(first, None, lanes) for first in range(lanes)]))
    finally:
        torch.set_num_threads(threads)  # what a lane sets holds for all that come later, too
