"""Label flipping: train on wrong labels."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.attacks.protocol import IGNORED, Attack, Goal, View


class LabelFlip(Attack):
    """Relabel class c as ``classes - 1 - c`` (Fang et al. 2020), then boost the update.

    ``scale`` multiplies the change of the factors about the global adapter; at
    1 the update is what training on the flipped data gave.
    """

    goal: ClassVar[Goal] = "damage"
    source: ClassVar[str] = "Fang et al., USENIX Security 2020"
    scale: float = Field(default=1.0, gt=0, description="factor on the update")

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the shard with every label flipped."""
        labels = shard.labels
        if labels.ndim == 2:  # of a text every token is flipped, within those that occur
            flipped = labels.max() - labels
            return replace(shard, labels=torch.where(labels == IGNORED, labels, flipped))
        return replace(shard, labels=classes - 1 - labels)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the boosted update."""
        return view.reference + self.scale * (update - view.reference)
