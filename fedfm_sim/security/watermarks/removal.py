"""What a thief does to a stolen adapter to wash its marks off.

Each keeps the model's use as far as it can; how far a mark survives, and what washing
costs in accuracy, is for `fedfm_sim.security.watermarks` to be measured on. All act on
the adapter as its file holds it: the factors A and B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.triggers import Triggers, answers_of, told
from fedfm_sim.security.watermarks.verification import Claim, answers_claim, claim
from fedfm_sim.security.watermarks.white_box import directions, embed, read_bits


@dataclass(frozen=True, eq=False)
class Thief:
    """What a thief has besides the adapter.

    Attributes
    ----------
    federation : Federation
        The base model and how to train; its global adapter is not used.
    data : Examples
        The thief's own labelled examples.
    rng : numpy.random.Generator
    """

    federation: Federation
    data: Examples
    rng: np.random.Generator


class Removal(Plugin):
    """Leave the mark as it is; the base of all removals."""

    source: ClassVar[str] = ""

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return what becomes of a stolen adapter (P,)."""
        return adapter


class Prune(Removal):
    """Set the smallest numbers of the factors to zero (magnitude pruning, Han et al. 2015)."""

    source: ClassVar[str] = "Han et al., NeurIPS 2015"
    share: float = Field(default=0.7, ge=0, lt=1, description="numbers set to zero")

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the pruned adapter."""
        pruned = adapter.clone()
        pruned[adapter.abs().argsort()[: round(self.share * len(adapter))]] = 0
        return pruned


class Quantised(Removal):
    """Round each tensor to ``2^bits - 1`` even steps between minus and plus its largest entry."""

    source: ClassVar[str] = "Jacob et al., CVPR 2018"
    bits: int = Field(default=8, ge=2, le=16, description="kept of each number")

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the rounded adapter."""
        row = adapter[None].clone()
        levels = 2 ** (self.bits - 1) - 1
        for view in thief.federation.layout.views(row).values():
            step = (view.abs().max() / levels).clamp(min=1e-30)
            view.copy_((view / step).round() * step)
        return row[0]


class FineTune(Removal):
    """Train on for a number of steps, on the thief's own data."""

    source: ClassVar[str] = "Uchida et al., ICMR 2017"
    steps: int = Field(default=50, ge=1, description="batches of the thief's training")

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the adapter after training."""
        return _trained(adapter, thief, thief.data, self.steps)


class Distil(Removal):
    """Train a new adapter on the stolen model's answers to the thief's inputs."""

    source: ClassVar[str] = "Hinton et al., 2015"
    steps: int = Field(default=200, ge=1, description="batches of the pupil's training")

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the student, which shares no number with the stolen adapter."""
        answers = thief.federation.evaluate(adapter[None], thief.data).predictions[0]
        pupil = thief.data.labelled_by(torch.from_numpy(answers))
        return _trained(thief.federation.initial, thief, pupil, self.steps)


class Overwrite(Removal):
    """Embed the thief's own bits by the same method."""

    source: ClassVar[str] = "Fan et al., NeurIPS 2019"
    bits: int = Field(default=64, ge=1, description="of the thief's mark")
    margin: float = Field(default=8.0, gt=0, description="standard deviations, unmarked")

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the adapter with another mark on top."""
        layout = thief.federation.layout
        if not bool(layout.gram(adapter[None]) > 0):
            return adapter  # the first round's copy changes nothing, and carries no mark yet
        own = directions(layout, [Key.draw("thief", thief.rng, self.bits)])
        return embed(layout, adapter, own, self.margin)


class Regauge(Removal):
    """Replace (A, B) by (Q A, B Q^-1) with a random well-conditioned Q: the same model."""

    source: ClassVar[str] = "a symmetry of LoRA (Hu et al. 2022)"

    def wash(self, adapter: Tensor, thief: Thief) -> Tensor:
        """Return the adapter in another gauge."""
        layout, row = thief.federation.layout, adapter[None].double()
        for a, b in layout.factors(row).values():
            rank = a.shape[1]
            turn, _ = np.linalg.qr(thief.rng.standard_normal((rank, rank)))
            change = torch.from_numpy(turn * thief.rng.uniform(0.5, 2, rank))
            a[0], b[0] = change @ a[0], b[0] @ torch.linalg.inv(change)
        return row[0].to(adapter.dtype)


def _trained(start: Tensor, thief: Thief, data: Examples, steps: int) -> Tensor:
    federation = thief.federation
    settings = federation.settings.model_copy(update={"epochs": 1})
    size = settings.batch_size
    order = np.concatenate(
        [thief.rng.permutation(len(data)) for _ in range(1 + steps * size // len(data))]
    )
    shard = data.select(order[: steps * size])
    return federation.train([shard], [thief.rng], start[None], settings).adapters[0]


REMOVALS: Registry[type[Removal]] = Registry(
    "removal",
    "fedfm_sim.removals",
    {
        "none": "fedfm_sim.security.watermarks.removal:Removal",
        "distil": "fedfm_sim.security.watermarks.removal:Distil",
        "fine-tune": "fedfm_sim.security.watermarks.removal:FineTune",
        "overwrite": "fedfm_sim.security.watermarks.removal:Overwrite",
        "prune": "fedfm_sim.security.watermarks.removal:Prune",
        "quantise": "fedfm_sim.security.watermarks.removal:Quantised",
        "regauge": "fedfm_sim.security.watermarks.removal:Regauge",
    },
    base="fedfm_sim.security.watermarks.removal:Removal",
)


def forged_claim(
    federation: Federation, adapter: Tensor, tries: int, rng: np.random.Generator, bits: int = 64
) -> Claim:
    """Return the best claim that a forger finds by trying keys: the ambiguity attack.

    The forger fits no model; it makes keys up until one fits, so that its p-value
    falls as 1 / tries. It says nothing of how many it tried.
    """
    best = 0
    layout = federation.layout
    for start in range(0, tries, 100):
        keys = [Key.draw("forger", rng, bits) for _ in range(min(100, tries - start))]
        found = read_bits(layout, adapter.expand(len(keys), -1), directions(layout, keys))
        best = max(best, int(found.sum(1).max()))
    return claim("forger", best, bits)


def false_claims(federation: Federation, adapters: Sequence[Tensor], keys: Sequence[Key]) -> Array:
    """Return the p-value of each key's bits on each adapter, (adapters, keys)."""
    layout, columns = federation.layout, []
    for start in range(0, len(keys), 100):
        part = keys[start : start + 100]
        of = directions(layout, part)
        found = [read_bits(layout, own.expand(len(part), -1), of).sum(1) for own in adapters]
        columns += [
            [claim("", int(hits[k]), key.bits).p_value for hits in found]
            for k, key in enumerate(part)
        ]
    return np.array(columns).T


def false_trigger_claims(
    federation: Federation, adapters: Tensor, sets: Sequence[Triggers], classes: int
) -> Array:
    """Return the p-value of each trigger set on each of (M, P) adapters, (M, sets)."""
    columns = []
    for start in range(0, len(sets), 100):
        part = sets[start : start + 100]
        answers = told(federation, adapters, Examples.concatenate(part))
        ends = np.cumsum([len(own) for own in part])[:-1]
        for own, found in zip(part, np.split(answers, ends, axis=1), strict=True):
            key = answers_of(own)
            claims = [answers_claim("", row, key, classes, own.blocks) for row in found]
            columns.append([made.p_value for made in claims])
    return np.array(columns).T
