"""Sets of labelled examples."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.learning.examples import Examples


def numbered(count: int) -> Examples:
    """Return examples whose two inputs and label all say which they are."""
    numbers = torch.arange(count)
    return Examples({"x": numbers.float()[:, None], "y": 10 * numbers}, 100 * numbers)


@given(st.lists(st.integers(0, 9), max_size=12))
def test_select_keeps_inputs_and_labels_together(index: list[int]) -> None:
    chosen = numbered(10).select(np.array(index, dtype=np.int64))
    assert len(chosen) == len(index)
    assert chosen.inputs["x"][:, 0].tolist() == index
    assert chosen.inputs["y"].tolist() == [10 * i for i in index]
    assert chosen.labels.tolist() == [100 * i for i in index]


def test_every_kind_of_index() -> None:
    examples = numbered(4)
    for index in ([1, 2], slice(1, 3), np.array([False, True, True, False]), np.array([1, 2])):
        assert examples.select(index).labels.tolist() == [100, 200]


def test_concatenate_undoes_cutting() -> None:
    examples = numbered(9)
    cuts = [slice(0, 4), slice(4, 4), slice(4, 9)]
    joined = Examples.concatenate([examples.select(cut) for cut in cuts])
    assert torch.equal(joined.labels, examples.labels)
    assert all(torch.equal(joined.inputs[name], examples.inputs[name]) for name in ("x", "y"))
