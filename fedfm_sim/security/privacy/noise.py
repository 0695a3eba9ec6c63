"""Noise that a participant adds to its update to protect its data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def add_noise(
    update: Tensor, reference: Tensor, multiplier: float, rng: np.random.Generator
) -> Tensor:
    """Return the update (P,) with Gaussian noise of ``multiplier`` times its own length.

    The noise vector's expected norm is ``multiplier * |update - reference|``.
    This is a heuristic without an epsilon: nothing is clipped beforehand.
    """
    length = float((update - reference).norm())
    noise = torch.from_numpy(rng.standard_normal(len(update), dtype=np.float32))
    deviation = multiplier * length / float(len(update)) ** 0.5
    return torch.add(update, noise, alpha=deviation)
