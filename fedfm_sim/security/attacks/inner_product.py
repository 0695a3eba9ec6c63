"""Inner-product manipulation (IPM): send the opposite of the honest mean."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.low_rank import fold
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class InnerProduct(Attack):
    """Send ``-scale`` times the mean of the honest changes dW (Xie et al. 2020).

    With a scale above ``(n - f) / f`` the plain mean turns round; with a small one
    the update hides near the origin, which distance-based rules let pass.
    """

    goal: ClassVar[Goal] = "damage"
    trains: ClassVar[bool] = False
    sees_others: ClassVar[bool] = True
    knowledge: ClassVar[str] = "the honest updates"
    source: ClassVar[str] = "Xie, Koyejo and Gupta, UAI 2020"
    scale: float = Field(default=5.0, gt=0, description="factor on the honest mean")

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the manipulated change; honest where nobody else is."""
        rows = view.honest_changes
        if not len(rows):
            return update
        return fold(view.layout, -self.scale * rows.mean(0), view.reference)[0]
