"""Domains: how one organisation's images differ from the public ones (feature skew).

Each is a function of (N, C, H, W) images with pixels near [0, 1] and a generator
for those that draw. They stand for what sets real sites apart: another scanner
polarity, another orientation, sensor noise, dirt on the lens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices

Domain = Callable[[Tensor, np.random.Generator], Tensor]


def original(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the public domain itself."""
    return images


def inverted(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Swap ink and paper."""
    return 1 - images


def rotated(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn by 45 degrees about the centre, bilinear."""
    turn = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]) * 0.5**0.5
    theta = turn.expand(len(images), 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def mirrored(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Flip left and right."""
    return images.flip(3)


def transposed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Swap rows and columns."""
    return images.transpose(2, 3).contiguous()


def shifted(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Move right by a quarter of the width; what falls out is lost."""
    step = max(1, images.shape[3] // 4)
    return functional.pad(images, (step, 0, 0, 0))[..., : images.shape[3]]


def noisy(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Add Gaussian noise of standard deviation 0.2, clipped to [0, 1]."""
    noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32))
    return (images + 0.2 * noise).clamp(0, 1)


def faded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Print on grey paper: half the contrast."""
    return 0.5 + 0.5 * images


def shaded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Light from one side: brightness rises from left to right by the full range."""
    return (images + torch.linspace(0, 1, images.shape[3])).clamp(0, 1.2)


def ruled(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Write on ruled paper: every second column is at least 0.6."""
    lines = 0.6 * (torch.arange(images.shape[3]) % 2).to(images.dtype)
    return torch.maximum(images, lines)


def occluded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Hide the right three eighths of the image."""
    visible = torch.arange(images.shape[3]) < images.shape[3] - 3 * images.shape[3] // 8
    return images * visible


DOMAINS: dict[str, Domain] = {
    "original": original,
    "inverted": inverted,
    "rotated": rotated,
    "mirrored": mirrored,
    "transposed": transposed,
    "shifted": shifted,
    "noisy": noisy,
    "faded": faded,
    "shaded": shaded,
    "ruled": ruled,
    "occluded": occluded,
}


def domain(name: str) -> Domain:
    """Return the domain called ``name``; `UserError` when there is none."""
    if name not in DOMAINS:
        raise UserError(f"unknown domain '{name}'{choices(name, DOMAINS)}")
    return DOMAINS[name]
