"""The two sorts of runs as `fedfm_sim.experiments.run` plays them: round by round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from fedfm_sim.core.random import Streams
from fedfm_sim.experiments.departure import depart
from fedfm_sim.experiments.folder import ROUND_TABLES, RunFolder
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import Measurements
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.population.arrays import Population
from fedfm_sim.simulation.population.result import PopulationResult, round_row, summarise
from fedfm_sim.simulation.records import Records
from fedfm_sim.simulation.result import RunResult, collect
from fedfm_sim.simulation.state import (
    State,
    all_or_nothing,
    population_state,
    put_back,
    put_population_back,
    state_of,
)


class Playing(Protocol):
    """A run that is being played."""

    scenario: Scenario

    @property
    def round(self) -> int:
        """Rounds finished."""

    def step(self) -> None:
        """Play the next round."""

    def keep(self, folder: RunFolder) -> None:
        """Write what is there after a round, or after several."""

    def resume(self, folder: RunFolder, state: State) -> None:
        """Go on from a state, and from the tables and files beside it."""

    def result(self, status: str, seconds: float) -> RunResult | PopulationResult:
        """Return what the run gave so far."""

    def finish(self, folder: RunFolder, result: RunResult | PopulationResult) -> None:
        """Write what a run ends with beside that, but for its summary and report."""


class PlayingFederation:
    """A run of a federation of agents.

    Parameters
    ----------
    keep_updates : bool
        Whether what was aggregated in each round is kept, as unlearning needs it; a
        departure needs it, too.
    """

    def __init__(self, scenario: Scenario, seed: int, keep_updates: bool) -> None:
        self.scenario, self.seed, self.departs = scenario, seed, scenario.departure is not None
        self.model = FederationModel(scenario, seed, keep_updates or self.departs)
        self._kept = 0

    @property
    def round(self) -> int:
        """Rounds finished."""
        return self.model.round

    def step(self) -> None:
        """Play the next round, or none of it where the step is stopped."""
        with all_or_nothing(self.model):
            self.model.step()

    def keep(self, folder: RunFolder) -> None:
        """Write tables, updates and state."""
        for number in range(self._kept, len(self.model.history)):
            folder.write_history(number + 1, self.model.history[number])
        self._kept = len(self.model.history)
        folder.write_round(self._tables(), state_of(self.model))

    def _tables(self) -> Mapping[str, pd.DataFrame]:
        return dict(zip(ROUND_TABLES, self.model.tables(), strict=True))

    def resume(self, folder: RunFolder, state: State) -> None:
        """Go on from a state; without the updates that it needs, from the start."""
        model, rounds = self.model, int(state["round"])
        history = folder.history(rounds) if model.keep_updates else ()
        if model.keep_updates and len(history) < rounds:
            return
        tables = {name: folder.read_table(name) for name in ROUND_TABLES}
        put_back(model, state)
        model.records = Records.of(tables, rounds)
        model.history = list(history)
        self._kept = len(history)

    def result(self, status: str, seconds: float) -> RunResult:
        """Return what the run gave so far, and who left after its last round."""
        departure = depart(self.model) if self.departs and status == "finished" else None
        return collect(self.model, self.seed, status, seconds, departure)

    def finish(self, folder: RunFolder, result: RunResult | PopulationResult) -> None:
        """Write journal, adapter and departure."""
        assert isinstance(result, RunResult)
        folder.write_table("journal", result.journal)
        federation = self.model.setting.federation
        folder.write_adapter(result.adapter, federation.layout, federation.backbone)
        if result.departure is not None:
            folder.write_table("departure", result.departure.table)
            folder.write_table("shares", result.departure.shares)


class PlayingPopulation:
    """A run of very many participants, whose outcomes are read off measured ones.

    Raises
    ------
    UserError
        When the table can't be read, was measured on another federation, or does not reach
        the shares that come up.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        table = Measurements.load(scenario.outcomes.path)
        table.check(scenario)
        self.source = MeasuredOutcomes.fit(table)
        streams = Streams(seed, scenario.name)
        self.population = Population(scenario, table.actions, table.workload, streams)
        self.rows: list[dict[str, object]] = []
        # Arrays of this size are not copied before every round, to be put back.
        self._whole = True

    @property
    def round(self) -> int:
        """Rounds finished."""
        return len(self.rows)

    def step(self) -> None:
        """Play the next round."""
        population, source = self.population, self.source
        self._whole = False
        self.rows.append(round_row(population, source, *population.play_round(source)))
        self._whole = True

    def keep(self, folder: RunFolder) -> None:
        """Write the table of rounds, and the state unless a round was stopped within."""
        state = population_state(self.population) if self._whole else None
        folder.write_round({"rounds": pd.DataFrame(self.rows)}, state)

    def resume(self, folder: RunFolder, state: State) -> None:
        """Go on from a state."""
        rounds = folder.read_table("rounds")
        kept = rounds[rounds["round"] <= state["round"]].to_dict("records")
        self.rows = [{str(key): value for key, value in row.items()} for row in kept]
        put_population_back(self.population, state)

    def result(self, status: str, seconds: float) -> PopulationResult:
        """Return what the run gave so far."""
        rounds = pd.DataFrame(self.rows)
        return summarise(self.scenario, self.seed, rounds, self.source, status, seconds)

    def finish(self, folder: RunFolder, result: RunResult | PopulationResult) -> None:
        """Write nothing more."""
