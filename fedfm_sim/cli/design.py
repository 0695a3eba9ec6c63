"""``fedfm-sim design``: the cheapest sanctions that keep everybody honest, and a trial of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fedfm_sim.cli.folders import study_folder
from fedfm_sim.cli.shared import (
    Bar,
    Jobs,
    Json,
    Name,
    Out,
    Resume,
    Seed,
    Set,
    print_report_path,
    print_rows,
    tell,
)
from fedfm_sim.reporting.terminal import terminal

if TYPE_CHECKING:
    from fedfm_sim.experiments.design_result import Design


def design(
    name: Name,
    objective: Annotated[
        str, typer.Option(help="What is least: budget, surplus, audits or fines.")
    ] = "budget",
    seed: Seed = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Seeds measured, from --seed on.")] = 3,
    trials: Annotated[int, typer.Option(min=0, help="Other seeds it is tried on; 0: none.")] = 1,
    jobs: Jobs = 2,
    out: Out = None,
    set_: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Find the cheapest audit rate and fine that make honesty everybody's best reply."""
    from fedfm_sim.experiments.design import design as find
    from fedfm_sim.experiments.design_result import Design
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    seeds = range(seed, seed + replicates)
    settings = objective, seed, replicates, trials, scenario.whole()
    with study_folder(out, f"design-{Path(name).stem}", Design, settings) as folder:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, jobs, bar, tell=tell)
            made = find(scenario, objective, seeds, workshop, trials)
        made.save(folder)
    if as_json:
        print(json.dumps(made.summary))
        return
    console = terminal()
    _print(made, console)
    print_report_path(folder, made, console)


def _print(made: Design, console: Console) -> None:
    for line in made.lines():
        console.print(line, soft_wrap=True)
    if len(made.settings) > 1:
        shown = ("rate", "fine", "cost", "payments", "value")
        rows = [
            {"setting": str(row["setting"]), "audit rate": f"{row['rate']:.3f}"}
            | {key: f"{row[key]:.3f}" for key in shown[1:]}
            | {"": str(row["why"])}
            for _, row in made.settings.iterrows()
        ]
        print_rows(console, rows)
    if len(made.trials):
        rows = [
            {
                "audits": f"{row['part']:.0%}",
                "policy": str(row["policy"]),
                "seed": str(row["seed"]),
                "honest rounds, last third": f"{row['honest']:.0%}",
                "measured deviations that gain": f"{row['tempted']} of {len(made.temptations)}",
            }
            for _, row in made.trials.iterrows()
        ]
        print_rows(console, rows, keys=3)
