"""How long work is going to take on this machine, said before it starts where it is long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.progress import Tell, in_time
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.scenarios.work import Work
from fedfm_sim.simulation.round import Round
from fedfm_sim.simulation.setting import Setting

#: Work that takes longer, in seconds, is told of before it starts.
LONG = 60.0

#: Below so many coalitions and trainings, work is not long enough to measure the machine.
FEW = Work(trainings=2000, coalitions=10_000)

#: Models and participants that the machine is measured with.
MODELS, TRAINED = 64, 8


@dataclass(frozen=True)
class Pace:
    """Seconds that this machine takes for one training, and for one coalition."""

    training: float
    coalition: float

    def seconds(self, work: Work) -> float:
        """Return how long some work takes."""
        return self.training * work.trainings + self.coalition * work.coalitions


def pace_of(scenario: Scenario) -> Pace:
    """Return the pace of a scenario's model and data, measured on a few trainings and models.

    Trainings go faster by the dozen than by the few that are measured, so that long work may
    end sooner than expected.
    """
    count = min(TRAINED, scenario.participants.count)
    plain = overridden(scenario.to_play(), {"mechanism": {"name": "posted-price"}})
    setting = Setting.create(plain, 0)
    updates = Round.open_to_all(setting, 0).updates
    updates.prepare([(0, HONEST)])  # the first of all takes longer
    others = range(1, count)
    training = _timed(lambda: updates.prepare((k, HONEST) for k in others)) / max(1, len(others))
    federation, examples = setting.federation, setting.holdings.coalition_examples
    adapters = federation.adapter.repeat(MODELS, 1)
    federation.evaluate(adapters[:1], examples)
    coalition = _timed(lambda: federation.evaluate(adapters, examples)) / MODELS
    return Pace(training, coalition)


def warn_of_cost(jobs: Sequence[tuple[Scenario, Work]], tell: Tell, at_once: int = 1) -> None:
    """Say how long work is going to take, where it is long, and what costs most.

    Parameters
    ----------
    jobs : sequence of (Scenario, Work)
    tell : callable
        Called with each line.
    at_once : int
        Jobs that go on at the same time.
    """
    whole = sum((work for _, work in jobs), Work())
    if whole.trainings <= FEW.trainings and whole.coalitions <= FEW.coalitions:
        return
    dearest, _ = max(jobs, key=lambda job: (job[1].coalitions, job[1].trainings))
    pace = pace_of(dearest)
    seconds = pace.seconds(whole) / at_once
    if seconds < LONG:
        return
    said = f"this takes about {in_time(seconds)} here: {whole.trainings:,} local trainings"
    if whole.coalitions:
        said += f" and {whole.coalitions:,} valuations of coalitions"
    tell(said)
    if pace.coalition * whole.coalitions > seconds * at_once / 2:
        tell(f"most of it is for {whole.why}")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
