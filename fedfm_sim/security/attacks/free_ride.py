"""Free riding: be paid for training that was not done."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class FreeRide(Attack):
    """Return the global adapter, disguised by noise (Fraboni et al. 2021).

    Adds Gaussian noise of standard deviation ``disguise s t^-decay`` in round t, s being
    that of the global adapter's entries. Without disguise it is the plain free
    rider; a decay imitates how honest updates shrink as training converges.
    """

    goal: ClassVar[Goal] = "save-effort"
    source: ClassVar[str] = "Fraboni, Vidal and Lorenzi, AISTATS 2021"
    trains: ClassVar[bool] = False
    disguise: float = Field(
        default=0.05, ge=0, description="noise, over the spread of the adapter's numbers"
    )
    decay: float = Field(default=0.0, ge=0, description="gamma, by which noise shrinks")

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the global adapter under noise."""
        noise = torch.from_numpy(rng.standard_normal(len(view.reference), dtype=np.float32))
        usual = self.disguise * float(view.reference.std())
        return torch.add(view.reference, noise, alpha=usual * (view.number + 1) ** -self.decay)
