"""What updates give away, and what hides it: ``python benchmarks/privacy.py``.

Membership of an over-trained participant by epsilon, images from gradients, words from a
text adapter's gradients, exact sums with drop-outs, and how far averaged factors stray.
`security.py` prints these after its table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

import fedfm_sim as fs
from fedfm_sim.learning.adapters import LoraSettings, adapter_layout, initial_adapter
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.datasets.notes import load_notes_split
from fedfm_sim.learning.product_aggregation import astray
from fedfm_sim.learning.trainer import TrainingSettings, example_gradients, sampling_rate
from fedfm_sim.security.privacy.accounting import calibrated_noise
from fedfm_sim.security.privacy.gradient_inversion import (
    GradientOf,
    adapter_gradient,
    full_gradient,
    invert,
    patches_from_positions,
    psnr,
)
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.membership import (
    LikelihoodRatio,
    membership_auc,
    true_positive_rate,
)
from fedfm_sim.security.privacy.no_free_lunch import bound, membership_beliefs
from fedfm_sim.security.privacy.protection import GaussianMechanism
from fedfm_sim.security.privacy.row_space import recovered_share, tokens_from_a, tokens_from_b
from fedfm_sim.security.privacy.secure_aggregation import secure_sum
from fedfm_sim.simulation.setting import Setting

console = Console(width=140)
#: Participants that are attacked in each seed, and the epochs that over-train them.
ATTACKED, EPOCHS, DELTA = 8, 30, 1e-5


def membership(seeds: list[int]) -> None:
    """Print membership inference on over-trained participants, by epsilon of DP-SGD."""
    table = Table(
        title=f"Membership of {ATTACKED} participants of 40 images after {EPOCHS} epochs, by seed; "
        f"DP-SGD, add or remove one example, delta {DELTA:g}"
    )
    for name in ("epsilon", "noise", "AUC loss", "mean", "AUC LiRA", "mean", "TPR at 5 % FPR"):
        table.add_column(name, justify="right")
    table.add_column("accuracy", justify="right")
    overrides = ["participants.count=20", 'data.domains=["occluded"]']
    settings = [
        Setting.create(fs.load_scenario("honest-only", overrides=overrides), seed) for seed in seeds
    ]
    for target in (None, 8.0, 1.0):
        plain = TrainingSettings(epochs=EPOCHS, batch_size=8, learning_rate=0.003)
        noise = 0.0
        if target is not None:
            steps, rate = EPOCHS * 5, sampling_rate(40, plain)
            noise = calibrated_noise(target, steps, rate, DELTA)
            plain = plain.model_copy(update={"example_clip": 1.0, "example_noise": noise})
        found = [attack_membership(setting, plain) for setting in settings]
        loss, ratio, rates, accuracy = np.array(found).T
        table.add_row(
            "none" if target is None else f"{target:g}",
            f"{noise:.2f}",
            " ".join(f"{x:.3f}" for x in loss),
            f"{loss.mean():.3f}",
            " ".join(f"{x:.3f}" for x in ratio),
            f"{ratio.mean():.3f}",
            " ".join(f"{100 * x:.0f} %" for x in rates),
            f"{100 * accuracy.mean():.0f} %",
        )
    console.print(table)


def attack_membership(setting: Setting, training: TrainingSettings) -> list[float]:
    """Return AUC by loss, AUC by LiRA, TPR at 5 % FPR by loss, and accuracy, means."""
    federation = replace(setting.federation, settings=training)
    shards = setting.holdings.shards[:ATTACKED]
    generators = [setting.streams.generator("attacked", k) for k in range(ATTACKED)]
    rows = federation.train(shards, generators).adapters
    areas, ratios, inside, outside = [], [], [], []
    for k, shard in enumerate(shards):
        seen = Observation(
            federation,
            federation.adapter,
            rows[k],
            shard,
            setting.holdings.others[k],
            setting.holdings.shadow(k),
            setting.streams.generator("membership", k),
        )
        members, others = seen.balanced()
        losses = [
            federation.evaluate(rows[k : k + 1], part).losses[0] for part in (members, others)
        ]
        areas.append(membership_auc(*losses))
        inside.append(losses[0])
        outside.append(losses[1])
        if k % 2 == 0:  # its shadow models take sixteen times the training
            ins, outs = LikelihoodRatio().scores(seen)
            ratios.append(membership_auc(-ins, -outs))
    caught = true_positive_rate(np.concatenate(inside), np.concatenate(outside), 0.05)
    accuracy = float(setting.evaluator.accuracies(rows).mean())
    return [float(np.mean(areas)), float(np.mean(ratios)), caught, accuracy]


def inversion(count: int, out: Path | None) -> None:
    """Print how well single images come back from gradients."""
    backbone, data = load_backbone("digits-vit"), load_digits_split()
    layout = adapter_layout(backbone, LoraSettings(rank=8, alpha=16.0))
    adapter = initial_adapter(backbone, layout, 0)
    whole, lora = full_gradient(backbone), adapter_gradient(backbone, layout, adapter)
    ways: dict[str, tuple[GradientOf, float]] = {
        "full gradient, search": (whole, 0.0),
        "LoRA gradient, search": (lora, 0.0),
        "LoRA, noise multiplier 0.01": (lora, 0.01),
        "LoRA, noise multiplier 0.1": (lora, 0.1),
    }
    table = Table(title=f"PSNR of {count} single images from their gradients, dB")
    for name in ("gradient", "median", "least", "share at 20 dB or more"):
        table.add_column(name, justify="right")
    pictures: list[tuple[str, list[Tensor]]] = [("truth", [])]
    exact: list[tuple[Tensor, float]] = []
    for number in range(count):
        image, label = one(data, number)
        pictures[0][1].append(image[0])
        exact.append(by_algebra(backbone.model, whole, image, label))
    rows = [("full gradient, algebra", exact)]
    for name, (gradient_of, noise) in ways.items():
        rows.append((name, [by_search(gradient_of, noise, data, k) for k in range(count)]))
    for name, results in rows:
        values = np.array([value for _, value in results])
        pictures.append((name, [image for image, _ in results]))
        table.add_row(
            name,
            f"{np.median(values):.1f}",
            f"{values.min():.1f}",
            f"{100 * (values >= 20).mean():.0f} %",
        )
    console.print(table)
    if out is not None:
        draw(pictures, out / "inversion.png")


def one(data: object, number: int) -> tuple[Tensor, Tensor]:
    row = data.private.select([number])  # type: ignore[attr-defined]
    return row.inputs["pixel_values"].double(), row.labels


def by_algebra(
    model: torch.nn.Module, gradient_of: GradientOf, image: Tensor, label: Tensor
) -> tuple[Tensor, float]:
    """Return the image by APRIL, and its PSNR."""
    names = [name for name, _ in model.named_parameters()]
    parts = dict(zip(names, gradient_of(image, label), strict=True))
    positions = next(v for k, v in parts.items() if "position_embeddings" in k)[0, 1:]
    weight = next(v for k, v in parts.items() if "projection.weight" in k).flatten(1)
    patches = patches_from_positions(weight.detach(), positions.detach())
    found = patches.view(4, 4, 2, 2).permute(0, 2, 1, 3).reshape(1, 8, 8)
    return found, psnr(found, image[0])


def by_search(
    gradient_of: GradientOf, noise: float, data: object, number: int
) -> tuple[Tensor, float]:
    """Return the image by DLG from a gradient under noise, and its PSNR."""
    image, label = one(data, number)
    rng = np.random.default_rng(number)
    seen = [part.detach() for part in gradient_of(image, label)]
    length = float(torch.cat([part.flatten() for part in seen]).norm())
    if noise:
        # As DP-SGD adds it to a gradient as long as its bound; epsilon = 1 takes far more.
        seen = [
            s + noise * length * torch.from_numpy(rng.standard_normal(tuple(s.shape))) for s in seen
        ]
    found = invert(gradient_of, seen, label, (1, 8, 8), rng)
    return found, psnr(found, image[0])


def draw(pictures: list[tuple[str, list[Tensor]]], path: Path) -> None:
    """Draw truth and reconstructions, a row for each kind of gradient."""
    figure = Figure(figsize=(1.1 * len(pictures[0][1]) + 2.6, 1.15 * len(pictures)))
    axes = figure.subplots(len(pictures), len(pictures[0][1]), squeeze=False)
    for row, (name, images) in zip(axes, pictures, strict=True):
        for panel, image in zip(row, images, strict=True):
            panel.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            panel.set_xticks([])
            panel.set_yticks([])
        row[0].set_ylabel(name.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(left=0.2, right=0.99, top=0.98, bottom=0.02, wspace=0.05, hspace=0.05)
    figure.savefig(path, dpi=110)


def tokens() -> None:
    """Print which share of a text's words the row-space test tells, by their number."""
    backbone, rank = load_backbone("notes-llama"), 12
    layout = adapter_layout(backbone, LoraSettings(rank=rank, alpha=24.0))
    start = initial_adapter(backbone, layout, 0)
    noise = np.random.default_rng(0).standard_normal(layout.size, dtype=np.float32)
    later = start + 0.05 * torch.from_numpy(noise)
    module = "model.layers.0.self_attn.v_proj"
    with torch.no_grad():
        layers = backbone.model.model
        embeddings = layers.layers[0].input_layernorm(layers.embed_tokens.weight)
    table = Table(title=f"Row-space test on one note, LoRA rank {rank}: P by distinct words T")
    for name in ("T", "notes", "from grad B at the start", "from grad A at the start"):
        table.add_column(name, justify="right")
    table.add_column("from grad A later", justify="right")
    notes, words = load_notes_split().private, len(embeddings)
    told: dict[int, list[list[float]]] = {}
    for k in range(200):
        note = notes.select([k])
        # The last token predicts nothing, so neither it nor padding gets a gradient.
        written = note.inputs["input_ids"][0][note.labels[0] != -100]
        present = np.unique(written[:-1].numpy())
        shares = []
        for adapter in (start, later):
            gradient = example_gradients(backbone, layout, adapter, note)
            grad_a, grad_b = (p[0] for p in layout.pair(layout.views(gradient), module))
            a = layout.pair(layout.views(adapter[None]), module)[0][0]
            shares.append(recovered_share(tokens_from_b(grad_b, a, embeddings), present, words))
            shares.append(recovered_share(tokens_from_a(grad_a, embeddings), present, words))
        told.setdefault(len(present), []).append([shares[0], shares[1], shares[3]])
    for distinct in sorted(told):
        means = np.mean(told[distinct], axis=0)
        table.add_row(str(distinct), str(len(told[distinct])), *(f"{x:.2f}" for x in means))
    console.print(table)


