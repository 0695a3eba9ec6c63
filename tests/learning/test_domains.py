"""Domains of images: each does what its name says, by hand on small images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.domains import DOMAINS, domain


def apply(name: str, images: Tensor, seed: int = 0) -> Tensor:
    return domain(name)(images, np.random.default_rng(seed))


def random_images(count: int = 3, height: int = 8, width: int = 8, channels: int = 1) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.random((count, channels, height, width), dtype=np.float32))


#: 1 to 16 in reading order, in sixteenths.
GRID = torch.arange(1, 17).view(1, 1, 4, 4) / 16


def in_sixteenths(images: Tensor) -> list[list[float]]:
    return (images[0, 0] * 16).tolist()


@pytest.mark.parametrize("name", DOMAINS)
@given(st.integers(1, 4), st.sampled_from([4, 8, 12]), st.integers(1, 3))
def test_keeps_shape_and_type_and_input(name: str, count: int, side: int, channels: int) -> None:
    images = random_images(count, side, side, channels)
    before = images.clone()
    shown = apply(name, images)
    assert shown.shape == images.shape
    assert shown.dtype == torch.float32
    assert torch.equal(images, before)
    assert torch.equal(apply(name, images), shown)


@pytest.mark.parametrize("name", [name for name in DOMAINS if name != "original"])
def test_is_unlike_the_original(name: str) -> None:
    images = random_images()
    assert (apply(name, images) - images).abs().mean() > 0.05


@pytest.mark.parametrize("name", ["inverted", "mirrored", "transposed"])
def test_twice_is_the_original(name: str) -> None:
    images = random_images()
    torch.testing.assert_close(apply(name, apply(name, images)), images)


def test_inverted() -> None:
    assert in_sixteenths(apply("inverted", GRID))[0] == [15, 14, 13, 12]


def test_mirrored() -> None:
    assert in_sixteenths(apply("mirrored", GRID))[1] == [8, 7, 6, 5]


def test_transposed() -> None:
    assert in_sixteenths(apply("transposed", GRID))[0] == [1, 5, 9, 13]


def test_shifted() -> None:
    assert in_sixteenths(apply("shifted", GRID))[0] == [0, 1, 2, 3]


def test_faded() -> None:
    assert in_sixteenths(apply("faded", GRID))[3] == [14.5, 15, 15.5, 16]


def test_shaded() -> None:
    # The light adds 0, 1/3, 2/3 and 1; the last pixel is clipped at 1.2.
    shown = apply("shaded", GRID)[0, 0, 0]
    torch.testing.assert_close(shown, torch.tensor([1 / 16, 11 / 24, 41 / 48, 1.2]))


def test_ruled() -> None:
    shown = apply("ruled", GRID)[0, 0, 2] * 16
    torch.testing.assert_close(shown, torch.tensor([9.0, 10.0, 11.0, 12.0]))
    shown = apply("ruled", GRID)[0, 0, 0] * 16
    torch.testing.assert_close(shown, torch.tensor([1.0, 9.6, 3.0, 9.6]))


def test_occluded_hides_the_right_three_eighths() -> None:
    images = random_images() + 1
    shown = apply("occluded", images)
    assert torch.equal(shown[..., :5], images[..., :5])
    assert not shown[..., 5:].any()


def test_rotated_by_45_degrees() -> None:
    # A smooth spot right of the centre moves up to the diagonal, then to the top.
    axis = torch.linspace(-1, 1, 33)
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    def spot(at_x: float, at_y: float) -> Tensor:
        return torch.exp(-20 * ((x - at_x) ** 2 + (y - at_y) ** 2))[None, None]

    once = apply("rotated", spot(0.5, 0))
    diagonal = 0.5 * 0.5**0.5
    torch.testing.assert_close(once, spot(diagonal, -diagonal), atol=0.08, rtol=0)
    torch.testing.assert_close(apply("rotated", once), spot(0, -0.5), atol=0.08, rtol=0)
    torch.testing.assert_close(apply("rotated", spot(0, 0)), spot(0, 0), atol=0.08, rtol=0)


def test_noise_has_its_size_and_its_seed() -> None:
    grey = torch.full((50, 1, 8, 8), 0.5)
    noise = apply("noisy", grey, seed=1) - grey
    # Clipped at 2.5 standard deviations, which takes about 3 % off the deviation.
    assert noise.std() == pytest.approx(0.2, rel=0.06)
    assert noise.abs().max() <= 0.5
    assert not torch.equal(apply("noisy", grey, seed=2) - grey, noise)


def test_unknown_domain() -> None:
    with pytest.raises(UserError, match="unknown domain 'upside-down'; expected one of: original"):
        domain("upside-down")
