"""Sign flipping: push the model the other way."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.low_rank import changes, fold
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class SignFlip(Attack):
    """Train honestly and send ``-scale dW`` (Li et al. 2019).

    The sign of the weight change is flipped, and not that of the factors: flipping
    both A and B would change nothing. What the adapter's rank can't hold of it
    is lost.
    """

    goal: ClassVar[Goal] = "damage"
    source: ClassVar[str] = "Li et al., AAAI 2019"
    scale: float = Field(default=4.0, gt=0, description="factor on the flipped change")

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the flipped change."""
        change = changes(view.layout, update[None], view.reference)[0]
        return fold(view.layout, -self.scale * change, view.reference)[0]