def sums() -> None:
    """Print the error of secure sums with 30 % drop-outs: none."""
    values = np.random.default_rng(0).integers(-(2**50), 2**50, (20, 16_592))
    gone = [0, 3, 5, 8, 13, 17]
    total = secure_sum(values, gone, 11, np.random.default_rng(1))
    wrong = int((total != np.delete(values, gone, axis=0).sum(0)).sum())
    console.print(f"\nSecure sum of 20 updates, 6 dropped out: {wrong} of 16,592 entries wrong")


def stray(seeds: list[int]) -> None:
    """Print how far averaged factors are from the mean of products, round by round."""
    table = Table(title="Averaged factors: distance from the true mean of dW, over its length")
    table.add_column("participants")
    for number in range(1, 6):
        table.add_column(f"round {number}", justify="right")
    for name, domains in (("one domain", '["rotated"]'), ("five domains", None)):
        overrides = ["rounds=5", *([f"data.domains={domains}"] if domains else [])]
        by_round = []
        for seed in seeds:
            setting = Setting.create(fs.load_scenario("honest-only", overrides=overrides), seed)
            federation, away = setting.federation, []
            weights = setting.capacity / setting.capacity.sum()
            for number in range(5):
                draws = [setting.streams.generator("train", number, k) for k in range(10)]
                rows = federation.train(setting.holdings.shards, draws).adapters
                away.append(astray(federation.layout, rows, federation.adapter, weights))
                federation.advance(torch.from_numpy(weights).float() @ rows)
            by_round.append(away)
        table.add_row(name, *(f"{100 * x:.1f} %" for x in np.mean(by_round, axis=0)))
    console.print(table)


