"""Train the federations behind `million-clients`: ``python benchmarks/measure_population.py``.

Writes the table that is shipped, and goes on where it was interrupted. One federation is
trained for each share point and seed; it takes minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.scenarios.outcomes import SHIPPED
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import measure

ACTIONS = ("contribute", "contribute-half", "free-ride", "backdoor")

#: The federation that stands for the million.
FEDERATION = ["participants.count=20", "rounds=4", "outcomes.source=trained"]

#: All corners, so that nothing lies outside; most points where attackers are few, as
#: success is steepest there.
DESIGN = (
    (1, 0, 0, 0),
    (0, 1, 0, 0),
    (0, 0, 1, 0),
    (0, 0, 0, 1),
    (0.95, 0, 0, 0.05),
    (0.9, 0, 0, 0.1),
    (0.8, 0, 0, 0.2),
    (0.6, 0, 0, 0.4),
    (0.3, 0, 0, 0.7),
    (0, 0.95, 0, 0.05),
    (0, 0.8, 0, 0.2),
    (0, 0.5, 0, 0.5),
    (0, 0, 0.95, 0.05),
    (0, 0, 0.8, 0.2),
    (0, 0, 0.5, 0.5),
    (0.5, 0.5, 0, 0),
    (0.5, 0, 0.5, 0),
    (0, 0.5, 0.5, 0),
    (0.25, 0.25, 0.25, 0.25),
    (0.4, 0.3, 0.25, 0.05),
    (0.35, 0.3, 0.25, 0.1),
    (0.6, 0.2, 0.15, 0.05),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=SHIPPED / "million-clients.parquet")
    arguments = parser.parse_args()
    console = Console(width=120)
    scenario = fs.load_scenario("million-clients", FEDERATION)
    started = perf_counter()

    def progress(done: int, total: int) -> None:
        console.print(f"{done} of {total} federations, {perf_counter() - started:.0f} s")

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    table = measure(scenario, ACTIONS, DESIGN, range(arguments.seeds), arguments.out, progress)
    surface = MeasuredOutcomes.fit(table)
    console.print(f"{len(table.rows)} federations in {perf_counter() - started:.0f} s")
    for name, error in surface.error.items():
        console.print(f"  {name}: {error:.3f} root mean square, a share point held out")
    console.print(f"{surface.coverage:.0%} of held-out runs within two standard deviations")


if __name__ == "__main__":
    main()
