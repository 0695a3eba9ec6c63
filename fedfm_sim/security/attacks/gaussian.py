"""Gaussian attack: send noise of the size of an update."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.low_rank import changes, fold
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class Gaussian(Attack):
    """Send a random change, ``scale`` times as long as the honest one (Blanchard et al. 2017).

    The attacker trains to learn how long an honest dW is, draws a Gaussian one, and
    folds it to the adapter's rank, which keeps its largest directions.
    """

    goal: ClassVar[Goal] = "damage"
    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    scale: float = Field(default=4.0, gt=0)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the random change."""
        honest = changes(view.layout, update[None], view.reference)[0]
        noise = torch.from_numpy(rng.standard_normal(len(honest)))
        change = self.scale * honest.norm() * noise / noise.norm()
        return fold(view.layout, change, view.reference)[0]
