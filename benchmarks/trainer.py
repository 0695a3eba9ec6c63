"""Time the batched trainer against the loop over plain peft.

Run it on an idle machine, from the repository's root::

    python benchmarks/trainer.py

Both train the same participants on digits-vit with the default settings. They
take turns within one process; each figure is the median of the turns, and the
ratio is the median of the turns' own ratios. A first turn is not counted. Both
use one thread unless told otherwise: a second one gains a model this small
little, and on a machine that is not idle it makes both several times slower.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from fedfm_sim.core.random import Streams
from fedfm_sim.learning import reference, trainer
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.partitions import DataSettings, private_shards
from fedfm_sim.learning.trainer import Trained, TrainingSettings


def measure(federation: Federation, participants: int, turns: int) -> tuple[float, ...]:
    """Return seconds batched, seconds of the loop, their ratio and the largest difference."""
    data, streams = load_digits_split(), Streams(0, "benchmark")
    shards = private_shards(data.private, participants, data.classes, DataSettings(), streams)
    starts = federation.adapter.repeat(participants, 1)

    def timed(train: Callable[..., Trained]) -> tuple[float, Trained]:
        generators = [streams.generator("batches", k) for k in range(participants)]
        start = time.perf_counter()
        trained = train(
            federation.backbone,
            federation.layout,
            starts,
            shards,
            federation.settings,
            generators,
        )
        return time.perf_counter() - start, trained

    batched, loop = [], []
    for _ in range(turns + 1):
        seconds, fast = timed(trainer.train)
        batched.append(seconds)
        seconds, slow = timed(reference.train)
        loop.append(seconds)
    ratios = [b / a for a, b in zip(batched[1:], loop[1:], strict=True)]
    difference = float((fast.adapters - slow.adapters).abs().max())
    return (*map(statistics.median, (batched[1:], loop[1:], ratios)), difference)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the batched trainer against plain peft.")
    parser.add_argument("--participants", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backbone = load_backbone("digits-vit")
    federation = Federation.create(
        backbone, LoraSettings(rank=4, alpha=8.0), TrainingSettings(), seed=0
    )
    table = Table(title=f"digits-vit, threads: {options.threads}, median of {options.turns} turns")
    for column in ("participants", "batched, s", "peft loop, s", "ratio", "largest difference"):
        table.add_column(column, justify="right")
    for participants in options.participants:
        batched, loop, ratio, difference = measure(federation, participants, options.turns)
        table.add_row(
            str(participants),
            f"{batched:.3f}",
            f"{loop:.3f}",
            f"{ratio:.1f}",
            f"{difference:.1e}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
