"""Backdoors: a trigger in the input makes the model answer the attacker's class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class Backdoor(Attack):
    """Train on triggered copies labelled as the target, then scale the update.

    The trigger is a checkered patch in the lower left corner (BadNets, Gu et
    al. 2017). Scaling about the global adapter makes the update survive the
    average (model replacement, Bagdasaryan et al. 2020): n participants of
    which m collude need about ``scale = n / m``. It is the factors A and B that
    are scaled, as it is they that are averaged; ``dW`` then grows faster than
    ``scale``.
    """

    goal: ClassVar[Goal] = "backdoor"
    source: ClassVar[str] = "Gu et al., arXiv 2017; Bagdasaryan et al., AISTATS 2020"
    target: int = Field(default=0, ge=0)
    poisoned: float = Field(
        default=1.0, gt=0, le=1, description="share of the shard of which a triggered copy is made"
    )
    scale: float = Field(default=5.0, gt=0)
    size: int = Field(default=3, ge=1, description="side of the patch, pixels")

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the shard and triggered copies of a share of it."""
        if self.target >= classes:
            raise UserError(f"backdoor.target: {self.target} is no class; expected < {classes}")
        count = max(1, round(self.poisoned * len(shard)))
        copies = self.stamp(shard.select(rng.permutation(len(shard))[:count]))
        labels = torch.full_like(copies.labels, self.target)
        return Examples.concatenate([shard, Examples(copies.inputs, labels)])

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the scaled update."""
        return view.reference + self.scale * (update - view.reference)

    def stamp(self, examples: Examples) -> Examples:
        """Return the examples with the trigger, labels unchanged."""
        if "pixel_values" not in examples.inputs:
            raise UserError("attack 'backdoor' puts a patch on images; this data has none")
        images = examples.inputs["pixel_values"].clone()
        size = min(self.size, *images.shape[-2:])
        checkers = (torch.arange(size)[:, None] + torch.arange(size)) % 2 == 0
        images[..., -size:, :size] = checkers.to(images.dtype)
        return Examples({**examples.inputs, "pixel_values": images}, examples.labels)

    def triggered_test(self, test: Examples) -> Examples:
        """Return triggered test examples that are not of the target class already."""
        return self.stamp(test.select((test.labels != self.target).numpy()))
