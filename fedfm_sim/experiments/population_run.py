"""Run a scenario whose outcomes are measured: very many participants, and no training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fedfm_sim.core.random import Streams
from fedfm_sim.experiments.files import write_parquet, write_text
from fedfm_sim.reporting.population import write_population_report
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import Measurements
from fedfm_sim.simulation.population import Population
from fedfm_sim.simulation.population_result import PopulationResult, round_row, summarise

Progress = Callable[[int, int], None]


def run_population(
    scenario: Scenario, seed: int, folder: Path | None, progress: Progress | None = None
) -> PopulationResult:
    """Play a scenario's rounds on the surface that its table of measured runs gives.

    Parameters
    ----------
    scenario : Scenario
        With ``outcomes.source = "measured"``.
    seed : int
    folder : Path, optional
        Of the lock file; gets the table of rounds after each, the summary and the report.
    progress : callable, optional
        Called with (rounds finished, rounds) before the first and after each.

    Returns
    -------
    PopulationResult
        Its summary's ``status`` is "interrupted" after a KeyboardInterrupt, with the rounds
        that were finished.

    Raises
    ------
    UserError
        When the table can't be read, was measured on another federation, or does not reach
        the shares that come up.
    """
    started = time.perf_counter()
    table = Measurements.load(scenario.outcomes.path)
    table.check(scenario)
    source = MeasuredOutcomes.fit(table)
    population = Population(scenario, table.actions, table.workload, Streams(seed, scenario.name))
    rows, status = [], "interrupted"
    try:
        for number in range(scenario.rounds):
            if progress is not None:
                progress(number, scenario.rounds)
            rows.append(round_row(population, source, *population.play_round(source)))
            if folder is not None:
                write_parquet(folder / "rounds.parquet", pd.DataFrame(rows))
        status = "finished"
        if progress is not None:
            progress(scenario.rounds, scenario.rounds)
    except KeyboardInterrupt:
        # The round in flight is in the arrays, but in no table.
        pass
    seconds = time.perf_counter() - started
    result = summarise(scenario, seed, pd.DataFrame(rows), source, status, seconds)
    if folder is not None:
        text = json.dumps(result.summary, indent=2, allow_nan=False) + "\n"
        write_text(folder / "summary.json", text)
        write_population_report(result, folder / "report.html")
    return result
