"""A million participants against a loop over Mesa agents: ``python benchmarks/population.py``.

Both play the same rule on the same surface, and leave the same bits behind; the ratio is
of one run. Then the cost by participants, and the catalogue's scenario as a user runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.core.random import Streams
from fedfm_sim.scenarios.outcomes import SHIPPED
from fedfm_sim.simulation.clients import ScalarPopulation
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import Measurements
from fedfm_sim.simulation.population import Population

console = Console(width=120)


def population(size: int, table: Measurements) -> Population:
    scenario = fs.load_scenario("million-clients", [f"participants.count={size}"])
    return Population(scenario, table.actions, table.workload, Streams(0, scenario.name))


def seconds(one: Population | ScalarPopulation, source: MeasuredOutcomes, rounds: int) -> float:
    """Return the seconds of some rounds after a first one, in which memory is touched."""
    one.play_round(source)
    started = perf_counter()
    for _ in range(rounds):
        one.play_round(source)
    return perf_counter() - started


def against_mesa(source: MeasuredOutcomes, agents: int, size: int, rounds: int) -> None:
    """Print participant-rounds a second of both, and their ratio."""
    slow, check = population(agents, source.table), population(agents, source.table)
    loop = agents * rounds / seconds(ScalarPopulation(slow), source, rounds)
    seconds(check, source, rounds)
    same = all(
        np.array_equal(getattr(slow, name), getattr(check, name))
        for name in ("regrets", "account", "utility", "trust", "action")
    )
    fast = size * rounds / seconds(population(size, source.table), source, rounds)
    console.print(
        f"Mesa loop, {agents} agents: {loop / 1e6:.3f} million participant-rounds a second"
    )
    console.print(f"arrays, {size} participants: {fast / 1e6:.1f} million, {fast / loop:.0f} times")
    console.print(f"bit-equal after {rounds + 1} rounds: {same}")


def as_a_user_runs_it() -> None:
    """Print wall time and peak memory of the command."""
    command = [sys.executable, "-m", "fedfm_sim.cli", "run", "million-clients", "--json"]
    with TemporaryDirectory() as folder:
        started = perf_counter()
        done = subprocess.run(
            [*command, "--out", str(Path(folder) / "run")],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    elapsed = perf_counter() - started
    summary = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    console.print(
        f"fedfm-sim run million-clients: {summary['participants']} participants, "
        f"{summary['rounds']} rounds in {elapsed:.1f} s, peak {peak:.2f} GiB, "
        f"{summary['participants'] * summary['rounds'] / elapsed / 1e6:.1f} million "
        f"participant-rounds a second; relative money error {summary['money_error']:.0e}"
    )
    shares = ", ".join(f"{name} {share:.1%}" for name, share in summary["shares"].items())
    console.print(f"  in the last round: {shares}; accuracy {summary['accuracy_after']:.1%}")


def report(agents: int, rounds: int) -> None:
    """Print all figures."""
    source = MeasuredOutcomes.fit(Measurements.load(SHIPPED / "million-clients.parquet"))
    against_mesa(source, agents, 1_000_000, rounds)
    for size in (10**4, 10**5, 10**6):
        spent = seconds(population(size, source.table), source, rounds)
        each = spent / rounds
        console.print(
            f"{size:>9} participants: {each:.4f} s a round, {1e9 * each / size:.0f} ns each"
        )
    as_a_user_runs_it()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    report(arguments.agents, arguments.rounds)


if __name__ == "__main__":
    main()