def free_lunch(seeds: list[int]) -> None:
    """Print both sides of the no-free-lunch bound for updates under Gaussian noise."""
    table = Table(title="No free lunch: C1 <= leakage + distortion (beliefs of membership)")
    for name in ("noise", "C1", "leakage", "distortion", "slack", "accuracy lost", "per leakage"):
        table.add_column(name, justify="right")
    for noise in (0.02, 0.05):
        found = [measured_bound(seed, noise) for seed in seeds]
        means = np.mean([list(row) for row in found], axis=0)
        lost, avoided = means[3], means[0] - means[1]
        table.add_row(
            f"{noise:g}",
            *(f"{x:.3f}" for x in means[:3]),
            f"{means[1] + means[2] - means[0]:.3f}",
            f"{100 * lost:.1f} points",
            f"{lost / avoided:.2f}" if avoided > 0 else "-",
        )
    console.print(table)


def measured_bound(seed: int, noise: float) -> tuple[float, float, float, float]:
    """Return C1, leakage, distortion and accuracy lost of the mean of two noisy updates."""
    overrides = ["participants.count=20", 'data.domains=["occluded"]']
    setting = Setting.create(fs.load_scenario("honest-only", overrides=overrides), seed)
    training = TrainingSettings(epochs=EPOCHS, batch_size=8, learning_rate=0.003)
    federation = replace(setting.federation, settings=training)
    generators = [setting.streams.generator("attacked", k) for k in range(2)]
    rows = federation.train(setting.holdings.shards[:2], generators).adapters
    mechanism = GaussianMechanism(clip=5.0, noise_multiplier=noise)
    draws = setting.streams.generator("noise")

    def protect(row: Tensor) -> Tensor:
        return mechanism.protect(row, federation.adapter, draws)

    sent = torch.stack([protect(row) for row in rows])
    beliefs = [
        [
            membership_beliefs(
                Observation(
                    federation,
                    federation.adapter,
                    row,
                    setting.holdings.shards[k],
                    setting.holdings.others[k],
                    setting.holdings.shadow(k),
                    setting.streams.generator("beliefs", k),
                ),
                protect=how,
            )
            for k, row in enumerate(some)
        ]
        for some, how in ((rows, None), (sent, protect))
    ]
    plain, noisy = setting.evaluator.accuracies(torch.stack([rows.mean(0), sent.mean(0)]))
    result = bound(*beliefs, utility_loss=float(plain - noisy))
    return result.unprotected, result.leakage, result.distortion, result.utility_loss


def report(seeds: list[int], images: int, out: Path | None) -> None:
    """Print everything."""
    parts: list[Callable[[], None]] = [
        lambda: stray(seeds),
        lambda: membership(seeds),
        lambda: inversion(images, out),
        lambda: free_lunch(seeds),
        tokens,
        sums,
    ]
    for part in parts:
        part()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--out", type=Path, help="folder for inversion.png")
    arguments = parser.parse_args()
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    report(arguments.seeds, arguments.images, arguments.out)


if __name__ == "__main__":
    main()
