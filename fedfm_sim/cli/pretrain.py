"""``fedfm-sim pretrain``: a shipped backbone is made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fedfm_sim.cli.shared import Bar, Seed


def pretrain(
    name: Annotated[str, typer.Argument(help="A shipped backbone, such as digits-vit.")],
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the shipped place.")] = None,
) -> None:
    """Pre-train a shipped backbone again, on public data only."""
    from fedfm_sim.learning import pretraining

    with Bar("epochs", "nothing is kept") as bar:
        provenance = pretraining.pretrain(name, seed, bar, out)
    typer.echo(json.dumps(provenance, indent=2))
