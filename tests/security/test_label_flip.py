"""Label flipping, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.attacks import ATTACKS, View
from fedfm_sim.security.attacks.label_flip import LabelFlip


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_labels_are_mirrored() -> None:
    shard = Examples({"x": torch.arange(10.0)}, torch.arange(10))
    flipped = LabelFlip().poison(shard, 10, rng())
    assert flipped.labels.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert torch.equal(flipped.inputs["x"], shard.inputs["x"])
    assert shard.labels.tolist() == list(range(10))


@given(st.integers(2, 20), st.data())
def test_twice_is_the_truth(classes: int, data: st.DataObject) -> None:
    labels = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=1)))
    shard = Examples({"x": torch.zeros(len(labels))}, labels)
    once = LabelFlip().poison(shard, classes, rng())
    assert torch.equal(LabelFlip().poison(once, classes, rng()).labels, labels)
    # An odd number of classes leaves the one in the middle where it is.
    assert bool(((once.labels == labels) == (2 * labels == classes - 1)).all())


def seen(reference: Tensor) -> View:
    """Return a view of which these attacks only read the reference."""
    return View(reference, AdapterLayout((), {}, LoraSettings(rank=4, alpha=8.0)))


def test_the_change_is_boosted() -> None:
    update, reference = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0])
    assert LabelFlip(scale=3.0).corrupt(update, seen(reference), rng()).tolist() == [7, -1]
    assert LabelFlip().corrupt(update, seen(reference), rng()).tolist() == [3, 1]
    assert update.tolist() == [3, 1]


def test_is_found_by_name() -> None:
    attack = ATTACKS["label-flip"].model_validate({"scale": 2})
    assert attack == LabelFlip(scale=2.0)
    assert attack.goal == "damage"
    assert attack.trains
    for wrong in ({"scale": 0}, {"scale": float("inf")}, {"typo": 1}):
        with pytest.raises(ValidationError):
            ATTACKS["label-flip"].model_validate(wrong)
