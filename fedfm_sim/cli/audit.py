"""``fedfm-sim audit``: what a payment mechanism keeps, and the worst case of what it does not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fedfm_sim.cli.folders import study_folder
from fedfm_sim.cli.shared import Bar, Json, Out, Seed, parameters, print_report_path, print_rows
from fedfm_sim.reporting.terminal import terminal

#: How verdicts are coloured.
COLOURS = {"violated": "red", "not violated": "green", "does not apply": "dim"}


def audit(
    mechanism: Annotated[
        str, typer.Argument(help="A payment mechanism; see fedfm-sim mechanisms.")
    ],
    population: Annotated[
        str, typer.Option(help="Who takes part; see fedfm-sim populations.")
    ] = "lognormal-costs",
    participants: Annotated[int, typer.Option(min=2, max=12, help="How many.")] = 6,
    instances: Annotated[int, typer.Option(min=1, help="How many populations to draw.")] = 200,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the mechanism, repeatable.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Look for rounds in which a payment mechanism breaks a promise, and show the worst."""
    from fedfm_sim.experiments.mechanism_audit import CAVEAT, MechanismAudit
    from fedfm_sim.experiments.mechanism_audit import audit as audit_mechanism

    chosen = parameters(set_, "winners=3")
    settings = mechanism, population, participants, instances, seed, chosen
    with study_folder(out, f"audit-{mechanism}", MechanismAudit, settings) as folder:
        with Bar("instances", "nothing is kept") as bar:
            made = audit_mechanism(*settings, bar)
        made.save(folder)
    if as_json:
        print(json.dumps(made.summary, allow_nan=False))
        return
    console = terminal()
    print_rows(
        console, made.rows(), f"Audit of {mechanism} on {instances} instances", styles=COLOURS
    )
    console.print(CAVEAT)
    print_report_path(folder, made, console)
