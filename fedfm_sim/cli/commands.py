"""The commands of ``fedfm-sim``, in the order in which ``--help`` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from fedfm_sim.cli import watermark
from fedfm_sim.cli.audit import audit
from fedfm_sim.cli.compare import compare
from fedfm_sim.cli.design import design
from fedfm_sim.cli.equilibrium import equilibrium
from fedfm_sim.cli.explain import explain
from fedfm_sim.cli.lists import LISTS
from fedfm_sim.cli.pretrain import pretrain
from fedfm_sim.cli.run import run
from fedfm_sim.cli.schema import schema
from fedfm_sim.cli.shared import new_app, show_help
from fedfm_sim.cli.unlearn import unlearn
from fedfm_sim.core.source import summary_of

app = new_app("Simulate strategic participants in a federation of foundation models.")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"fedfm-sim {version('fedfm-sim')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Simulate strategic participants in a federation of foundation models."""
    show_help(context)


COMMANDS: tuple[Callable[..., None], ...] = (
    run,
    compare,
    equilibrium,
    design,
    audit,
    unlearn,
    explain,
    schema,
    *LISTS,
    pretrain,
)

for command in COMMANDS:
    # Given as it is, the line is folded in the list of commands, and not cut.
    app.command(short_help=summary_of(command.__doc__ or ""))(command)
app.add_typer(watermark.app, name="watermark")
