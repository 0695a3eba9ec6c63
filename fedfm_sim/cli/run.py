"""``fedfm-sim run``: one scenario, and who gained what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fedfm_sim.cli.folders import check_free, free_run_folder
from fedfm_sim.cli.shared import Bar, Json, Name, Out, Resume, Set, tell
from fedfm_sim.reporting.terminal import terminal


def run(
    name: Name,
    seed: Annotated[
        int | None, typer.Option(help="At least 0; default: the lock file's, else 0.")
    ] = None,
    out: Out = None,
    set_: Set = None,
    as_json: Json = False,
    keep_updates: Annotated[
        bool, typer.Option("--keep-updates", help="Keep every round's updates, to unlearn later.")
    ] = False,
    resume: Resume = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over another run that --out holds.")
    ] = False,
) -> None:
    """Run a scenario and show who gained what."""
    from fedfm_sim.experiments.cost import warn_of_cost
    from fedfm_sim.experiments.folder import refuse_another
    from fedfm_sim.experiments.reported import REPORT
    from fedfm_sim.experiments.run import run as run_scenario
    from fedfm_sim.reporting.population import print_population
    from fedfm_sim.reporting.tables import print_result
    from fedfm_sim.scenarios.loader import load_run
    from fedfm_sim.scenarios.work import work_of
    from fedfm_sim.simulation.result import RunResult

    scenario, seed = load_run(name, set_ or [], seed)
    folder = out
    if out is None and not as_json:
        folder = free_run_folder(f"{Path(name).stem}-{seed}", scenario, seed)
    elif out is not None and not resume:
        check_free(out, scenario, seed, replace)
    if resume and folder is not None:
        refuse_another(folder, scenario, seed)
    warn_of_cost([(scenario, work_of(scenario))], tell)
    kept = "nothing is kept" if folder is None else "go on with --resume"
    with Bar("rounds", kept) as bar:
        result = run_scenario(scenario, seed, folder, (), bar, keep_updates, resume=resume)
    if as_json:
        print(json.dumps(result.summary, allow_nan=False))
    else:
        console = terminal()
        if isinstance(result, RunResult):
            print_result(result, console)
        else:
            print_population(result, console)
        console.print(f"report: {folder}/{REPORT}", soft_wrap=True)
    if result.summary["status"] != "finished":
        tell(f"interrupted after {result.summary['rounds']} rounds; go on with --resume")
        raise typer.Exit(130)
