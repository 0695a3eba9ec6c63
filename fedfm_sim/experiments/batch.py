"""Many runs at once: each kept as it is finished, and taken from its folder on resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, parallel_config

from fedfm_sim.experiments.run import run
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """One run to make.

    Attributes
    ----------
    name : str
        Of its folder; different for all plans of a batch.
    scenario : Scenario
    seed : int
    """

    name: str
    scenario: Scenario
    seed: int


@dataclass(frozen=True, eq=False)
class Finished:
    """What a batch keeps of a run; the tables are those of `RunResult`."""

    plan: Plan
    summary: dict[str, Any]
    rounds: pd.DataFrame
    participants: pd.DataFrame
    deviations: pd.DataFrame


def run_all(
    plans: Sequence[Plan],
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    jobs: int = 1,
    reports: bool = False,
) -> list[Finished]:
    """Make all runs, in their order.

    Parameters
    ----------
    plans : sequence of Plan
    out : str or Path, optional
        Folder with one folder per run.
    resume : bool
        Take finished runs of exactly the same scenario and seed from there.
    progress : callable, optional
        Called with (runs finished, runs).
    jobs : int
        Processes; the outcome is the same for any number.
    reports : bool
        Write a report of each run, too.

    Raises
    ------
    KeyboardInterrupt
        When a run is interrupted; those before it are kept.
    """
    if progress is not None:
        progress(0, len(plans))
    finished: list[Finished] = []
    # A process for each core is faster than threads on models this small.
    with parallel_config(backend="loky", inner_max_num_threads=1):
        work = [delayed(_run)(plan, out, resume, reports) for plan in plans]
        for done in Parallel(n_jobs=jobs, return_as="generator")(work):
            if done is None:
                raise KeyboardInterrupt
            finished.append(done)
            if progress is not None:
                progress(len(finished), len(plans))
    return finished


def _run(plan: Plan, out: str | Path | None, resume: bool, reports: bool) -> Finished | None:
    """Return the finished run; None when it was interrupted."""
    folder = None if out is None else Path(out) / plan.name
    if resume and folder is not None and _is_finished(folder, plan):
        return Finished(plan, *_stored(folder))
    made = run(plan.scenario, plan.seed, folder, report=reports)
    if made.summary["status"] != "finished":
        return None
    return Finished(plan, made.summary, made.rounds, made.participants, made.deviations)


def _is_finished(folder: Path, plan: Plan) -> bool:
    summary, lock = folder / "summary.json", folder / "scenario.lock.toml"
    if not (summary.is_file() and lock.is_file()):
        return False
    if lock.read_text(encoding="utf-8") != to_toml(plan.scenario, plan.seed):
        return False
    status: str = json.loads(summary.read_text(encoding="utf-8")).get("status")
    return status == "finished"


def _stored(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    rounds, participants, deviations = (
        pd.read_parquet(folder / f"{name}.parquet")
        for name in ("rounds", "participants", "deviations")
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary, rounds, participants, deviations
