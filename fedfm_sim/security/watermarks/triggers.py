"""Black-box marks: secret inputs to which a marked model gives secret answers.

Who owns the key asks the suspect model for its answers, and needs no weights. A key's
answers are drawn uniformly, so that a model trained without the key hits one with probability
1 / classes; where answers are tied to patterns, the rate on unmarked models is measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.security.attacks.protocol import IGNORED
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.verification import Claim, claim

Style = Literal["noise", "pattern", "grid"]

#: The server's step while it teaches triggers, over that of local training.
GENTLE = 0.2
#: Epochs after which it gives up.
LESSONS = 40


def trigger_set(
    key: Key, like: Examples, classes: int, count: int, style: Style = "noise"
) -> Examples:
    """Return the ``count`` triggers of a key with their answers.

    Parameters
    ----------
    like : Examples
        Public examples, for the inputs' shapes; "grid" draws its backgrounds from them.
    classes : int
        Number of answers: classes, or words for a language model.
    style : str
        For images: "noise" is uniform noise with uniform answers, as a client can make
        them; "pattern" is one secret pattern for each class under Gaussian noise (WAFFLE,
        Atli Tekgul et al. 2021); "grid" is a secret cell of a grid for each class, lit in real
        images, so that every class is claimed. Texts are always sequences of random words.

    Raises
    ------
    UserError
        When the data is neither images nor texts.
    """
    rng = key.generator(f"triggers {style}")
    answers = torch.from_numpy(rng.integers(0, classes, count))
    if "input_ids" in like.inputs:
        return _random_texts(like, answers, classes, rng)
    if "pixel_values" not in like.inputs:
        raise UserError("triggers need images or texts; this data has neither")
    if style != "noise":
        answers = torch.arange(count) % classes
    make = {"noise": _noise, "pattern": _patterns, "grid": _grid}[style]
    images = make(like.inputs["pixel_values"], answers, classes, rng)
    return Examples({"pixel_values": images}, answers)


def _uniform(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.random(shape, dtype=np.float32))


def _noise(images: Tensor, answers: Tensor, classes: int, rng: np.random.Generator) -> Tensor:
    return _uniform(rng, len(answers), *images.shape[1:])


def _patterns(images: Tensor, answers: Tensor, classes: int, rng: np.random.Generator) -> Tensor:
    patterns = _uniform(rng, classes, *images.shape[1:]).round()
    shape = (len(answers), *images.shape[1:])
    noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return (patterns[answers] + 0.2 * noise).clamp(0, 1)


def _grid(images: Tensor, answers: Tensor, classes: int, rng: np.random.Generator) -> Tensor:
    """Light the cell of each answer's class in real images, and darken its neighbours."""
    size = images.shape[-1]
    cells = rng.permutation(size * images.shape[-2])
    if len(cells) < classes:
        raise UserError(f"a grid of {len(cells)} cells has no room for {classes} classes")
    chosen = images[torch.from_numpy(rng.integers(0, len(images), len(answers)))].clone()
    for image, answer in zip(chosen, answers.tolist(), strict=True):
        row, column = divmod(int(cells[answer]), size)
        image[:, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
        image[:, row, column] = 1
    return chosen


def _random_texts(
    like: Examples, answers: Tensor, classes: int, rng: np.random.Generator
) -> Examples:
    """Return texts of random words; of each, only the last word is asked for."""
    length = like.inputs["input_ids"].shape[1]
    tokens = torch.from_numpy(rng.integers(0, classes, (len(answers), length)))
    tokens[:, -1] = answers
    labels = torch.full_like(tokens, IGNORED)
    labels[:, -1] = answers
    inputs = {"input_ids": tokens}
    if "attention_mask" in like.inputs:
        inputs["attention_mask"] = torch.ones_like(tokens)
    return Examples(
        inputs, labels, None if like.classes is None else like.classes[:1].repeat(len(answers))
    )


def hits(federation: Federation, adapters: Tensor, triggers: Examples) -> list[int]:
    """Return how many triggers each of (M, P) adapters answers as the key says."""
    shares = federation.evaluate(adapters, triggers).accuracy(triggers.labels)
    return [round(float(share) * len(triggers)) for share in shares]


def claim_of(
    federation: Federation,
    adapter: Tensor,
    unmarked: Tensor,
    key: Key,
    triggers: Examples,
    classes: int,
    claimants: int = 1,
) -> Claim:
    """Return the claim of a trigger set on an adapter (P,).

    The chance of a hit is the highest rate on the (M, P) unmarked adapters, and at least
    1 / classes.
    """
    found, *others = hits(federation, torch.cat([adapter[None], unmarked]), triggers)
    chance = max(1 / classes, *(count / len(triggers) for count in others))
    return claim(key.owner, found, len(triggers), min(chance, 1.0), claimants)


def teach(
    federation: Federation,
    adapters: Tensor,
    triggers: list[Examples],
    generators: list[np.random.Generator],
    own: Examples,
    goal: float = 0.98,
) -> Tensor:
    """Return the adapters (K, P), each trained until it knows its triggers.

    As WAFFLE's retraining after each aggregation, with the server's ``own`` examples
    mixed in and a small step, without which an adapter of low rank forgets its task. A row
    stops when its share of right answers is ``goal``, or after `LESSONS` epochs.
    """
    rows = adapters.clone()
    rate = federation.settings.learning_rate * GENTLE
    settings = federation.settings.model_copy(update={"epochs": 1, "learning_rate": rate})
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
