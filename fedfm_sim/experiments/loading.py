"""Give back the result that a run's folder keeps."""

from __future__ import annotations

from pathlib import Path

from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.folder import BEGUN, RunFolder
from fedfm_sim.games.deviation import deviation_test
from fedfm_sim.learning.adapters import adapter_layout
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.mechanisms.theory.holdup import HoldUp
from fedfm_sim.scenarios.loader import load_lock
from fedfm_sim.simulation.departure import Departure
from fedfm_sim.simulation.deviations import rounds_tried
from fedfm_sim.simulation.population.result import PopulationResult
from fedfm_sim.simulation.result import RunResult


def load(folder: str | Path) -> RunResult | PopulationResult:
    """Return the result of a run that was kept, as `run` gave it.

    Raises
    ------
    UserError
        When there is no such folder, a file is damaged or of another run, or the run was
        stopped before it wrote its result.
    """
    kept = RunFolder.existing(folder)
    summary = kept.summary()
    if summary["status"] == BEGUN:
        raise UserError(f"{folder}: the run was stopped; go on with fedfm-sim run --resume")
    kept.check_lock()
    scenario, seed = load_lock(kept.lock)
    if scenario.outcomes.source == "measured":
        actions = tuple(summary["actions"])
        return PopulationResult(scenario, seed, summary, kept.read_table("rounds"), actions)
    rounds, deviations = kept.read_table("rounds"), kept.read_table("deviations")
    layout = adapter_layout(load_backbone(scenario.backbone), scenario.lora)
    return RunResult(
        scenario,
        seed,
        summary,
        rounds,
        kept.read_table("participants"),
        deviations,
        deviation_test(deviations, rounds_tried(scenario, len(rounds))),
        kept.read_table("journal"),
        kept.adapter(layout),
        _departure(kept, summary["departure"]),
    )


def _departure(kept: RunFolder, told: dict[str, float | str] | None) -> Departure | None:
    if told is None:
        return None
    threat = HoldUp(float(told["share"]), float(told["loss"]), float(told["threat"]))
    tables = kept.read_table("departure"), kept.read_table("shares")
    return Departure(tables[0], str(told["executor"]), tables[1], threat)
