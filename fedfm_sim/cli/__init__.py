"""The command line: ``fedfm-sim``."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from fedfm_sim.cli import (
    audit,
    compare,
    design,
    equilibrium,
    lists,
    pretrain,
    run,
    unlearn,
    watermark,
)
from fedfm_sim.core.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate strategic participants in a federation of foundation models.",
)

# In the order in which ``--help`` lists them.
for command in (
    equilibrium.equilibrium,
    audit.audit,
    design.design,
    run.run,
    unlearn.unlearn,
    lists.executors,
    lists.scenarios,
    compare.compare,
    lists.mechanisms,
    lists.attacks,
    lists.defences,
    lists.leakage,
    lists.protections,
    pretrain.pretrain,
):
    app.command()(command)
app.add_typer(watermark.app, name="watermark")


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
