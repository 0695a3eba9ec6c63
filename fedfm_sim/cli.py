"""The command line: ``fedfm-sim``."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fedfm_sim import cli_audit, cli_design, cli_games, cli_watermark
from fedfm_sim.cli_shared import (
    Bar,
    Json,
    Name,
    Out,
    Resume,
    Seed,
    Set,
    interrupted,
    list_registered,
    parameters,
    records,
)
from fedfm_sim.core.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate strategic participants in a federation of foundation models.",
)

app.add_typer(cli_watermark.app, name="watermark")
app.command()(cli_games.equilibrium)
app.command("audit")(cli_audit.audit_command)
app.command()(cli_design.design)

#: How the properties of a mechanism are headed in the list of them.
PROMISES = {
    "IR": "individually_rational",
    "IC": "truthful",
    "budget": "within_budget",
    "monotone": "monotone",
}


@app.command()
def run(
    name: Name,
    seed: Seed = 0,
    out: Out = None,
    set_: Set = None,
    as_json: Json = False,
    keep_updates: Annotated[
        bool, typer.Option("--keep-updates", help="Keep every round's updates, to unlearn later.")
    ] = False,
) -> None:
    """Run a scenario and show who gained what."""
    from fedfm_sim.experiments.run import run as run_scenario
    from fedfm_sim.reporting.population import print_population
    from fedfm_sim.reporting.tables import print_result
    from fedfm_sim.simulation.result import RunResult

    folder = out if out is not None or as_json else Path("runs") / f"{Path(name).stem}-{seed}"
    errors = Console(stderr=True)
    try:
        with Bar("rounds") as bar:
            result = run_scenario(name, seed, folder, set_ or [], bar, keep_updates)
    except KeyboardInterrupt:
        raise interrupted("before the first round") from None
    if as_json:
        print(json.dumps(result.summary, allow_nan=False))
    else:
        console = Console()
        if isinstance(result, RunResult):
            print_result(result, console)
        else:
            print_population(result, console)
        console.print(f"report: {folder}/report.html", soft_wrap=True)
    if result.summary["status"] != "finished":
        errors.print(f"interrupted after {result.summary['rounds']} rounds; the results are kept")
        raise typer.Exit(130)


@app.command()
def unlearn(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    client: Annotated[int, typer.Option(min=0, help="Number of the participant, from 0.")],
    method: Annotated[str, typer.Option(help="An executor; see fedfm-sim executors.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the executor, repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove a participant from a run's adapter, beside a federation retrained without it."""
    from fedfm_sim.experiments.unlearn import unlearn as unlearn_run
    from fedfm_sim.reporting.tables import print_forgetting

    chosen = parameters(set_, "rounds=3")
    console, errors = Console(), Console(stderr=True)
    with errors.status("retraining, unlearning, comparing"):
        made = unlearn_run(run, client, method, chosen)
    if as_json:
        rows = records(made.table)
        print(json.dumps({"client": client, "method": method, "models": rows}))
        return
    print_forgetting(made.table, console)
    console.print(f"adapter without participant {client}: {made.folder}/adapter", soft_wrap=True)


@app.command()
def executors(
    as_json: Json = False,
) -> None:
    """List the unlearning executors: what each needs."""
    from fedfm_sim.security.unlearning import EXECUTORS

    list_registered("executor", EXECUTORS, ("needs", "source"), as_json)


@app.command()
def scenarios() -> None:
    """List the scenarios of the catalogue."""
    from fedfm_sim.scenarios.loader import catalogue

    table = Table(box=None, show_header=False)
    for name, description in catalogue().items():
        table.add_row(name, description)
    Console().print(table)


@app.command()
def compare(
    name: Name,
    over: Annotated[list[str], typer.Option(help="key=value,value,...; repeatable.")],
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 1,
    out: Out = None,
    set_: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Run a scenario under alternatives, side by side."""
    from fedfm_sim.experiments.compare import MEASURES
    from fedfm_sim.experiments.compare import compare as compare_runs
    from fedfm_sim.reporting.tables import print_comparison

    folder = out or Path("runs") / f"compare-{Path(name).stem}"
    choices = dict(_alternatives(text) for text in over)
    try:
        with Bar("runs") as bar:
            result = compare_runs(
                name, choices, range(seed, seed + seeds), folder, set_ or [], resume, bar
            )
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    if as_json:
        print(result.runs.to_json(orient="split", index=False))
        return
    console = Console()
    print_comparison(result.table, MEASURES, console)
    console.print(f"picture: {folder}/comparison.png", soft_wrap=True)


def _alternatives(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not (key and equals and all(values.split(","))):
        raise UserError(f"--over {text}: expected key=value,value such as mechanism=fmore,vcg")
    return key, values.split(",")


@app.command()
def mechanisms(
    as_json: Json = False,
) -> None:
    """List the payment mechanisms: who knows what, and what holds by theorem."""
    from fedfm_sim.mechanisms import MECHANISMS

    listed = {name: asdict(MECHANISMS[name].properties) for name in MECHANISMS}
    if as_json:
        print(json.dumps(listed))
        return
    table = Table("mechanism", *PROMISES, "who knows what; source", box=None)
    for name, properties in listed.items():
        ticks = ("yes" if properties[key] else "-" for key in PROMISES.values())
        table.add_row(name, *ticks, f"{properties['knows']} [dim]({properties['source']})[/dim]")
    Console().print(table)


@app.command()
def attacks(
    as_json: Json = False,
) -> None:
    """List the attacks: what each is after, and what it must know."""
    from fedfm_sim.security.attacks import ATTACKS

    list_registered("attack", ATTACKS, ("goal", "knowledge", "source"), as_json)


@app.command()
def defences(
    as_json: Json = False,
) -> None:
    """List the aggregation rules: what the server must know for each."""
    from fedfm_sim.security.defences import DEFENCES

    list_registered("defence", DEFENCES, ("knowledge", "source"), as_json)


@app.command()
def leakage(
    as_json: Json = False,
) -> None:
    """List the measures of leakage, P of Eq. 12: each an attack on privacy, with its unit."""
    from fedfm_sim.security.privacy import LEAKAGE

    list_registered("measure", LEAKAGE, ("unit", "source"), as_json)


@app.command()
def protections(
    as_json: Json = False,
) -> None:
    """List what the protocol can have everybody do to its update before it is sent."""
    from fedfm_sim.security.privacy import PROTECTIONS

    list_registered("protection", PROTECTIONS, ("summary", "source"), as_json)


@app.command()
def pretrain(
    name: Annotated[str, typer.Argument(help="A shipped backbone, such as digits-vit.")],
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the shipped place.")] = None,
) -> None:
    """Pre-train a shipped backbone again, on public data only."""
    from fedfm_sim.learning import pretraining

    with Bar("epochs") as bar:
        provenance = pretraining.pretrain(name, seed, bar, out)
    Console().print_json(data=provenance)


def main() -> None:
    """Run the command; a user's mistake is one line on standard error and exit code 2."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        app()
    except UserError as error:
        print(f"fedfm-sim: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
