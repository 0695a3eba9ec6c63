"""What the commands have in common: options, progress, and tables of what they found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fedfm_sim.cli.interrupts import INTERRUPTED, INTERRUPTS
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import room_for_folder
from fedfm_sim.core.watched import Watched
from fedfm_sim.reporting.terminal import print_table, terminal

if TYPE_CHECKING:
    from fedfm_sim.experiments.reported import Reported


def _scenarios() -> list[str]:
    from fedfm_sim.scenarios.names import names

    return names()


def _found(source: str) -> str:
    """Refuse what is no scenario before the schema is loaded, and torch with it."""
    from fedfm_sim.scenarios.names import find

    find(source)
    return source


Name = Annotated[
    str,
    typer.Argument(
        help="A name (see fedfm-sim scenarios) or a TOML file.",
        autocompletion=_scenarios,
        callback=_found,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="At least 0; the same seed gives the same result.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results; by default a new one under runs.", callback=room_for_folder
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value over the scenario's own, such as rounds=3; repeatable.",
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="How many processes work at once.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is already there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def new_app(help_: str) -> typer.Typer:
    """Return an app whose help prints brackets as they are, and whose errors are exceptions."""
    return typer.Typer(help=help_, rich_markup_mode=None, pretty_exceptions_enable=False)


def show_help(context: typer.Context) -> None:
    """Print the help where no command is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


class Bar(Watched):
    """Progress of work that an interrupt may stop; then it says what is left, and exits.

    Parameters
    ----------
    what : str
        What is counted, in the plural.
    kept : str
        What becomes of work that is stopped.
    """

    def __init__(self, what: str, kept: str = "go on with --resume") -> None:
        super().__init__(what)
        self.kept = kept

    def __enter__(self) -> Bar:
        INTERRUPTS.begin_work()
        super().__enter__()
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show how much is done."""
        INTERRUPTS.check()
        super().__call__(done, total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        INTERRUPTS.end_work()
        # What a library makes of an interrupt may be an error of another kind.
        if isinstance(error, KeyboardInterrupt) or (error is not None and INTERRUPTS.seen):
            tell(f"interrupted; {self.kept}")
            raise typer.Exit(INTERRUPTED) from None


def tell(line: str) -> None:
    """Say something that is no result, on standard error."""
    terminal(stderr=True).print(line, soft_wrap=True)


def parameters(texts: list[str] | None, example: str) -> dict[str, Any]:
    """Return the ``key=value`` pairs of a plug-in; values are JSON, or TOML, or else texts.

    Raises
    ------
    UserError
        When one is no pair; ``example`` is shown.
    """
    from fedfm_sim.scenarios.overrides import toml_or_text

    found: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UserError(f"--set {text}: expected key=value, such as {example}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = toml_or_text(value)
    return found


def print_rows(
    console: Console,
    rows: Sequence[Mapping[str, str]],
    title: str = "",
    keys: int = 1,
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print rows of the same keys as a table."""
    headings = list(rows[0]) if rows else []
    print_table(console, headings, [list(row.values()) for row in rows], title, keys, styles)


def print_report_path(folder: Path, made: Reported, console: Console) -> None:
    """Say where the report is."""
    console.print(f"report: {folder}/{made.report_name}", soft_wrap=True)
