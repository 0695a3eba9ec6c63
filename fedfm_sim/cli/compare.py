"""``fedfm-sim compare``: a scenario under alternatives, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedfm_sim.cli.shared import Bar, Json, Name, Out, Resume, Seed, Set, interrupted, study_folder
from fedfm_sim.core.errors import UserError


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
    from fedfm_sim.experiments.compare import MEASURES, Comparison
    from fedfm_sim.experiments.compare import compare as compare_runs
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.reporting.tables import print_comparison, remark_lines

    folder = study_folder(out, f"compare-{Path(name).stem}", Comparison)
    choices = dict(_alternatives(text) for text in over)
    try:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, progress=bar, reports=True)
            result = compare_runs(name, choices, range(seed, seed + seeds), set_ or [], workshop)
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    result.save(folder)
    if as_json:
        print(result.runs.to_json(orient="split", index=False))
        return
    console = Console()
    print_comparison(result.cells, MEASURES, console)
    for line in remark_lines(result.summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"picture: {folder}/comparison.png", soft_wrap=True)


def _alternatives(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not (key and equals and all(values.split(","))):
        raise UserError(f"--over {text}: expected key=value,value such as mechanism=fmore,vcg")
    return key, values.split(",")
