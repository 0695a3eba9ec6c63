"""``fedfm-sim audit``: what a payment mechanism keeps, and the worst case of what it does not."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from fedfm_sim.cli.shared import (
    Bar,
    Json,
    Out,
    Seed,
    interrupted,
    parameters,
    print_report_path,
    study_folder,
    table_of,
)

#: How verdicts are coloured.
COLOURS = {"violated": "red", "not violated": "green", "does not apply": "dim"}


def audit(
    mechanism: Annotated[str, typer.Argument(help="A name; see fedfm-sim mechanisms.")],
    population: Annotated[str, typer.Option(help="Who takes part.")] = "lognormal-costs",
    participants: Annotated[int, typer.Option(min=2, max=12, help="How many.")] = 6,
    instances: Annotated[int, typer.Option(min=1, help="How many populations to draw.")] = 200,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the mechanism, repeatable.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Look for violations of what a payment mechanism should keep, and show the worst."""
    from fedfm_sim.experiments.mechanism_audit import CAVEAT, MechanismAudit
    from fedfm_sim.experiments.mechanism_audit import audit as audit_mechanism

    chosen = parameters(set_, "winners=3")
    folder = study_folder(out, f"audit-{mechanism}", MechanismAudit)
    try:
        with Bar("instances") as bar:
            made = audit_mechanism(
                mechanism, population, participants, instances, seed, chosen, bar
            )
    except KeyboardInterrupt:
        raise interrupted("nothing is kept") from None
    made.save(folder)
    if as_json:
        print(json.dumps(made.summary, allow_nan=False))
        return
    console = Console()
    rows = [row | {"verdict": _coloured(row["verdict"])} for row in made.rows()]
    console.print(table_of(rows, f"Audit of {mechanism} on {instances} instances"))
    console.print(CAVEAT)
    print_report_path(folder, made, console)


def _coloured(verdict: str) -> str:
    return f"[{COLOURS[verdict]}]{verdict}[/]"
