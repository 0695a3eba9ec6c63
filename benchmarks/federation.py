"""The figures of the shipped scenarios over seeds: ``python benchmarks/federation.py``.

Trains every scenario for each seed, and each participant alone for as many
rounds and epochs as the federation had; prints all seeds, not the best.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table

import fedfm_sim as fs
from fedfm_sim.simulation.setting import Setting

warnings.simplefilter("ignore", FutureWarning)


def alone(seed: int) -> float:
    """Return the best test accuracy that a participant of honest-only reaches by itself."""
    setting = Setting.create(fs.load_scenario("honest-only"), seed)
    adapters = setting.federation.adapter.repeat(setting.participants, 1)
    best = 0.0
    for number in range(setting.scenario.rounds):
        generators = [
            setting.streams.generator("train", number, k) for k in range(setting.participants)
        ]
        adapters = setting.federation.train(setting.holdings.shards, generators, adapters).adapters
        best = max(best, float(setting.evaluator.accuracies(adapters).max()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds: list[int] = parser.parse_args().seeds
    table = Table(title="Test accuracy over the participants' domains, and attack success")
    for name in ("seed", "before", "honest-only", "best alone", "undefended", "attack", "defended"):
        table.add_column(name, justify="right")
    table.add_column("attack", justify="right")
    only = ["deviations.rounds=0", "contribution.every=0"]
    for seed in seeds:
        honest, undefended, defended = (
            fs.run(name, seed=seed, overrides=only).summary
            for name in ("honest-only", "backdoor-undefended", "backdoor-defended")
        )
        figures = [
            honest["accuracy_before"],
            honest["accuracy_after"],
            alone(seed),
            undefended["accuracy_after"],
            undefended["attack_success"],
            defended["accuracy_after"],
            defended["attack_success"],
        ]
        table.add_row(str(seed), *(f"{100 * np.float64(figure):.1f} %" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
