"""Pre-train the backbones that ship with the package, on public data only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.progress import Progress
from fedfm_sim.core.random import Streams
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.backbone import BACKBONES
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.examples import Examples


class PretrainingSettings(Settings):
    """Pre-training of `digits-vit`."""

    epochs: int = Field(default=300, ge=1)
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05


def pretrain_digits_vit(
    folder: Path, seed: int, progress: Progress, settings: PretrainingSettings | None = None
) -> dict[str, object]:
    """Pre-train a small vision transformer on the public digits and save it.

    Returns its provenance, which is also written to ``provenance.json``.
    """
    settings = settings or PretrainingSettings()
    data, streams = load_digits_split(), Streams(seed, "pretrain-digits-vit")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.integer("weights"))
        model = ViTForImageClassification(
            ViTConfig(
                hidden_size=48,
                num_hidden_layers=3,
                num_attention_heads=4,
                intermediate_size=96,
                image_size=8,
                patch_size=2,
                num_channels=1,
                num_labels=data.classes,
            )
        )
    _fit(model, data.public, settings, streams, progress)
    model.eval()
    provenance: dict[str, object] = {
        "command": f"fedfm-sim pretrain digits-vit --seed {seed}",
        "seed": seed,
        "data": f"scikit-learn digits, public part, {len(data.public)} images",
        "settings": settings.model_dump(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "public_accuracy": round(_accuracy(model, data.public), 4),
        "unseen_accuracy": round(_accuracy(model, data.test), 4),
        "torch": torch.__version__,
    }
    model.save_pretrained(folder)
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    return provenance


#: Backbones that can be pre-trained: each entry writes a checkpoint and returns its provenance.
PRETRAINING: Registry[Callable[[Path, int, Progress], dict[str, object]]] = Registry(
    "backbone",
    "fedfm_sim.pretraining",
    {
        "digits-vit": "fedfm_sim.learning.pretraining:pretrain_digits_vit",
        "notes-llama": "fedfm_sim.learning.pretraining_notes:pretrain_notes_llama",
    },
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


def _fit(
    model: torch.nn.Module,
    examples: Examples,
    settings: PretrainingSettings,
    streams: Streams,
    progress: Progress,
) -> None:
    rng = streams.generator("batches")
    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps
    )
    model.train()
    for epoch in range(settings.epochs):
        order = rng.permutation(len(examples))
        for start in range(0, len(order), settings.batch_size):
            batch = examples.select(order[start : start + settings.batch_size])
            images = augment(batch.inputs["pixel_values"], rng)
            loss = functional.cross_entropy(
                model(pixel_values=images).logits,
                batch.labels,
                label_smoothing=settings.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        progress(epoch + 1, settings.epochs)


def augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return images under small random turns, shears, scalings, shifts and contrast."""
    count = len(images)
    angle = rng.uniform(-0.35, 0.35, count)
    shear, scale = rng.uniform(-0.2, 0.2, count), rng.uniform(0.85, 1.15, count)
    shift, contrast = rng.uniform(-0.2, 0.2, (2, count)), rng.uniform(0.85, 1.15, count)
    rows = [
        [scale * np.cos(angle), shear - np.sin(angle), shift[0]],
        [np.sin(angle), scale * np.cos(angle), shift[1]],
    ]
    theta = torch.from_numpy(np.array(rows, dtype=np.float32)).permute(2, 0, 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    noise = rng.standard_normal(tuple(images.shape), dtype=np.float32) * np.float32(0.03)
    return moved * torch.from_numpy(contrast.astype(np.float32))[
        :, None, None, None
    ] + torch.from_numpy(noise)


def _accuracy(model: torch.nn.Module, examples: Examples) -> float:
    with torch.no_grad():
        predictions = model(**examples.inputs).logits.argmax(-1)
    return float((predictions == examples.labels).float().mean())
