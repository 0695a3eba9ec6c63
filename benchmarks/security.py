"""Attacks against defences, by measurement: ``python benchmarks/security.py``.

Every attack meets every defence in the scenario ``poisoning-vs-defences``: 20 participants
of which 4 attack. Prints means over the seeds, the figures a reader should look at, and
what averaging factors costs; ``--out`` keeps the cells as Parquet and draws the table.
Then come the figures of `privacy.py`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process per core is faster than threads

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import privacy
from joblib import Parallel, delayed
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from rich.console import Console
from rich.table import Table

import fedfm_sim as fs
from fedfm_sim.experiments.robustness import robustness, told_attackers
from fedfm_sim.reporting.figures import STYLE
from fedfm_sim.reporting.labels import name_ticks
from fedfm_sim.security.defences import DEFENCES

#: What the malicious play, going round them.
ATTACKS: dict[str, tuple[str, ...]] = {
    "none": ("contribute",),
    "label-flip": ("label-flip",),
    "sign-flip": ("sign-flip",),
    "gaussian": ("gaussian",),
    "inner-product": ("inner-product",),
    "little-is-enough": ("little-is-enough",),
    "min-max": ("min-max",),
    "min-sum": ("min-sum",),
    "backdoor": ("backdoor",),
    "neurotoxin": ("neurotoxin",),
    "sybil backdoor": ("backdoor", "sybil", "sybil", "sybil"),
    "free-ride": ("free-ride",),
}
#: Ways to aggregate adapters, which are no defences: compared without an attack.
AGGREGATIONS = ("fedavg", "fedprox", "exact", "frozen-a")
#: The attacks that each rule was published against, or the nearest that is here.
PUBLISHED = {
    "bulyan": ("gaussian", "sign-flip"),
    "centred-clipping": ("inner-product", "label-flip"),
    "divide-and-conquer": ("min-max", "min-sum"),
    "flame": ("backdoor",),
    "fltrust": ("label-flip", "gaussian"),
    "foolsgold": ("sybil backdoor",),
    "geometric-median": ("gaussian", "sign-flip"),
    "krum": ("gaussian",),
    "median": ("sign-flip", "gaussian"),
    "multi-krum": ("gaussian", "sign-flip"),
    "norm-clipping": ("backdoor",),
    "trimmed-mean": ("sign-flip", "gaussian"),
}
MEASURES = {
    "accuracy": "Test accuracy",
    "attack_success": "Attack success",
    "detection_auc": "Detection AUC",
}
console = Console(width=200)


def cells(seeds: list[int], jobs: int) -> pd.DataFrame:
    """Return all cells, parts of the table in processes of their own."""
    scenario = fs.load_scenario("poisoning-vs-defences")
    defences = ["fedavg", *(name for name in DEFENCES if name not in AGGREGATIONS)]
    names = list(ATTACKS)
    work = [
        (attacks, told_attackers(scenario, defences), seed)
        for seed in seeds
        for attacks in ({n: ATTACKS[n] for n in names[k::4]} for k in range(4))
    ] + [
        ({"none": ATTACKS["none"]}, told_attackers(scenario, list(AGGREGATIONS[1:])), seed)
        for seed in seeds
    ]
    tasks = (delayed(robustness)(scenario, *part) for part in work)
    return pd.concat(Parallel(n_jobs=jobs, verbose=0)(tasks), ignore_index=True)


def show(frame: pd.DataFrame) -> None:
    """Print the mean of each measure over seeds as a table."""
    robust = frame[~frame["defence"].isin(AGGREGATIONS[1:])]
    for measure, title in MEASURES.items():
        means = robust.pivot_table(index="attack", columns="defence", values=measure, sort=False)
        means = means.reindex([name for name in ATTACKS if name in means.index])
        table = Table(title=f"{title}, mean over {frame['seed'].nunique()} seeds")
        table.add_column("attack")
        for name in means.columns:
            table.add_column(str(name).replace("-", " "), justify="right")
        for attack, row in means.iterrows():
            if not row.isna().all():
                shown = (
                    f"{v:.2f}" if measure == "detection_auc" else f"{100 * v:.0f}" for v in row
                )
                table.add_row(str(attack), *shown)
        console.print(table)


def figures(frame: pd.DataFrame) -> None:
    """Print the figures that tell whether attacks bite and rules hold, seed by seed."""
    by = frame.set_index(["attack", "defence", "seed"]).sort_index()
    seeds = sorted(frame["seed"].unique())
    base = by.loc[("none", "fedavg")]["base_accuracy"]
    gain = by.loc[("none", "fedavg")]["accuracy"] - base

    def kept(attack: str, rule: str) -> pd.Series[float]:
        return (by.loc[(attack, rule)]["accuracy"] - base) / gain

    def line(text: str, values: pd.Series[float]) -> None:
        console.print(f"{text}: " + ", ".join(f"{100 * values[s]:.0f} %" for s in seeds))

    def own(attack: str, rule: str) -> pd.Series[float]:
        honest = by.loc[("none", rule)]["accuracy"] - base
        return (by.loc[(attack, rule)]["accuracy"] - base) / honest

    console.print("\nShare of the accuracy gained by honest FedAvg that is left, by seed")
    for attack in ("sign-flip", "gaussian"):
        line(f"  {attack}, undefended", kept(attack, "fedavg"))
    for rule, attacks in PUBLISHED.items():
        for attack in attacks:
            line(f"  {attack} under {rule}", kept(attack, rule))
    line("  gaussian under krum, of what krum itself gains honestly", own("gaussian", "krum"))
    for rule in ("krum", "median"):
        for attack in ("none", "little-is-enough", "min-max"):
            line(f"  {attack} under {rule}", kept(attack, rule))
    success = by["attack_success"]
    console.print("\nBackdoor success, by seed")
    line("  undefended", success.loc[("backdoor", "fedavg")])
    rules = success.loc["backdoor"].groupby("defence").max().sort_values()
    for rule in rules.index[:4]:
        line(f"  {rule}", success.loc[("backdoor", rule)])
    console.print("\nWays to aggregate adapters without an attack: accuracy, by seed")
    for rule in AGGREGATIONS:
        line(f"  {rule}", by.loc[("none", rule)]["accuracy"])


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw accuracy and attack success as two heat maps."""
    robust = frame[~frame["defence"].isin(AGGREGATIONS[1:])]
    with plt.style.context(STYLE):
        figure, panels = plt.subplots(1, 2, sharey=True, figsize=(15, 6))
        _heat_maps(robust, panels)
    figure.savefig(path, dpi=110)


