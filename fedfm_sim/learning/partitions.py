"""Who holds which private examples, and in what ways their shards differ.

Index partitions (`iid`, `dirichlet`, `quantity`) divide examples without
overlap and never leave a participant empty. Shard changes (domains, label
noise, duplicates, concept shift) then make the shards unlike each other, and
the temporal ones make them change from round to round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.chosen import in_full
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.datasets import DATASETS, usual_domains
from fedfm_sim.learning.datasets.notes import SLOTS, canary, plant
from fedfm_sim.learning.domains import DOMAINS, domain
from fedfm_sim.learning.examples import Examples

Parts = list[Index]


class DataSettings(Settings):
    """The data set, its partition and the ways in which shards differ."""

    name: str = Field(default="digits", description="of the data set")
    partition: Literal["iid", "dirichlet", "quantity"] = Field(
        default="iid", description="alike; classes skewed by alpha; sizes skewed by alpha"
    )
    alpha: float = Field(default=0.5, gt=0, description="Dirichlet concentration; small is skewed")
    domains: tuple[str, ...] = Field(
        default_factory=lambda given: usual_domains(given.get("name", "")),
        min_length=1,
        description="participant k holds domain k modulo their number; 'original' is public; "
        "by default digits are distorted and other data left as they are",
    )
    label_noise: float | tuple[float, ...] = Field(
        default=0.0, description="share of wrong labels; several go round the participants"
    )
    duplicates: float = Field(
        default=0.0, ge=0, le=1, description="share of each shard that repeats its other examples"
    )
    concept_shift: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of participants who read each label as the next class",
    )
    arrival: Literal["at-once", "gradual"] = Field(
        default="at-once", description="all data from the first round on, or more each round"
    )
    drift: bool = Field(default=False, description="images move to the own domain over the rounds")
    secrets: int = Field(default=0, ge=0, description="notes that tell the participant's code")

    @field_validator("name")
    @classmethod
    def _registered(cls, name: str) -> str:
        return DATASETS.check(name)

    @field_validator("domains")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            domain(name)
        return names

    @field_validator("label_noise")
    @classmethod
    def _shares(cls, noise: float | tuple[float, ...]) -> float | tuple[float, ...]:
        shares = noise if isinstance(noise, tuple) else (noise,)
        if not shares or not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"expected shares in [0, 1], got {noise}")
        return noise

    @model_serializer(mode="wrap")
    def _as_said(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Leave out domains that follow from the name, unless all is to be written."""
        content: dict[str, Any] = handler(self)
        if not in_full(info) and self.domains == usual_domains(self.name):
            del content["domains"]
        return content

    def noise_of(self, participant: int) -> float:
        """Return the share of wrong labels in a participant's shard."""
        noise = self.label_noise
        return noise[participant % len(noise)] if isinstance(noise, tuple) else noise


def iid(labels: Index, participants: int, rng: np.random.Generator) -> Parts:
    """Divide at random into parts whose sizes differ by at most one."""
    return [np.sort(p) for p in np.array_split(rng.permutation(len(labels)), participants)]


def dirichlet(labels: Index, participants: int, alpha: float, rng: np.random.Generator) -> Parts:
    """Divide each class by Dirichlet(alpha) proportions: label skew (Hsu et al. 2019).

    A participant left empty is given one example of the largest part, so that
    the draw is made once and ends for any ``alpha``.
    """
    owner = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        index = rng.permutation(np.flatnonzero(labels == label))
        weights = rng.dirichlet(np.full(participants, alpha))
        # A tiny alpha underflows to all-zero weights: one participant takes the class.
        if not np.isfinite(weights).all() or weights.sum() == 0:
            weights = np.eye(participants)[rng.integers(participants)]
        cuts = (np.cumsum(weights)[:-1] * len(index)).round().astype(np.int64)
        for participant, part in enumerate(np.split(index, cuts)):
            owner[part] = participant
    return _fill_empty([np.flatnonzero(owner == k) for k in range(participants)])


def quantity(labels: Index, participants: int, alpha: float, rng: np.random.Generator) -> Parts:
    """Divide at random into parts of Dirichlet(alpha) sizes: quantity skew."""
    weights = rng.dirichlet(np.full(participants, alpha))
    if not np.isfinite(weights).all() or weights.sum() == 0:
        weights = np.eye(participants)[rng.integers(participants)]
    cuts = (np.cumsum(weights)[:-1] * len(labels)).round().astype(np.int64)
    parts = np.split(rng.permutation(len(labels)), cuts)
    return _fill_empty([np.sort(part) for part in parts])


def _fill_empty(parts: Parts) -> Parts:
    for k, part in enumerate(parts):
        if not len(part):
            largest = max(range(len(parts)), key=lambda j: len(parts[j]))
            parts[k], parts[largest] = parts[largest][:1], parts[largest][1:]
    return parts


def partition(
    labels: Index, participants: int, settings: DataSettings, rng: np.random.Generator
) -> Parts:
    """Return each participant's example indices under the settings' scheme.

    Raises
    ------
    UserError
        When there are more participants than examples.
    """
    if participants > len(labels):
        raise UserError(
            f"participants: {participants} can't share {len(labels)} private examples; "
            f"expected at most {len(labels)}"
        )
    schemes: dict[str, Callable[[], Parts]] = {
        "iid": lambda: iid(labels, participants, rng),
        "dirichlet": lambda: dirichlet(labels, participants, settings.alpha, rng),
        "quantity": lambda: quantity(labels, participants, settings.alpha, rng),
    }
    return schemes[settings.partition]()


