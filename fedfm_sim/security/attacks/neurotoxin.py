"""Neurotoxin: a backdoor written where others do not write."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.low_rank import changes, fold
from fedfm_sim.security.attacks.backdoor import Backdoor
from fedfm_sim.security.attacks.protocol import View


class Neurotoxin(Backdoor):
    """A backdoor kept off the coordinates that honest training moves most (Zhang et al. 2022).

    The largest ``spared`` share of coordinates of the last round's change of weights is set
    to zero in the attacker's own, so that later rounds overwrite little of it. The
    paper projects every gradient; here the whole round's change dW is projected, then
    folded to the adapter's rank. In the first round it is the plain backdoor.
    """

    knowledge: ClassVar[str] = "own data, and the last global model"
    source: ClassVar[str] = "Zhang et al., ICML 2022"
    spared: float = Field(default=0.05, gt=0, lt=1, description="share of coordinates left alone")

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the scaled and projected change."""
        row = super().corrupt(update, view, rng)
        last = view.last_change
        if last is None:
            return row
        change = changes(view.layout, row[None], view.reference)[0]
        count = max(1, round(self.spared * len(last)))
        change[torch.topk(last.abs(), count).indices] = 0
        return fold(view.layout, change, view.reference)[0]