def _heat_maps(robust: pd.DataFrame, panels: Sequence[Axes]) -> None:
    for axes, measure, colours in zip(
        panels, ("accuracy", "attack_success"), ("viridis", "magma_r"), strict=True
    ):
        means = robust.pivot_table(index="attack", columns="defence", values=measure, sort=False)
        means = means.reindex(list(ATTACKS))
        image = axes.imshow(means, cmap=colours, vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(means.to_numpy()):
            dark = (value < 0.55) == (colours == "viridis")
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                color="white" if dark else "black",
            )
        name_ticks(axes.xaxis, list(means.columns))
        name_ticks(axes.yaxis, list(means.index))
        axes.grid(False)
        axes.set_title(f"{MEASURES[measure]}, % (mean over {robust['seed'].nunique()} seeds)")
        percent = PercentFormatter(1, symbol=None)
        plt.colorbar(image, ax=axes, shrink=0.8, format=percent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--images", type=int, default=10, help="that are got back from gradients")
    parser.add_argument("--out", type=Path, help="folder for cells.parquet and table.png")
    arguments = parser.parse_args()
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    started = perf_counter()
    frame = cells(arguments.seeds, arguments.jobs)
    console.print(f"{len(frame)} cells in {perf_counter() - started:.0f} s")
    show(frame)
    figures(frame)
    privacy.report(arguments.seeds, arguments.images, arguments.out)
    if arguments.out is not None:
        frame.to_parquet(arguments.out / "cells.parquet", index=False)
        draw(frame, arguments.out / "table.png")


if __name__ == "__main__":
    main()
