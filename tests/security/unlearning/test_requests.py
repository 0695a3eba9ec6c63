"""Targets: what goes and what stays, by hand and as a partition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.unlearning.request import (
    forget_class,
    forget_client,
    forget_feature,
    forget_samples,
)


def shards(*sizes: int) -> list[Examples]:
    """Return shards of 2 x 2 images whose first pixel is a number of their own."""
    start, made = 0, []
    for size in sizes:
        images = torch.zeros(size, 1, 2, 2)
        images[:, 0, 0, 0] = torch.arange(start, start + size)
        made.append(Examples({"pixel_values": images}, torch.arange(start, start + size) % 3))
        start += size
    return made


def ids(parts: tuple[Examples, ...]) -> list[list[float]]:
    return [part.inputs["pixel_values"][:, 0, 0, 0].tolist() for part in parts]


def test_targets_by_hand() -> None:
    data = shards(2, 3)
    assert [ids(part) for part in forget_client(data, 1)] == [[[0, 1], []], [[], [2, 3, 4]]]
    kept, gone = forget_samples(data, 1, [0, 2])
    assert (ids(kept), ids(gone)) == ([[0, 1], [3]], [[], [2, 4]])
    kept, gone = forget_class(data, 0)  # of labels 0 1 | 2 0 1
    assert (ids(kept), ids(gone)) == ([[1], [2, 4]], [[0], [3]])


@given(st.lists(st.integers(0, 6), min_size=2, max_size=5), st.data())
def test_what_goes_and_what_stays_is_all_there_was(sizes: list[int], draw: st.DataObject) -> None:
    data = shards(*sizes)
    client = draw.draw(st.integers(0, len(sizes) - 1))
    if not sizes[client]:
        with pytest.raises(UserError, match="never took part"):
            forget_client(data, client)
        return
    samples = draw.draw(st.sets(st.integers(0, sizes[client] - 1), min_size=1))
    for kept, gone in (forget_client(data, client), forget_samples(data, client, sorted(samples))):
        for before, a, b in zip(ids(tuple(data)), ids(kept), ids(gone), strict=True):
            assert sorted(a + b) == before


def test_a_feature_goes_and_the_example_stays() -> None:
    data = shards(2, 4)
    where = torch.zeros(1, 2, 2, dtype=torch.bool)
    where[0, 0, 0] = True
    kept, gone = forget_feature(data, 1, where)
    assert ids(kept) == [[0, 1], [3.5] * 4]  # the mean of 2 to 5 tells nothing of which
    assert ids(gone) == [[], [2, 3, 4, 5]]
    assert torch.equal(kept[1].labels, data[1].labels)
    with pytest.raises(UserError, match="mask over the pixels"):
        forget_feature(data, 1, where[0])


@pytest.mark.parametrize("client", [-1, 2, 1])
def test_a_client_that_never_took_part(client: int) -> None:
    with pytest.raises(UserError, match="never took part"):
        forget_client(shards(2, 0), client)


def test_unknown_samples_and_classes() -> None:
    data = shards(2, 3)
    for samples in ([], [3], [-1]):
        with pytest.raises(UserError, match="expected some of 0 to 2"):
            forget_samples(data, 1, samples)
    with pytest.raises(UserError, match="nobody has an example"):
        forget_class(data, 9)
    assert np.array_equal(data[0].labels, [0, 1])
