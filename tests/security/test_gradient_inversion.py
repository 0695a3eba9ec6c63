"""Gradient inversion: by algebra exactly, by search well, and what noise does to both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import LoraSettings, adapter_layout, initial_adapter
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.security.privacy.gradient_inversion import (
    adapter_gradient,
    full_gradient,
    invert,
    label_from_bias,
    linear_input,
    patches_from_positions,
    psnr,
)

seeds = st.integers(0, 2**32 - 1)


def one(digits: SplitData, number: int) -> tuple[Tensor, Tensor]:
    row = digits.private.select([number])
    return row.inputs["pixel_values"].double(), row.labels


@given(seeds, st.integers(1, 6))
def test_a_linear_layer_tells_its_input(seed: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(width, 4).double()
    x = torch.randn(1, width, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, generator=generator, dtype=torch.float64)
    loss = (layer(x).tanh() * weights).sum()
    by_weight, by_bias = torch.autograd.grad(loss, [layer.weight, layer.bias])
    torch.testing.assert_close(linear_input(by_weight, by_bias), x[0])


def test_without_a_gradient_of_the_bias_nothing_is_told() -> None:
    with pytest.raises(UserError, match="tells nothing"):
        linear_input(torch.zeros(2, 3), torch.zeros(2))


def test_psnr_by_hand() -> None:
    image = torch.zeros(1, 2, 2)
    assert psnr(image, image) == float("inf")
    assert psnr(image, image + 0.1) == pytest.approx(20)
    assert psnr(image, image + 1) == pytest.approx(0)


def test_the_label_is_read_off_the_bias(backbone: Backbone, digits: SplitData) -> None:
    gradient_of = full_gradient(backbone)
    for number in range(10):
        image, label = one(digits, number)
        bias = gradient_of(image, label)[-1]
        assert bias.shape == (10,)
        assert label_from_bias(bias) == int(label)


def test_a_full_gradient_tells_the_image_by_algebra(backbone: Backbone, digits: SplitData) -> None:
    model = backbone.model
    names = [name for name, _ in model.named_parameters()]
    gradient_of = full_gradient(backbone)
    for number in range(10):
        image, label = one(digits, number)
        given_ = dict(zip(names, gradient_of(image, label), strict=True))
        positions = next(v for k, v in given_.items() if "position_embeddings" in k)[0, 1:]
        weight = next(v for k, v in given_.items() if "projection.weight" in k).flatten(1)
        patches = patches_from_positions(weight.detach(), positions.detach())
        found = patches.view(4, 4, 2, 2).permute(0, 2, 1, 3).reshape(1, 8, 8)
        assert psnr(found, image[0]) > 60


@pytest.mark.slow
def test_search_finds_the_image_and_noise_hides_it(backbone: Backbone, digits: SplitData) -> None:
    layout = adapter_layout(backbone, LoraSettings(rank=8, alpha=16.0))
    start = initial_adapter(backbone, layout, 0)
    image, label = one(digits, 4)
    for gradient_of in (full_gradient(backbone), adapter_gradient(backbone, layout, start)):
        seen = [part.detach() for part in gradient_of(image, label)]
        found = invert(gradient_of, seen, label, (1, 8, 8), np.random.default_rng(4), 1, 60)
        assert psnr(found, image[0]) > 25
    length = torch.cat([part.flatten() for part in seen]).norm()
    rng = np.random.default_rng(0)
    noisy = [
        part + length / 20 * torch.from_numpy(rng.standard_normal(tuple(part.shape)))
        for part in seen
    ]
    hidden = invert(gradient_of, noisy, label, (1, 8, 8), np.random.default_rng(4), 1, 60)
    assert psnr(hidden, image[0]) < 12


def test_no_gradient_no_image(backbone: Backbone) -> None:
    gradient_of = full_gradient(backbone)
    seen = [torch.zeros(3)]
    found = invert(gradient_of, seen, torch.tensor([0]), (1, 8, 8), np.random.default_rng(0))
    assert not found.any()
