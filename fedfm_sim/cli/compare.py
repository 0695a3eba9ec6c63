"""``fedfm-sim compare``: a scenario under alternatives, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedfm_sim.cli.folders import study_folder
from fedfm_sim.cli.shared import Bar, Json, Name, Out, Resume, Seed, Set, tell
from fedfm_sim.core.errors import UserError
from fedfm_sim.reporting.terminal import terminal


def compare(
    name: Name,
    over: Annotated[list[str], typer.Option(help="key=value,value,... to try; repeatable.")],
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 1,
    out: Out = None,
    set_: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Run a scenario under alternatives, and show the outcomes side by side."""
    from fedfm_sim.experiments.compare import MEASURES, Comparison
    from fedfm_sim.experiments.compare import compare as compare_runs
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.reporting.tables import print_comparison, remark_lines
    from fedfm_sim.scenarios.loader import load_scenario
    from fedfm_sim.scenarios.overrides import alternatives

    choices: dict[str, list[Any]] = {}
    for key, values in map(alternatives, over):
        if key in choices:
            raise UserError(f"--over {key}: named twice; expected all its values in one --over")
        choices[key] = values
    settings = choices, seed, seeds, load_scenario(name, set_ or []).whole()
    every = range(seed, seed + seeds)
    with study_folder(out, f"compare-{Path(name).stem}", Comparison, settings) as folder:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, progress=bar, reports=True, tell=tell)
            result = compare_runs(name, choices, every, set_ or [], workshop)
        result.save(folder)
    if as_json:
        print(result.runs.to_json(orient="split", index=False))
        return
    console = terminal()
    print_comparison(result.cells, MEASURES, console)
    for line in remark_lines(result.summary):
        console.print(line, soft_wrap=True)
    console.print(f"picture: {folder}/comparison.png", soft_wrap=True)
