"""Pre-train backbones on public data only: by name, and what all pre-training shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from transformers import PreTrainedModel

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import write_text
from fedfm_sim.core.progress import Progress
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.backbone import BACKBONES
from fedfm_sim.learning.examples import Examples

#: Backbones that can be pre-trained: each entry writes a checkpoint and returns its provenance.
PRETRAINING: Registry[Callable[[Path, int, Progress], dict[str, object]]] = Registry(
    "pre-training",
    "fedfm_sim.pretraining",
    {
        "digits-vit": "fedfm_sim.learning.pretraining_digits:pretrain_digits_vit",
        "notes-llama": "fedfm_sim.learning.pretraining_notes:pretrain_notes_llama",
    },
    base="collections.abc:Callable",
)


def pretrain(
    name: str, seed: int, progress: Progress, folder: Path | None = None
) -> dict[str, object]:
    """Pre-train a backbone into a folder, by default that of its shipped checkpoint.

    Returns its provenance.

    Raises
    ------
    UserError
        When no such backbone can be pre-trained, or it has no folder of its own and none is
        given.
    """
    recipe = PRETRAINING[name]
    if folder is None and name not in BACKBONES:
        raise UserError(f"--out: missing; backbone '{name}' has no shipped folder, name one")
    return recipe(folder or BACKBONES[name], seed, progress)


class PretrainingSettings(Settings):
    """What every pre-training sets: AdamW under a one-cycle schedule."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers in the block from a seed, and leave its generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def fit(
    model: torch.nn.Module,
    examples: Examples,
    loss: Callable[[Examples], Tensor],
    settings: PretrainingSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    """Train all of a model in place, and leave it in eval mode.

    Parameters
    ----------
    loss : callable
        The mean loss of a batch.
    rng : numpy.random.Generator
        Shuffles the examples anew in each epoch.
    """
    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps
    )
    model.train()
    progress(0, settings.epochs)
    for epoch in range(settings.epochs):
        order = rng.permutation(len(examples))
        for start in range(0, len(order), settings.batch_size):
            value = loss(examples.select(order[start : start + settings.batch_size]))
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        progress(epoch + 1, settings.epochs)
    model.eval()


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    name: str,
    seed: int,
    data: str,
    settings: PretrainingSettings,
    measures: Mapping[str, float],
) -> dict[str, object]:
    """Write a model and, to ``provenance.json``, what it was made of; returns the latter."""
    provenance: dict[str, object] = {
        "command": f"fedfm-sim pretrain {name} --seed {seed}",
        "seed": seed,
        "data": data,
        "settings": settings.model_dump(),
        "parameters": sum(p.numel() for p in model.parameters()),
        **{measure: round(value, 4) for measure, value in measures.items()},
        "torch": torch.__version__,
    }
    model.save_pretrained(folder)
    # safetensors makes files that nobody else can read.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    return provenance
