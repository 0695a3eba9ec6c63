"""Pre-train `digits-vit`, the small vision transformer that ships with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

from fedfm_sim.core.progress import Progress
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.pretraining import PretrainingSettings, fit, save_checkpoint, seeded


class DigitsSettings(PretrainingSettings):
    """Pre-training of `digits-vit`."""

    epochs: PositiveInt = 300
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 0.05
    label_smoothing: NonNegativeFloat = 0.05


def pretrain_digits_vit(
    folder: Path, seed: int, progress: Progress, settings: DigitsSettings | None = None
) -> dict[str, object]:
    """Pre-train a small vision transformer on the public digits and save it.

    Returns its provenance, which is also written to ``provenance.json``.
    """
    settings = settings or DigitsSettings()
    smoothing = settings.label_smoothing
    data, streams = load_digits_split(), Streams(seed, "pretrain-digits-vit")
    with seeded(streams.integer("weights")):
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
    rng = streams.generator("batches")

    def loss(batch: Examples) -> Tensor:
        logits = model(pixel_values=augment(batch.inputs["pixel_values"], rng)).logits
        return functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing)

    fit(model, data.public, loss, settings, rng, progress)
    measures = {
        "public_accuracy": _accuracy(model, data.public),
        "unseen_accuracy": _accuracy(model, data.test),
    }
    text = f"scikit-learn digits, public part, {len(data.public)} images"
    return save_checkpoint(folder, model, "digits-vit", seed, text, settings, measures)


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
