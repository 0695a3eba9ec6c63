"""Gaussian attack: send parameters drawn at random."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class Gaussian(Attack):
    """Send factors drawn from a normal about the global adapter (Blanchard et al. 2017).

    The attacker trains to learn how long an honest change of A and B is; its own is
    ``scale`` times as long, in a direction drawn at random.
    """

    goal: ClassVar[Goal] = "damage"
    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    scale: float = Field(default=30.0, gt=0, description="length sent, over an honest change's")

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the drawn factors."""
        noise = torch.from_numpy(rng.standard_normal(len(update), dtype=np.float32))
        length = float((update - view.reference).norm() / noise.norm())
        return torch.add(view.reference, noise, alpha=self.scale * length)
