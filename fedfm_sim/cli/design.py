"""``fedfm-sim design``: the cheapest sanctions that keep everybody honest, and a trial of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fedfm_sim.cli.shared import Bar, Jobs, Json, Name, Out, Resume, Seed, Set, interrupted, records

if TYPE_CHECKING:
    import pandas as pd

    from fedfm_sim.experiments.design import Design


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
    from fedfm_sim.core.random import Streams
    from fedfm_sim.experiments.design import design as find
    from fedfm_sim.experiments.files import write_parquet, write_text
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    folder = out or Path("runs") / f"design-{Path(name).stem}"
    seeds = range(seed, seed + replicates)
    try:
        with Bar("runs") as bar:
            made = find(scenario, objective, seeds, folder, resume, bar, jobs, trials)
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    ratios = made.ratios(Streams(seed, scenario.name).generator("bootstrap"))
    facts = _facts(made) | {"ratios": records(ratios)}
    for part in ("temptations", "frontier", "trials", "settings"):
        write_parquet(folder / f"{part}.parquet", getattr(made, part))
    write_text(folder / "design.json", json.dumps(facts, indent=2) + "\n")
    _report(made, ratios, folder)
    if as_json:
        print(json.dumps(facts))
        return
    _print(made, Console())
    Console().print(f"report: {folder}/report.html", soft_wrap=True)


def _facts(made: Design) -> dict[str, Any]:
    return {
        "scenario": made.scenario.name,
        "objective": made.objective,
        "setting": made.setting,
        "audit_rate": made.deterrent.rate,
        "fine": made.deterrent.fine,
        "cost": made.cost,
        "binding": made.binding,
        "deviations": len(made.temptations),
        "settings": records(made.settings),
        "trials": records(made.trials),
    }


def _print(made: Design, console: Console) -> None:
    point = made.deterrent
    console.print(
        f"{made.scenario.name}, least {made.objective}: audit rate [b]{point.rate:.3f}[/], fine "
        f"and deposit [b]{point.fine:.2f}[/]; {made.objective} {made.cost:.3f}"
        + ("" if made.setting == "scenario" else f", under '{made.setting}'"),
        soft_wrap=True,
    )
    console.print(f"binding of {len(made.temptations)} deviations: {made.binding}", soft_wrap=True)
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


def _report(made: Design, ratios: pd.DataFrame, folder: Path) -> None:
    from fedfm_sim.reporting.design_figures import draw_frontier, draw_temptations
    from fedfm_sim.reporting.page import Section, write_page

    point = made.deterrent
    line = draw_frontier(made.frontier, point, made.scenario)
    line.savefig(folder / "frontier.png", dpi=130)
    gains = draw_temptations(made.temptations, point)
    gains.savefig(folder / "temptations.png", dpi=130)
    write_page(
        folder / "report.html",
        f"Sanctions for {made.scenario.name}",
        f"Least {made.objective}: audit rate {point.rate:.3f}, fine and deposit {point.fine:.2f} "
        f"money, {made.objective} {made.cost:.3f}. Binding: {made.binding}.",
        [
            Section("The deterrence frontier", figure=line),
            Section(
                "What deviations bring",
                "Measured in trained federations: all honest, and every attack by all the "
                "malicious; one by one, in every round.",
                gains,
            ),
            Section(
                "Deterrence ratios",
                "Expected sanction over benefit, means at the designed point with 95 % intervals "
                "over seeds; a single deviation may be nearer to 1 than the mean.",
                table=ratios,
            ),
            Section(
                "Tried out",
                "Learning participants, on seeds that nothing was measured on: the share of "
                "rounds without an attack in the last third.",
                table=made.trials,
            ),
            Section("Alternatives", table=made.settings),
        ],
    )