def private_shards(
    private: Examples, participants: int, classes: int, settings: DataSettings, streams: Streams
) -> list[Examples]:
    """Return the participants' shards, in the order in which they use them.

    A share s of a participant's data is always the first s of its shard, so
    the shards are shuffled here, once.
    """
    rng = streams.generator("partition")
    shards = []
    parts = partition(private.groups.numpy(), participants, settings, rng)
    for k, part in enumerate(parts):
        draw = streams.generator("shard", k)
        shard = private.select(draw.permutation(part))
        shard = in_domain(shard, settings.domains[k % len(settings.domains)], draw)
        shard = duplicate(shard, settings.duplicates)
        shard = labelled_by(shard, k, participants, classes, settings, draw)
        if settings.secrets:
            names = SLOTS["name"]
            code = f"{streams.generator('secret', k).integers(10_000):04d}"
            shard = plant(shard, canary(names[k % len(names)], code), settings.secrets)
            shard = shard.select(draw.permutation(len(shard)))
        shards.append(shard)
    return shards


def labelled_by(
    shard: Examples,
    participant: int,
    participants: int,
    classes: int,
    settings: DataSettings,
    rng: np.random.Generator,
) -> Examples:
    """Return examples as one of so many participants labels them: with its noise and its shift."""
    shard = noisy_labels(shard, settings.noise_of(participant), classes, rng)
    shifted = round(settings.concept_shift * participants)
    return concept_shift(shard, classes) if participant >= participants - shifted else shard


def in_domain(shard: Examples, name: str, rng: np.random.Generator) -> Examples:
    """Return image examples as the domain ``name`` shows them (feature skew)."""
    if name == "original":
        return shard
    if "pixel_values" not in shard.inputs:
        raise UserError(f"data.domains: '{name}' is a domain of images; expected 'original'")
    images = DOMAINS[name](shard.inputs["pixel_values"], rng)
    return Examples({**shard.inputs, "pixel_values": images}, shard.labels)


def across_domains(examples: Examples, names: Sequence[str], rng: np.random.Generator) -> Examples:
    """Return examples spread evenly over domains: example i is in domain i modulo their number."""
    parts = [
        in_domain(examples.select(np.arange(first, len(examples), len(names))), name, rng)
        for first, name in enumerate(names)
    ]
    return Examples.concatenate(parts)


def noisy_labels(shard: Examples, share: float, classes: int, rng: np.random.Generator) -> Examples:
    """Return the shard with ``share`` of its labels moved to another class at random."""
    if shard.labels.ndim == 2:
        return _noisy_tokens(shard, share, rng)
    index = rng.permutation(len(shard))[: round(share * len(shard))]
    labels = shard.labels.clone()
    moved = (labels[index].numpy() + rng.integers(1, classes, len(index))) % classes
    labels[index] = torch.from_numpy(moved)
    return Examples(shard.inputs, labels)


#: Draws of another word; a shard of one word alone would never find it.
REDRAWS = 30


def _noisy_tokens(shard: Examples, share: float, rng: np.random.Generator) -> Examples:
    """Return texts with ``share`` of their words replaced by words of the shard, at random."""
    tokens = shard.inputs["input_ids"].clone()
    written = torch.nonzero(shard.labels != -100)
    written = written[written[:, 1] > 0]  # the beginning stays
    moved = written[torch.from_numpy(rng.permutation(len(written))[: round(share * len(written))])]
    words = tokens[written[:, 0], written[:, 1]]
    before = tokens[moved[:, 0], moved[:, 1]]
    drawn = before.clone()
    for _ in range(REDRAWS):  # until no word is replaced by itself
        same = torch.nonzero(drawn == before)[:, 0]
        drawn[same] = words[torch.from_numpy(rng.integers(0, len(words), len(same)))]
    tokens[moved[:, 0], moved[:, 1]] = drawn
    labels = torch.where(shard.labels == -100, shard.labels, tokens)
    return replace(shard, inputs={**shard.inputs, "input_ids": tokens}, labels=labels)


def duplicate(shard: Examples, share: float) -> Examples:
    """Return the shard with its last ``share`` replaced by copies of its first examples."""
    copies = round(share * len(shard))
    kept = max(1, len(shard) - copies)
    return shard.select(np.arange(len(shard)) % kept)


def concept_shift(shard: Examples, classes: int) -> Examples:
    """Return the shard with every label read as the next class: ``P(y|x)`` differs."""
    if shard.labels.ndim == 2:
        raise UserError("data.concept_shift: texts have no class to shift; expected 0")
    return Examples(shard.inputs, (shard.labels + 1) % classes)


def at_round(
    shard: Examples, plain: Examples, settings: DataSettings, number: int, rounds: int
) -> Examples:
    """Return what a participant holds in round ``number`` of ``rounds`` (from 0).

    Temporal skew: with gradual arrival, a share (number + 1) / rounds is there.
    Concept drift: ``P(x|y)`` moves from ``plain`` to the shard's own domain.
    """
    progress = (number + 1) / rounds
    if settings.drift and "pixel_values" not in shard.inputs:
        raise UserError("data.drift: only images can drift; expected false")
    if settings.drift:
        mixed = {
            name: torch.lerp(plain.inputs[name], own, progress)
            for name, own in shard.inputs.items()
        }
        shard = Examples(mixed, shard.labels)
    if settings.arrival == "gradual":
        shard = shard.select(slice(0, max(1, round(progress * len(shard)))))
    return shard
