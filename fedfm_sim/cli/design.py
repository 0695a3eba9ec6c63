"""``fedfm-sim design``: the cheapest sanctions that keep everybody honest, and a trial of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from fedfm_sim.cli.shared import (
    Bar,
    Jobs,
    Json,
    Name,
    Out,
    Resume,
    Seed,
    Set,
    interrupted,
    print_report_path,
    study_folder,
)

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
    folder = study_folder(out, f"design-{Path(name).stem}", Design)
    seeds = range(seed, seed + replicates)
    try:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, jobs, bar)
            made = find(scenario, objective, seeds, workshop, trials)
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    made.save(folder)
    if as_json:
        print(json.dumps(made.summary))
        return
    console = Console()
    _print(made, console)
    print_report_path(folder, made, console)


def _print(made: Design, console: Console) -> None:
    for line in made.lines():
        console.print(line, soft_wrap=True)
    if len(made.settings) > 1:
        table = Table("setting", "audit rate", "fine", "cost", "payments", "value", "", box=None)
        for _, row in made.settings.iterrows():
            numbers = (f"{row[key]:.3f}" for key in ("rate", "fine", "cost", "payments", "value"))
            table.add_row(str(row["setting"]), *numbers, str(row["why"]))
        console.print(table)
    if len(made.trials):
        table = Table("audits", "policy", "seed", "honest rounds, last third",
                      "measured deviations that gain", box=None)  # fmt: skip
        for _, row in made.trials.iterrows():
            table.add_row(
                f"{row['part']:.0%}",
                str(row["policy"]),
                str(row["seed"]),
                f"{row['honest']:.0%}",
                f"{row['tempted']} of {len(made.temptations)}",
            )
        console.print(table)
