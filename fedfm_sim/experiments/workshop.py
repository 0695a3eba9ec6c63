"""Many runs: an engine says where they are executed, a shelf how they are kept.

The two are separate objects, as evaluators and storage are in the EMA workbench (Kwakkel,
Environmental Modelling & Software 96, 2017). What a study asks of a workshop is the same
whichever it has: results in the order of the jobs, the same for any engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd
from joblib import Parallel, delayed, parallel_config

from fedfm_sim.core.progress import Progress, Tell, silent, unwatched
from fedfm_sim.core.registry import REGISTERED
from fedfm_sim.core.workers import end_with, interrupts_ignored
from fedfm_sim.experiments.cost import warn_of_cost
from fedfm_sim.experiments.folder import RunFolder
from fedfm_sim.experiments.run import run
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.scenarios.work import Work, check_work, work_of
from fedfm_sim.simulation.conditions import BETWEEN

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Shelf:
    """How results are kept: each in a folder of its own, or not at all.

    Attributes
    ----------
    folder : Path or None
        With a folder for each job; None keeps nothing.
    resume : bool
        Whether what the same jobs left there is taken, and gone on with.
    reports : bool
        Whether each run gets a report; its pictures take seconds.
    """

    folder: Path | None = None
    resume: bool = False
    reports: bool = False

    def place(self, name: str) -> Path | None:
        """Return where the result of a name goes."""
        return None if self.folder is None else self.folder / name


class Job(Protocol[T_co]):
    """Something to execute once, that keeps its own result."""

    @property
    def name(self) -> str:
        """Of its folder; different for all jobs of a study."""

    @property
    def scenario(self) -> Scenario:
        """Of which federations are trained."""

    @property
    def work(self) -> Work:
        """How much it is to do."""

    def execute(self, shelf: Shelf) -> T_co | None:
        """Return the result, made or taken from the shelf; None when it was interrupted."""


class Engine(Protocol):
    """Where jobs are executed."""

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
        """Iterate over what the function gives for each, in their order."""


@dataclass(frozen=True)
class Processes:
    """So many processes on this machine; 1 is this process.

    A process for each core is faster than threads on models this small.
    """

    jobs: int = 1

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
        """Iterate over what the function gives for each, in their order."""
        own = {"initializer": end_with, "initargs": (os.getpid(),)}
        with parallel_config(backend="loky", inner_max_num_threads=1, **own):
            with interrupts_ignored():  # workers inherit that: an interrupt is for this process
                results = Parallel(n_jobs=self.jobs, return_as="generator")(
                    delayed(function)(item) for item in items
                )
            yield from results


@dataclass(frozen=True)
class _Execute(Generic[T]):
    """A job's execution, as another process can be sent it, with what is registered here."""

    shelf: Shelf
    registered: dict[tuple[str, str], Any]

    def __call__(self, job: Job[T]) -> T | None:
        REGISTERED.update(self.registered)
        return job.execute(self.shelf)


@dataclass
class Workshop:
    """Where a study has its runs made.

    Attributes
    ----------
    shelf : Shelf
    engine : Engine
    progress : callable
        Called with (jobs finished, jobs).
    tell : callable
        Called with a line on how long jobs are going to take, before they start.
    """

    shelf: Shelf = field(default_factory=Shelf)
    engine: Engine = field(default_factory=Processes)
    progress: Progress = unwatched
    tell: Tell = silent

    @classmethod
    def at(
        cls,
        folder: str | Path | None = None,
        resume: bool = False,
        jobs: int = 1,
        progress: Progress = unwatched,
        reports: bool = False,
        tell: Tell = silent,
    ) -> Workshop:
        """Return a workshop that keeps runs in a folder, in so many processes."""
        shelf = Shelf(None if folder is None else Path(folder).expanduser(), resume, reports)
        return cls(shelf, Processes(jobs), progress, tell)

    def make(self, jobs: Sequence[Job[T]]) -> list[T]:
        """Execute all jobs, in their order.

        Raises
        ------
        KeyboardInterrupt
            When one is interrupted; those before it are kept.
        UserError
            When one could not end, before any is begun.
        """
        for job in jobs:
            check_work(job.scenario)
        if self.tell is not silent:
            at_once = self.engine.jobs if isinstance(self.engine, Processes) else 1
            warn_of_cost([(job.scenario, job.work) for job in jobs], self.tell, at_once)
        made: list[T] = []
        self.progress(0, len(jobs))
        for done in self.engine.map(_Execute[T](self.shelf, dict(REGISTERED)), jobs):
            if done is None:
                raise KeyboardInterrupt
            made.append(done)
            self.progress(len(made), len(jobs))
        return made


@dataclass(frozen=True)
class Plan:
    """One run to make: a job.

    Attributes
    ----------
    name : str
    scenario : Scenario
    seed : int
    """

    name: str
    scenario: Scenario
    seed: int

    @property
    def work(self) -> Work:
        """How much it is to do."""
        return work_of(self.scenario)

    def execute(self, shelf: Shelf) -> Finished | None:
        """Return the finished run; None when it was interrupted."""
        place = shelf.place(self.name)
        made = run(self.scenario, self.seed, place, report=shelf.reports, resume=shelf.resume)
        if made.summary["status"] != "finished":
            return None
        return Finished(self, made.summary, made.rounds, made.participants, made.deviations)


@dataclass(frozen=True, eq=False)
class Finished:
    """What a study looks at of a run; the tables are those of `RunResult`."""

    plan: Plan
    summary: dict[str, Any]
    rounds: pd.DataFrame
    participants: pd.DataFrame
    deviations: pd.DataFrame

    @property
    def remarks(self) -> str:
        """What is to be said with the result, as one cell of a table holds it."""
        return BETWEEN.join(self.summary.get("remarks", ()))


@dataclass(frozen=True)
class Cells:
    """A table that takes training: a job whose result is one DataFrame.

    Attributes
    ----------
    name : str
    scenario : Scenario
    seed : int
    what : tuple
        What the table depends on beside scenario and seed.
    made_by : callable
        Of the job, what gives the table; to be found in a module, as other processes need it.
    """

    name: str
    scenario: Scenario
    seed: int
    what: tuple[Any, ...]
    made_by: Callable[[Cells], pd.DataFrame]

    @property
    def work(self) -> Work:
        """How much it is to do, if nothing is shared: a federation for each cell."""
        cells = prod(len(names) for names in self.what if isinstance(names, tuple))
        return Work(cells * self.scenario.rounds * self.scenario.participants.count)

    def execute(self, shelf: Shelf) -> pd.DataFrame:
        """Return the table, made or taken from the shelf."""
        place = shelf.place(self.name)
        if place is None:
            return self.made_by(self)
        with RunFolder.of(place, self.scenario, self.seed, *self.what) as folder:
            if shelf.resume and folder.is_finished:
                return folder.read_table("cells")
            table = self.made_by(self)
            folder.begin(self.scenario, self.seed)
            folder.write_table("cells", table)
            folder.write_summary({"status": "finished", "seed": self.seed})
            return table
