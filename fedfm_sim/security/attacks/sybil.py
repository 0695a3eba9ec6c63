"""Sybils: one organisation takes part under several names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class Sybil(Attack):
    """Send what an accomplice sends, under noise, and train nothing (Douceur 2002).

    Malicious participants are one organisation: whoever of them plays this action
    copies the update of the first that does not, be it honest work paid for twice (data
    duplication) or an attack given more weight. With nobody to copy, the global adapter
    is sent. The noise hides that copies are equal: its length is ``disguise`` times
    that of the update.
    """

    goal: ClassVar[Goal] = "save-effort"
    trains: ClassVar[bool] = False
    copies: ClassVar[bool] = True
    knowledge: ClassVar[str] = "an accomplice's update"
    source: ClassVar[str] = "Douceur, IPTPS 2002; Fung et al., RAID 2020"
    disguise: float = Field(
        default=0.01, ge=0, description="length of the noise, over the copied change's"
    )

    def condition(self, honest: int, attackers: int) -> str | None:
        """Return whether there is surely nobody to copy."""
        return None if honest + attackers > 1 else "nobody is there to copy; it sends nothing new"

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the copy."""
        if not len(view.colluders):
            return view.reference.clone()
        change = view.colluders[0] - view.reference
        noise = torch.from_numpy(rng.standard_normal(len(change), dtype=np.float32))
        length = float(self.disguise * change.norm()) / len(change) ** 0.5
        return torch.add(view.colluders[0], noise, alpha=length)
