"""The digits: four parts that share no image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.datasets import DATASETS, SplitData
from fedfm_sim.learning.examples import Examples

SIZES = {"public": 600, "private": 797, "validation": 100, "test": 300}


def parts_of(digits: SplitData) -> dict[str, Examples]:
    return {name: getattr(digits, name) for name in SIZES}


def keys(examples: Examples) -> list[bytes]:
    return [image.numpy().tobytes() for image in examples.inputs["pixel_values"]]


def test_sizes(digits: SplitData) -> None:
    assert {name: len(part) for name, part in parts_of(digits).items()} == SIZES
    assert digits.classes == 10
    assert sum(SIZES.values()) == 1797


def test_parts_are_disjoint_and_complete(digits: SplitData) -> None:
    images, labels = load_digits(return_X_y=True)
    # No image is there twice, so that an image says which one it is.
    assert len(np.unique(images, axis=0)) == 1797
    source = {
        (image / 16).astype(np.float32).tobytes(): int(label)
        for image, label in zip(images, labels, strict=True)
    }
    held = {name: keys(part) for name, part in parts_of(digits).items()}
    for one, other in itertools.combinations(SIZES, 2):
        assert not set(held[one]) & set(held[other]), (one, other)
    assert set().union(*held.values()) == set(source)
    for name, part in parts_of(digits).items():
        assert [source[key] for key in held[name]] == part.labels.tolist()


def test_parts_are_stratified(digits: SplitData) -> None:
    _, labels = load_digits(return_X_y=True)
    shares = np.bincount(labels) / 1797
    for part in parts_of(digits).values():
        counts = np.bincount(part.labels, minlength=10)
        # Each cut rounds, and the private part is left after three.
        assert (np.abs(counts - shares * len(part)) < 2).all()


def test_pixels(digits: SplitData) -> None:
    for part in parts_of(digits).values():
        pixels = part.inputs["pixel_values"]
        assert pixels.shape == (len(part), 1, 8, 8)
        assert pixels.dtype == torch.float32
        assert float(pixels.min()) == 0
        assert float(pixels.max()) == 1


def test_by_name(digits: SplitData) -> None:
    assert DATASETS["digits"]() is digits
    with pytest.raises(UserError, match=r"unknown data set 'digit' \(did you mean 'digits'"):
        DATASETS["digit"]
