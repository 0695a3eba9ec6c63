"""What a second thread brings on an idle machine, and what it costs on a busy one.

    python benchmarks/threads.py

Rounds of 50 participants in processes of their own, which take turns: with one thread, with
two, and with two whose idle threads spin instead of waiting (as OpenMP's do unless told).
Busy means one process beside for each core. Each figure is the median round; ratios are to
one thread in the same condition.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

ROUNDS = """
import statistics, time
import fedfm_sim as fs
from fedfm_sim.simulation.model import FederationModel
import torch
torch.set_num_threads({threads})
only = ["participants.count=50", "deviations.rounds=0", "contribution.every=0"]
model = FederationModel(fs.load_scenario("honest-only", only), 0)
model.step()
seconds = []
for _ in range(4):
    started = time.perf_counter()
    model.step()
    seconds.append(time.perf_counter() - started)
print(statistics.median(seconds))
"""

#: Threads, and how they wait.
WAYS = {"one thread": (1, "PASSIVE"), "two": (2, "PASSIVE"), "two that spin": (2, "ACTIVE")}
TURNS = 3


def seconds_of(threads: int, wait: str) -> float:
    """Return the median seconds of a round in a process of its own."""
    made = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(threads=threads)],
        env={**os.environ, "OMP_WAIT_POLICY": wait},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(made.stdout)


def spin() -> None:
    while True:
        pass


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy beside the block."""
    beside = [multiprocessing.Process(target=spin, daemon=True) for _ in range(processes)]
    for process in beside:
        process.start()
    try:
        yield
    finally:
        for process in beside:
            process.terminate()


def main() -> None:
    table = Table(title="A round of 50 participants")
    table.add_column("machine")
    table.add_column("threads")
    table.add_column("seconds", justify="right")
    table.add_column("times as fast as one thread", justify="right")
    for condition, processes in (("idle", 0), ("busy", os.cpu_count() or 1)):
        with busy(processes):
            turns = [{way: seconds_of(*how) for way, how in WAYS.items()} for _ in range(TURNS)]
        for way in WAYS:
            own = statistics.median(turn[way] for turn in turns)
            gain = statistics.median(turn["one thread"] / turn[way] for turn in turns)
            table.add_row(condition, way, f"{own:.2f}", f"{gain:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
