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

    Adds Gaussian noise whose standard deviation is ``disguise`` times the
    standard deviation of the global adapter's entries; 0 is the plain free rider.
    """

    goal: ClassVar[Goal] = "save-effort"
    source: ClassVar[str] = "Fraboni, Vidal and Lorenzi, AISTATS 2021"
    trains: ClassVar[bool] = False
    disguise: float = Field(default=0.05, ge=0)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the global adapter under noise."""
        noise = torch.from_numpy(rng.standard_normal(len(view.reference), dtype=np.float32))
        return view.reference + self.disguise * view.reference.std() * noise
