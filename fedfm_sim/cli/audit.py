"""``fedfm-sim audit``: what a payment mechanism keeps, and the worst case of what it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fedfm_sim.cli.shared import Bar, Json, Out, Seed, interrupted, parameters, table_of

if TYPE_CHECKING:
    from fedfm_sim.mechanisms.auditing import AuditReport

CAVEAT = "Searched gains are lower bounds (at least); no violation seen is no proof."

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
    import pandas as pd

    from fedfm_sim.experiments.files import write_text
    from fedfm_sim.mechanisms.auditing import POPULATIONS, audit
    from fedfm_sim.reporting.audit_figures import draw_audit
    from fedfm_sim.reporting.page import Section, write_page

    chosen = parameters(set_, "winners=3")
    drawn_from = POPULATIONS.build({"name": population, "participants": participants})
    try:
        with Bar("instances") as bar:
            report = audit(mechanism, drawn_from, instances, seed, chosen, bar)
    except KeyboardInterrupt:
        raise interrupted("nothing is kept") from None
    folder = out or Path("runs") / f"audit-{mechanism}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows(report)
    facts: dict[str, Any] = {
        "mechanism": {"name": mechanism, **report.mechanism.model_dump()},
        "population": {"name": population, **report.population.model_dump()},
        "instances": instances,
        "seed": seed,
        "findings": report.to_records(),
    }
    write_text(folder / "audit.json", json.dumps(facts, indent=2, allow_nan=False) + "\n")
    report.to_frame().to_parquet(folder / "audit.parquet")
    figure = draw_audit(report)
    figure.savefig(folder / "audit.png", dpi=130)
    write_page(
        folder / "report.html",
        f"Audit of {mechanism}",
        f"{instances} instances of {participants} ({population}), seed {seed}. {CAVEAT}",
        [
            Section("What was looked for", figure=figure),
            Section("The worst instance of each", table=pd.DataFrame(rows)),
            Section("Parameters", listing=json.dumps(facts["mechanism"], indent=2)),
        ],
    )
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    console = Console()
    title = f"Audit of {mechanism} on {instances} instances"
    console.print(table_of([_coloured(row) for row in rows], title))
    console.print(CAVEAT)
    console.print(f"report: {folder}/report.html", soft_wrap=True)


def _rows(report: AuditReport) -> list[dict[str, str]]:
    """Return what was found as it is shown."""
    rows = []
    for each in report.findings:
        bound = "at least " if each.lower_bound and each.verdict == "violated" else ""
        rows.append(
            {
                "property": each.name,
                "verdict": each.verdict,
                "worst": f"{bound}{each.worst:.3g} {each.unit}" if each.applies else "",
                "violated in": f"{each.share_violated:.0%}" if each.applies else "",
                "worst instance": each.describe(),
            }
        )
    return rows


def _coloured(row: dict[str, str]) -> dict[str, str]:
    colour = COLOURS[row["verdict"]]
    return row | {"verdict": f"[{colour}]{row['verdict']}[/]"}
