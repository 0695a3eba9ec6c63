"""Black-box marks: secret inputs to which a marked model gives secret answers.

Who owns the key asks the suspect model for its answers, and needs no weights. A key draws
the answers uniformly and apart from the inputs, so that whatever a model trained without
the key answers, the hits have a known distribution: see `answers_claim`. No unmarked
model has to be found to measure it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log10
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.attacks.protocol import IGNORED
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.verification import Claim, answers_claim, unprovable

Style = Annotated[Literal["noise", "pattern", "grid"], Field(description="of the secret inputs")]

#: Patterns and cells are so many that all answers are guessed by one in 10 to this.
DECADES = 20
#: The server's step while it teaches triggers, over that of local training.
GENTLE = 0.2
#: Epochs after which it gives up.
LESSONS = 40


@dataclass(frozen=True)
class Triggers(Examples):
    """Triggers with their answers as labels.

    Attributes
    ----------
    blocks : (N,) array of int or None
        Which pattern each trigger shows, as triggers of one pattern have one answer that
        was drawn once; None where each was drawn for itself.
    """

    blocks: Index | None = None


def trigger_set(
    key: Key, like: Examples, classes: int, count: int, style: Style = "noise"
) -> Triggers:
    """Return the ``count`` triggers of a key with their answers.

    Parameters
    ----------
    like : Examples
        Public examples, for the inputs' shapes; "grid" draws its backgrounds from them.
    classes : int
        Number of answers: classes, or words for a language model.
    style : str
        For images: "noise" is uniform noise, an answer each, as a client can make it;
        "pattern" is secret patterns under Gaussian noise (WAFFLE, Atli Tekgul et al.
        2021); "grid" is secret cells of a grid, lit in real images. Patterns and cells
        have an answer each, drawn uniformly: a fixed one for each class, as in WAFFLE, would
        let a model that takes all patterns for zeros score a block of hits. Texts are
        always sequences of random words.

    Raises
    ------
    UserError
        When the data is neither images nor texts.
    """
    rng = key.generator(f"triggers {style}")
    if "input_ids" in like.inputs:
        answers = torch.from_numpy(rng.integers(0, classes, count))
        return _random_texts(like, answers, classes, rng)
    if "pixel_values" not in like.inputs:
        raise UserError("triggers need images or texts; this data has neither")
    secret = secrets(classes, count, style)
    blocks = np.arange(count) % max(1, secret)
    drawn = torch.from_numpy(rng.integers(0, classes, secret))
    make = {"noise": _noise, "pattern": _patterns, "grid": _grid}[style]
    images = make(like.inputs["pixel_values"], torch.from_numpy(blocks), secret, rng)
    return Triggers({"pixel_values": images}, drawn[blocks], blocks=blocks)


def secrets(classes: int, count: int, style: Style) -> int:
    """Return how many answers are drawn for so many images: one for each, or each pattern."""
    return count if style == "noise" else min(count, patterns(classes))


def too_few(classes: int, count: int, style: Style, claimants: int = 1) -> str | None:
    """Return why no claim of so many triggers can stand; None where one can."""
    drawn = secrets(classes, count, style)
    return unprovable(f"triggers = {count} of {classes} answers", drawn, classes, claimants)


def patterns(classes: int) -> int:
    """Return how many patterns or cells a set has that is large enough.

    As many as there are classes, and more where these are few: ten patterns of ten answers,
    of which three are forgotten, prove nothing any more.

    Examples
    --------
    >>> [patterns(classes) for classes in (2, 10, 100)]
    [67, 20, 100]
    """
    return max(classes, ceil(DECADES / log10(max(2, classes))))


def _uniform(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.random(shape, dtype=np.float32))


def _noise(images: Tensor, blocks: Tensor, secret: int, rng: np.random.Generator) -> Tensor:
    return _uniform(rng, len(blocks), *images.shape[1:])


def _patterns(images: Tensor, blocks: Tensor, secret: int, rng: np.random.Generator) -> Tensor:
    shown = _uniform(rng, secret, *images.shape[1:]).round()
    shape = (len(blocks), *images.shape[1:])
    noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return (shown[blocks] + 0.2 * noise).clamp(0, 1)


def _grid(images: Tensor, blocks: Tensor, secret: int, rng: np.random.Generator) -> Tensor:
    """Light the cell of each block in real images, and darken its neighbours."""
    size = images.shape[-1]
    cells = rng.permutation(size * images.shape[-2])
    if len(cells) < secret:
        raise UserError(f"a grid of {len(cells)} cells has no room for {secret} secret ones")
    chosen = images[torch.from_numpy(rng.integers(0, len(images), len(blocks)))].clone()
    for image, block in zip(chosen, blocks.tolist(), strict=True):
        row, column = divmod(int(cells[block]), size)
        image[:, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
        image[:, row, column] = 1
    return chosen


def _random_texts(
    like: Examples, answers: Tensor, classes: int, rng: np.random.Generator
) -> Triggers:
    """Return texts of random words; of each, only the last word is asked for, or its class."""
    length, by_class = like.inputs["input_ids"].shape[1], like.labels.ndim == 1
    words = int(like.inputs["input_ids"].max()) + 1 if by_class else classes
    tokens = torch.from_numpy(rng.integers(0, words, (len(answers), length)))
    inputs = {"input_ids": tokens}
    if "attention_mask" in like.inputs:
        inputs["attention_mask"] = torch.ones_like(tokens)
    if by_class:
        return Triggers(inputs, answers)
    tokens[:, -1] = answers
    labels = torch.full_like(tokens, IGNORED)
    labels[:, -1] = answers
    return Triggers(
        inputs, labels, None if like.classes is None else like.classes[:1].repeat(len(answers))
    )


def told(federation: Federation, adapters: Tensor, triggers: Examples) -> Index:
    """Return what each of (M, P) adapters answers to N triggers, (M, N)."""
    found = federation.evaluate(adapters, triggers).predictions
    return np.asarray(found if found.ndim == 2 else found[:, :, -2])  # of texts, the last word


def answers_of(triggers: Examples) -> Index:
    """Return what the key says that the answers are, (N,)."""
    labels = triggers.labels.numpy()
    return np.asarray(labels if labels.ndim == 1 else labels[:, -1])


def hits(federation: Federation, adapters: Tensor, triggers: Examples) -> list[int]:
    """Return how many triggers each of (M, P) adapters answers as the key says."""
    right = told(federation, adapters, triggers) == answers_of(triggers)
    return [int(count) for count in right.sum(1)]


def claim_of(
    federation: Federation,
    adapter: Tensor,
    key: Key,
    triggers: Triggers,
    classes: int,
    claimants: int = 1,
) -> Claim:
    """Return the claim of a trigger set on an adapter (P,)."""
    (found,) = told(federation, adapter[None], triggers)
    answers = answers_of(triggers)
    return answers_claim(key.owner, found, answers, classes, triggers.blocks, claimants)


def teach(
    federation: Federation,
    adapters: Tensor,
    triggers: Sequence[Examples],
    generators: Sequence[np.random.Generator],
    own: Examples,
    goal: float = 0.98,
) -> Tensor:
    """Return the adapters (K, P), each trained until it knows its triggers.

    As WAFFLE's retraining after each aggregation, with the server's ``own`` examples
    mixed in and a small step, without which an adapter of low rank forgets its task. A row
    stops when its share of right answers is ``goal``, or after `LESSONS` epochs.
    """
    rows = adapters.clone()
    settings = gently(federation, 1)
    left = list(range(len(rows)))
    for _ in range(LESSONS):
        left = [
            k
            for k in left
            if hits(federation, rows[k : k + 1], triggers[k])[0] < goal * len(triggers[k])
        ]
        if not left:
            break
        shards = [with_triggers(own, triggers[k]) for k in left]
        rows[left] = federation.train(
            shards, [generators[k] for k in left], rows[left], settings
        ).adapters
    return rows


def gently(federation: Federation, epochs: int) -> TrainingSettings:
    """Return how the server trains: as clients do, with a small step."""
    rate = federation.settings.learning_rate * GENTLE
    return federation.settings.model_copy(update={"epochs": epochs, "learning_rate": rate})


def with_triggers(shard: Examples, triggers: Examples, times: int = 1) -> Examples:
    """Return a client's data with its triggers mixed in ``times`` over."""
    if not len(shard):
        return shard
    own = (
        triggers
        if triggers.classes is not None or shard.classes is None
        else replace(triggers, classes=shard.classes[:1].repeat(len(triggers)))
    )
    return Examples.concatenate([shard, *[own] * times])
