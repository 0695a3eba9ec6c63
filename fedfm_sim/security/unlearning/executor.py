"""What an unlearning executor is, and the driver that runs many of them in one batch.

An executor is a generator: it yields a `Task` of local training and is sent the trained
adapters, until it returns the adapter that has forgotten. So a retraining, an ascent and
the executors of other seeds train side by side in the batched trainer, and what each cost
is counted in one place.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, cat

from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.aggregation import normalised, weighted_mean
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import Adjust, TrainingSettings
from fedfm_sim.security.unlearning.request import Request


@dataclass(frozen=True, eq=False)
class Task:
    """Local training that an executor asks for.

    Attributes
    ----------
    starts : Tensor
        (m, P) where each row starts.
    shards : sequence of m Examples
    members : sequence of m int
        Whose data it is; the server's own is -1. Names the draws.
    settings : TrainingSettings
    adjust : callable, optional
        Changes gradients, as in `fedfm_sim.learning.trainer.train`.
    """

    starts: Tensor
    shards: Sequence[Examples]
    members: Sequence[int]
    settings: TrainingSettings
    adjust: Adjust | None = None


@dataclass(frozen=True)
class Passes:
    """Examples that an executor took gradients of itself, to be counted."""

    examples: int


#: What an executor yields, is sent, and returns.
Steps = Generator[Task | Passes, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Unlearned:
    """What an executor made.

    Attributes
    ----------
    adapter : Tensor
        (P,) the adapter after unlearning.
    examples : int
        Examples of which gradients were taken, epochs included: the cost, recovery
        and the work of participants included.
    messages : int
        Adapters sent between server and participants.
    """

    adapter: Tensor
    examples: int
    messages: int


class Executor(Plugin):
    """Base of all executors; its fields are its parameters."""

    #: Where it was published.
    source: ClassVar[str] = ""
    #: What it needs besides the global adapter.
    needs: ClassVar[str] = ""
    #: Whether it works from what the server kept of past rounds.
    uses_history: ClassVar[bool] = False

    @abstractmethod
    def steps(self, request: Request) -> Steps:
        """Yield what is to be trained, and return the adapter (P,)."""

    def run(self, request: Request) -> Unlearned:
        """Execute one request alone."""
        return execute_together([(self, request)])[0]


@dataclass(eq=False)
class _Job:
    steps: Steps
    request: Request
    name: str
    pending: Task | None = None
    result: Tensor | None = None
    examples: int = 0
    messages: int = 0
    tasks: int = 0

    def advance(self, trained: Tensor | None) -> None:
        """Go on to the next training, or to the end."""
        try:
            asked = self.steps.send(trained)  # type: ignore[arg-type]
            while isinstance(asked, Passes):
                self.examples += asked.examples
                asked = next(self.steps)
            self.pending = asked
            self.tasks += 1
            self.examples += sum(map(len, asked.shards)) * asked.settings.epochs
            self.messages += 2 * sum(member >= 0 for member in asked.members)
        except StopIteration as stop:
            self.pending, self.result = None, stop.value


def execute_together(jobs: Sequence[tuple[Executor, Request]]) -> list[Unlearned]:
    """Run several executors, training together what shares a backbone and settings."""
    running = [_Job(own.steps(request), request, type(own).__name__) for own, request in jobs]
    for job in running:
        job.advance(None)
    while any(job.pending for job in running):
        groups: dict[tuple[object, ...], list[_Job]] = {}
        for number, job in enumerate(running):
            if (task := job.pending) is not None:
                alone = number if task.adjust is not None else -1
                kind = task.shards[0].labels.dtype  # classes, or distributions over them
                key = (id(job.request.federation.backbone), task.settings, kind, alone)
                groups.setdefault(key, []).append(job)
        for group in groups.values():
            _train(group)
    return [_finished(job) for job in running]


def _finished(job: _Job) -> Unlearned:
    if job.result is None:
        raise RuntimeError(f"{job.name} ended without an adapter")
    return Unlearned(job.result, job.examples, job.messages)


def _train(jobs: Sequence[_Job]) -> None:
    tasks = [job.pending for job in jobs if job.pending is not None]
    generators = [
        # The first draws of all executors are the same: common random numbers.
        job.request.streams.generator("unlearn", job.tasks, k)
        for job, task in zip(jobs, tasks, strict=True)
        for k in task.members
    ]
    trained = jobs[0].request.federation.train(
        [shard for task in tasks for shard in task.shards],
        generators,
        cat([task.starts for task in tasks]),
        tasks[0].settings,
        tasks[0].adjust,
    )
    start = 0
    for job, task in zip(jobs, tasks, strict=True):
        job.advance(trained.adapters[start : start + len(task.shards)])
        start += len(task.shards)


def federated_rounds(
    request: Request,
    start: Tensor,
    shards: Sequence[Examples],
    rounds: int,
    settings: TrainingSettings | None = None,
    adjust: Adjust | None = None,
) -> Steps:
    """Train rounds of FedAvg over those with data, from ``start`` (P,); returns the adapter."""
    members = [k for k, shard in enumerate(shards) if len(shard)]
    weights = normalised(np.array([len(shards[k]) for k in members], dtype=np.float64))
    adapter = start
    for _ in range(rounds):
        rows = yield Task(
            adapter.repeat(len(members), 1),
            [shards[k] for k in members],
            members,
            settings or request.federation.settings,
            adjust,
        )
        adapter = weighted_mean(rows, adapter, weights)
    return adapter


def mending(request: Request, start: Tensor, rounds: int) -> Steps:
    """Train short rounds of one local epoch over what is retained; returns the adapter."""
    settings = request.federation.settings.model_copy(update={"epochs": 1})
    return (yield from federated_rounds(request, start, request.retain, rounds, settings))
