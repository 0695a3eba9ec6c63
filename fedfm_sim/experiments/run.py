"""Run one scenario, keeping a readable folder of results from the first round on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.experiments.folder import RunFolder
from fedfm_sim.experiments.loading import load
from fedfm_sim.experiments.playing import Playing, PlayingFederation, PlayingPopulation
from fedfm_sim.experiments.plugins import with_plugins
from fedfm_sim.scenarios.loader import load_run
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.population.result import PopulationResult
from fedfm_sim.simulation.result import RunResult

#: The largest part of a run's time that goes into keeping it. Rounds that last longer than
#: some tenths of a second are kept one by one; of shorter ones, a run that is killed loses
#: those of the last tenths.
KEEPING = 0.05


def run(
    scenario: str | Path | Scenario,
    seed: int | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress = unwatched,
    keep_updates: bool = False,
    report: bool = True,
    resume: bool = False,
    **plugins: BaseModel,
) -> RunResult | PopulationResult:
    """Run a scenario.

    Parameters
    ----------
    scenario : str, Path or Scenario
        A catalogue name, a TOML path, or a scenario already loaded.
    seed : int
        At least 0; the same scenario and seed give the same result. By default that of the
        lock file, and 0 for what is none.
    out : str or Path, optional
        Folder for report, tables, summary, lock file and final adapter.
    overrides : sequence of str
        ``key=value`` over the scenario's own values.
    progress : callable
        Called with (rounds finished, rounds) before the first and after each.
    keep_updates : bool
        Keep what was aggregated in each round under ``out``, as unlearning needs it.
    report : bool
        Write the report too; its pictures take seconds.
    resume : bool
        Go on with the same run where ``out`` was left, after the last round that was kept;
        the result is the same, bit for bit. One that is finished is loaded.
    plugins : objects
        In place of the scenario's own: ``mechanism=PostedPrice(price=0.02)``, or a defence,
        protection, leakage or watermark; of a class of your own, too.

    Returns
    -------
    RunResult or PopulationResult
        The latter where outcomes are measured and not trained. The summary's ``status`` is
        "interrupted" after a KeyboardInterrupt, with the rounds that were finished.

    Raises
    ------
    UserError
        When the scenario or the seed does not fit, or the folder can't be written.
    """
    if not isinstance(scenario, Scenario):
        scenario, seed = load_run(scenario, overrides, seed)
    elif overrides:
        raise UserError("overrides apply to a scenario's name or path, not to a Scenario")
    scenario, seed = with_plugins(scenario, plugins), seed or 0
    if seed < 0:
        raise UserError(f"--seed {seed}: expected an integer of at least 0")
    if out is None:
        return _run(_playing(scenario, seed, keep_updates), None, progress, False)
    with RunFolder.of(Path(out).expanduser(), scenario, seed) as folder:
        if resume and folder.is_finished and folder.has_updates >= keep_updates:
            made = load(folder.path)
            if report and not folder.report.is_file():
                made.report(folder.report)
            return made
        # What is there is left alone until it is known that the run can be played.
        own = _playing(scenario, seed, keep_updates)
        folder.begin(scenario, seed, resume)
        return _run(own, folder, progress, report)


def _playing(scenario: Scenario, seed: int, keep_updates: bool) -> Playing:
    if scenario.outcomes.source == "measured":
        return PlayingPopulation(scenario, seed)
    return PlayingFederation(scenario, seed, keep_updates)


def _run(
    own: Playing, folder: RunFolder | None, progress: Progress, report: bool
) -> RunResult | PopulationResult:
    started = time.perf_counter()
    if folder is not None and (state := folder.state()) is not None:
        own.resume(folder, state)
    status = _play(own, folder, progress)
    result = own.result(status, time.perf_counter() - started)
    if folder is not None:
        own.keep(folder)
        own.finish(folder, result)
        if report:
            result.report(folder.report)
        folder.write_summary(result.summary)
    return result


def _play(own: Playing, folder: RunFolder | None, progress: Progress) -> str:
    """Play the rounds that are left; return whether the run was finished or interrupted."""
    due, rounds = 0.0, own.scenario.rounds
    try:
        progress(own.round, rounds)
        while own.round < rounds:
            own.step()
            if folder is not None and time.monotonic() >= due:
                started = time.monotonic()
                own.keep(folder)
                ended = time.monotonic()
                due = ended + (ended - started) / KEEPING
            progress(own.round, rounds)
    except KeyboardInterrupt:
        return "interrupted"
    return "finished"
