"""The command line: ``fedfm-sim``."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fedfm_sim import cli_games, cli_watermark
from fedfm_sim.core.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate strategic participants in a federation of foundation models.",
)

app.add_typer(cli_watermark.app, name="watermark")
app.command()(cli_games.equilibrium)

#: How the properties of a mechanism are headed in the list of them.
PROMISES = {
    "IR": "individually_rational",
    "IC": "truthful",
    "budget": "within_budget",
    "monotone": "monotone",
}

Seed = Annotated[int, typer.Option(help="At least 0; the same seed gives the same result.")]


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A catalogue name or a TOML file.")],
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    keep_updates: Annotated[
        bool, typer.Option("--keep-updates", help="Keep every round's updates, to unlearn later.")
    ] = False,
) -> None:
    """Run a scenario and show who gained what."""
    from fedfm_sim.experiments.run import run as run_scenario
    from fedfm_sim.reporting.tables import print_result

    folder = out if out is not None or as_json else Path("runs") / f"{Path(name).stem}-{seed}"
    errors = Console(stderr=True)
    try:
        with _progress(errors, "rounds") as bar:
            result = run_scenario(name, seed, folder, set_ or [], bar, keep_updates)
    except KeyboardInterrupt:
        errors.print("interrupted before the first round")
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(result.summary, allow_nan=False))
    else:
        console = Console()
        print_result(result, console)
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """Remove a participant from a run's adapter, beside a federation retrained without it."""
    from fedfm_sim.experiments.unlearn import unlearn as unlearn_run
    from fedfm_sim.reporting.tables import print_forgetting

    parameters = dict(_parameter(text) for text in set_ or [])
    console, errors = Console(), Console(stderr=True)
    with errors.status("retraining, unlearning, comparing"):
        made = unlearn_run(run, client, method, parameters)
    if as_json:
        rows = json.loads(made.table.to_json(orient="records"))
        print(json.dumps({"client": client, "method": method, "models": rows}))
        return
    print_forgetting(made.table, console)
    console.print(f"adapter without participant {client}: {made.folder}/adapter", soft_wrap=True)


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UserError(f"--set {text}: expected key=value, such as rounds=3")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


@app.command()
def executors(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """List the unlearning executors: what each needs."""
    from fedfm_sim.security.unlearning import EXECUTORS

    kinds = {name: EXECUTORS[name] for name in EXECUTORS}
    _list("executor", kinds, ("needs", "source"), as_json)


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
    name: Annotated[str, typer.Argument(help="A catalogue name or a TOML file.")],
    over: Annotated[list[str], typer.Option(help="key=value,value,...; repeatable.")],
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the runs already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """Run a scenario under alternatives, side by side."""
    from fedfm_sim.experiments.compare import MEASURES
    from fedfm_sim.experiments.compare import compare as compare_runs
    from fedfm_sim.reporting.tables import print_comparison

    folder = out or Path("runs") / f"compare-{Path(name).stem}"
    errors = Console(stderr=True)
    choices = dict(_alternatives(text) for text in over)
    try:
        with _progress(errors, "runs") as bar:
            result = compare_runs(
                name, choices, range(seed, seed + seeds), folder, set_ or [], resume, bar
            )
    except KeyboardInterrupt:
        errors.print("interrupted; go on with --resume")
        raise typer.Exit(130) from None
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """List the attacks: what each is after, and what it must know."""
    from fedfm_sim.security.attacks import ATTACKS

    kinds = {name: ATTACKS[name] for name in ATTACKS}
    _list("attack", kinds, ("goal", "knowledge", "source"), as_json)


@app.command()
def defences(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """List the aggregation rules: what the server must know for each."""
    from fedfm_sim.security.defences import DEFENCES

    _list("defence", {name: DEFENCES[name] for name in DEFENCES}, ("knowledge", "source"), as_json)


@app.command()
def leakage(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """List the measures of leakage, P of Eq. 12: each an attack on privacy, with its unit."""
    from fedfm_sim.security.privacy import LEAKAGE

    _list("measure", {name: LEAKAGE[name] for name in LEAKAGE}, ("unit", "source"), as_json)


@app.command()
def protections(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """List what the protocol can have everybody do to its update before it is sent."""
    from fedfm_sim.security.privacy import PROTECTIONS

    kinds = {name: PROTECTIONS[name] for name in PROTECTIONS}
    _list("protection", kinds, ("summary", "source"), as_json)


def _list(what: str, kinds: Mapping[str, Any], facts: tuple[str, ...], as_json: bool) -> None:
    listed = {name: {fact: getattr(kind, fact) for fact in facts} for name, kind in kinds.items()}
    if as_json:
        print(json.dumps(listed))
        return
    table = Table(what, *facts, box=None)
    for name, row in listed.items():
        table.add_row(name, *row.values())
    Console().print(table)


@app.command()
def pretrain(
    name: Annotated[str, typer.Argument(help="A shipped backbone, such as digits-vit.")],
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the shipped place.")] = None,
) -> None:
    """Pre-train a shipped backbone again, on public data only."""
    from fedfm_sim.learning.backbone import SHIPPED
    from fedfm_sim.learning.pretraining import PRETRAINING

    function = PRETRAINING[name]
    folder = out or SHIPPED[name]
    with _progress(Console(stderr=True), "epochs") as bar:
        provenance = function(folder, seed, bar)
    Console().print_json(data=provenance)


class _progress:
    """A progress bar on standard error that is a callable of (done, all)."""

    def __init__(self, console: Console, what: str) -> None:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> _progress:
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


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
