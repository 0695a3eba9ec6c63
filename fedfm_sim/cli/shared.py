"""What the commands have in common: options, bars, and lists of what is registered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import room_for_folder
from fedfm_sim.core.registry import Registry

if TYPE_CHECKING:
    from fedfm_sim.experiments.reported import Reported

Name = Annotated[str, typer.Argument(help="A catalogue name or a TOML file.")]
Seed = Annotated[int, typer.Option(help="At least 0; the same seed gives the same result.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.", callback=room_for_folder)]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is already there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object only.")]


class Bar:
    """A progress bar on standard error that is a callable of (done, all)."""

    def __init__(self, what: str) -> None:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(stderr=True)
        # Where nobody watches, rich would still leave an empty line.
        quiet = not console.is_interactive
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet)

    def __enter__(self) -> Bar:
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show how much is done."""
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


def interrupted(advice: str) -> typer.Exit:
    """Say what is left after an interruption, and return what to raise."""
    Console(stderr=True).print(f"interrupted; {advice}")
    return typer.Exit(130)


def study_folder(out: Path | None, name: str, kind: type[Reported]) -> Path:
    """Return where a study's result goes, by default a folder of that name below ``runs``.

    Raises
    ------
    UserError
        When it holds files that the result would write over and that no study wrote.
    """
    folder = out or Path("runs") / name
    kind.check_room(folder)
    return folder


def parameters(texts: list[str] | None, example: str) -> dict[str, Any]:
    """Return the ``key=value`` pairs of a plug-in; values are JSON where they can be.

    Raises
    ------
    UserError
        When one is no pair; ``example`` is shown.
    """
    found: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UserError(f"--set {text}: expected key=value, such as {example}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def table_of(rows: Sequence[Mapping[str, str]], title: str | None = None) -> Table:
    """Return rows of the same keys as a table."""
    table = Table(*(rows[0] if rows else ()), title=title, box=None)
    for row in rows:
        table.add_row(*row.values())
    return table


def print_report_path(folder: Path, made: Reported, console: Console) -> None:
    """Say where the report is."""
    console.print(f"report: {folder}/{made.report_name}", soft_wrap=True)


def list_registered(
    what: str, registry: Registry[Any], facts: Sequence[str], as_json: bool
) -> None:
    """Print what is registered, with some attributes of each."""
    listed = {name: {fact: getattr(registry[name], fact) for fact in facts} for name in registry}
    if as_json:
        print(json.dumps(listed))
        return
    Console().print(table_of([{what: name} | row for name, row in listed.items()]))
