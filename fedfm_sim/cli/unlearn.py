"""``fedfm-sim unlearn``: a participant is taken out of a run that is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fedfm_sim.cli.shared import Bar, Json, parameters
from fedfm_sim.reporting.terminal import terminal


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
    with Bar("retraining, unlearning, comparing", "nothing is kept"):
        made = unlearn_run(run, client, method, chosen)
    if as_json:
        print(json.dumps(made.summary))
        return
    console = terminal()
    print_forgetting(made.table, console)
    console.print(f"adapter without participant {client}: {made.adapter}", soft_wrap=True)
