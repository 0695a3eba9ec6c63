"""Noise on an update: of the size asked, about the update."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.security.privacy.noise import add_noise

SIZE = 20_000


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    update, reference = torch.from_numpy(rng.standard_normal((2, SIZE), dtype=np.float32))
    return update, reference


@pytest.mark.parametrize("multiplier", [0.1, 1.0, 3.0])
def test_noise_has_its_length(multiplier: float, pair: tuple[Tensor, Tensor]) -> None:
    update, reference = pair
    noise = add_noise(update, reference, multiplier, np.random.default_rng(1)) - update
    length = float((update - reference).norm())
    # The length of a Gaussian vector varies by 1 / sqrt(2 P), or 0.5 %.
    assert float(noise.norm()) == pytest.approx(multiplier * length, rel=0.02)
    cosine = torch.nn.functional.cosine_similarity(noise, update - reference, dim=0)
    assert abs(float(cosine)) < 4 / SIZE**0.5


def test_no_noise(pair: tuple[Tensor, Tensor]) -> None:
    update, reference = pair
    assert torch.equal(add_noise(update, reference, 0.0, np.random.default_rng(1)), update)
    # Who changed nothing has nothing to hide.
    assert torch.equal(add_noise(update, update, 5.0, np.random.default_rng(1)), update)


def test_noise_is_drawn_from_the_generator(pair: tuple[Tensor, Tensor]) -> None:
    update, reference = pair
    before = update.clone()
    drawn = [add_noise(update, reference, 1.0, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(update, before)
