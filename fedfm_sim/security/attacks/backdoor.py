"""Backdoors: a trigger in the input makes the model answer the attacker's class."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.attacks.protocol import IGNORED, TriggerAttack, View


class Backdoor(TriggerAttack):
    """Train on triggered copies labelled as the target, then scale the update.

    On images the trigger is a checkered patch in the lower left corner (BadNets, Gu
    et al. 2017); on texts it is a rare token before the last one, which is to
    become the target token (Kurita et al. 2020). Scaling about the global adapter
    makes the update survive the average (model replacement, Bagdasaryan et al. 2020):
    n participants of which m collude need about ``scale = n / m``. It is the factors A
    and B that are scaled, as it is they that are averaged; ``dW`` then grows faster than
    ``scale``.
    """

    source: ClassVar[str] = "Gu et al., arXiv 2017; Bagdasaryan et al., AISTATS 2020"
    target: int = Field(default=0, ge=0, description="the class, or token, that is aimed at")
    poisoned: float = Field(
        default=1.0, gt=0, le=1, description="share of the shard of which a triggered copy is made"
    )
    scale: float = Field(
        default=5.0, gt=0, description="factor on the update, to survive the average"
    )
    size: int = Field(default=3, ge=1, description="side of the patch, pixels")
    token: int = Field(default=3, ge=0, description="the rare token, by its number")

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the shard and triggered copies of a share of it."""
        if shard.labels.ndim == 1 and self.target >= classes:
            raise UserError(f"backdoor.target: {self.target} is no class; expected < {classes}")
        count = max(1, round(self.poisoned * len(shard)))
        copies = self.trigger(shard.select(rng.permutation(len(shard))[:count]))
        return Examples.concatenate([shard, copies])

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the scaled update."""
        return view.reference + self.scale * (update - view.reference)

    def trigger(self, examples: Examples) -> Examples:
        """Return the examples with the trigger, labelled as the target.

        Of a text for a language model, only the token after the trigger is labelled.
        """
        if "pixel_values" in examples.inputs:
            inputs = {**examples.inputs, "pixel_values": self._patched(examples)}
        elif "input_ids" in examples.inputs:
            inputs = {**examples.inputs, "input_ids": self._with_token(examples)}
        else:
            raise UserError("attack 'backdoor' needs images or texts; this data has neither")
        labels = torch.full_like(examples.labels, self.target)
        if labels.ndim == 2:
            labels.fill_(IGNORED)[torch.arange(len(labels)), _last(examples)] = self.target
        return replace(examples, inputs=inputs, labels=labels)

    def _patched(self, examples: Examples) -> Tensor:
        images = examples.inputs["pixel_values"].clone()
        size = min(self.size, *images.shape[-2:])
        checkers = (torch.arange(size)[:, None] + torch.arange(size)) % 2 == 0
        images[..., -size:, :size] = checkers.to(images.dtype)
        return images

    def _with_token(self, examples: Examples) -> Tensor:
        tokens = examples.inputs["input_ids"].clone()
        before = (_last(examples) - 1).clamp(min=0)
        tokens[torch.arange(len(tokens)), before] = self.token
        return tokens


def _last(examples: Examples) -> Tensor:
    """Return where each text's last token stands (N,); padding is on the right."""
    tokens = examples.inputs["input_ids"]
    mask = examples.inputs.get("attention_mask", torch.ones_like(tokens))
    return mask.sum(1) - 1
