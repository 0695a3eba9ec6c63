"""Run one scenario, keeping a readable folder of results from the first round on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.departure import depart
from fedfm_sim.experiments.files import write_parquet, write_text
from fedfm_sim.experiments.population_run import run_population
from fedfm_sim.experiments.unlearn import save_history
from fedfm_sim.learning.adapter_files import save_adapter
from fedfm_sim.scenarios.loader import load_scenario
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.population_result import PopulationResult
from fedfm_sim.simulation.result import RunResult, collect

Progress = Callable[[int, int], None]


def run(
    scenario: str | Path | Scenario,
    seed: int = 0,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    keep_updates: bool = False,
    report: bool = True,
) -> RunResult | PopulationResult:
    """Run a scenario.

    Parameters
    ----------
    scenario : str, Path or Scenario
        A catalogue name, a TOML path, or a scenario already loaded.
    seed : int
        At least 0; the same scenario and seed give the same result.
    out : str or Path, optional
        Folder for report, tables, summary, lock file and final adapter.
    overrides : sequence of str
        ``key=value`` over the scenario's own values.
    progress : callable, optional
        Called with (rounds finished, rounds) before the first and after each.
    keep_updates : bool
        Keep what was aggregated in each round under ``out``, as unlearning needs it.
    report : bool
        Write the report too; its pictures take seconds.

    Returns
    -------
    RunResult
        Its summary's ``status`` is "interrupted" after a KeyboardInterrupt,
        with the rounds that were finished.

    Raises
    ------
    UserError
        When the scenario or the seed does not fit, or the folder can't be written.
    """
    if seed < 0:
        raise UserError(f"--seed {seed}: expected an integer of at least 0")
    started = time.perf_counter()
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario, overrides)
    elif overrides:
        raise UserError("overrides apply to a scenario's name or path, not to a Scenario")
    folder = _folder(out)
    if folder is not None:
        write_text(folder / "scenario.lock.toml", to_toml(scenario, seed))
    if scenario.outcomes.source == "measured":
        return run_population(scenario, seed, folder, progress)
    status = "interrupted"
    keep = keep_updates or scenario.departure is not None
    model = FederationModel(scenario, seed, keep)
    try:
        for _ in range(scenario.rounds):
            if progress is not None:
                progress(model.round, scenario.rounds)
            model.step()
            if folder is not None:
                _write_tables(folder, *model.tables())
            if folder is not None and keep_updates:
                save_history(folder / "history", model.history, model.round - 1)
        status = "finished"
        if progress is not None:
            progress(model.round, scenario.rounds)
    except KeyboardInterrupt:
        # A round in flight may have booked money before it was recorded: the
        # tables hold whole rounds only, and the result says "interrupted".
        pass
    departure = depart(model) if scenario.departure and status == "finished" else None
    result = collect(model, seed, status, time.perf_counter() - started, departure)
    if folder is not None:
        _write_result(folder, result, model)
        if report:
            result.report(folder / "report.html")
    return result


def _folder(out: str | Path | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: can't be written: {error.strerror}") from error
    return folder


def _write_result(folder: Path, result: RunResult, model: FederationModel) -> None:
    _write_tables(folder, result.rounds, result.participants, result.deviations)
    write_parquet(folder / "journal.parquet", result.journal)
    layout = model.setting.federation.layout
    save_adapter(folder / "adapter", result.adapter, layout, model.setting.federation.backbone.name)
    write_text(
        folder / "summary.json", json.dumps(result.summary, indent=2, allow_nan=False) + "\n"
    )
    if result.departure is not None:
        write_parquet(folder / "departure.parquet", result.departure.table)
        write_parquet(folder / "shares.parquet", result.departure.shares)


def _write_tables(
    folder: Path, rounds: pd.DataFrame, participants: pd.DataFrame, deviations: pd.DataFrame
) -> None:
    write_parquet(folder / "rounds.parquet", rounds)
    write_parquet(folder / "participants.parquet", participants)
    write_parquet(folder / "deviations.parquet", deviations)
