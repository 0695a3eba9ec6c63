"""Label flipping: train on wrong labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class LabelFlip(Attack):
    """Relabel class c as ``classes - 1 - c`` (Fang et al. 2020), then boost the update.

    ``scale`` multiplies the change of the factors about the global adapter; at
    1 the update is what training on the flipped data gave.
    """

    goal: ClassVar[Goal] = "damage"
    source: ClassVar[str] = "Fang et al., USENIX Security 2020"
    scale: float = Field(default=1.0, gt=0)

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the shard with every label flipped."""
        return Examples(shard.inputs, classes - 1 - shard.labels)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the boosted update."""
        return view.reference + self.scale * (update - view.reference)
