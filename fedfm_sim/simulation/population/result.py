"""The result of a run of a population, as a library user holds it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.reporting.population import (
    draw_panel,
    measured_line,
    money_line,
    write_population_report,
)
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.population.arrays import Population
from fedfm_sim.simulation.population.faced import Faced, Totals


@dataclass(frozen=True, eq=False, repr=False)
class PopulationResult:
    """What a run with measured outcomes gave.

    Attributes
    ----------
    scenario : Scenario
    seed : int
    summary : dict
        What ``--json`` prints: deterministic but for the key ``timing``.
    rounds : DataFrame
        One row per round: ``share:`` of each action, ``success:`` and ``leakage:`` of each
        as measured, accuracy, what of it is lost against all contributing
        (``accuracy_lost``, NaN where that was not measured), one standard deviation of the surface
        (``accuracy_deviation``, ``success_deviation:``), the terms of Eq. 12 as means
        per participant, and totals of money.
    actions : tuple of str
    """

    scenario: Scenario
    seed: int
    summary: dict[str, Any]
    rounds: pd.DataFrame
    actions: tuple[str, ...]

    @property
    def participants(self) -> pd.DataFrame:
        """Return no row: nothing is kept by participant, there are too many."""
        return pd.DataFrame(columns=["round", "participant"])

    @property
    def deviations(self) -> pd.DataFrame:
        """Return no row: everybody compares all actions every round, and nothing is tried."""
        return pd.DataFrame(columns=["round", "participant", "action", "gain"])

    def plot(self, name: str) -> Axes:
        """Draw one of the figures listed in `fedfm_sim.reporting.population.PANELS`."""
        return draw_panel(name, self)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report and return its path."""
        return write_population_report(self, Path(path))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each round."""
        return self.rounds

    def __repr__(self) -> str:
        own = self.summary
        head = (
            f"PopulationResult({own['scenario']}, seed {self.seed}: {own['rounds']} rounds, "
            f"{own['status']})"
        )
        return "\n  ".join([head, money_line(self), measured_line(self)])


def round_row(
    population: Population, source: MeasuredOutcomes, faced: Faced, totals: Totals
) -> dict[str, Any]:
    """Return the row of the round that was just played."""
    shares = population.shares
    outcome, deviation = source.outcome(shares), source.uncertainty(shares)
    size, each = population.size, dict(zip(population.actions, range(len(shares)), strict=True))
    means = ("payment", "proceeds", "fine", "cost", "reputation", "privacy", "efficiency")
    return {
        "round": population.round,
        "price": faced.price,
        "accuracy": outcome.accuracy,
        "accuracy_deviation": deviation.accuracy,
        "accuracy_lost": _all_honest(source) - outcome.accuracy,
        **{f"share:{name}": float(shares[a]) for name, a in each.items()},
        **{f"success:{name}": float(outcome.success[a]) for name, a in each.items()},
        **{f"success_deviation:{name}": float(deviation.success[a]) for name, a in each.items()},
        **{f"leakage:{name}": float(outcome.leakage[a]) for name, a in each.items()},
        **{name: getattr(totals, name) / size for name in (*means, "utility")},
        "audited": totals.audited,
        "convicted": totals.convicted,
        "payments": totals.payment,
        "fines": totals.fine,
        "server_balance": population.server,
        "money_error": population.money_error,
    }


def _all_honest(source: MeasuredOutcomes) -> float:
    """Return the accuracy where all contribute; NaN where that was not measured."""
    if HONEST not in source.actions:
        return float("nan")
    try:
        return source.outcome(np.array([float(name == HONEST) for name in source.actions])).accuracy
    except UserError:
        return float("nan")


def summarise(
    scenario: Scenario,
    seed: int,
    rounds: pd.DataFrame,
    source: MeasuredOutcomes,
    status: str,
    seconds: float,
) -> PopulationResult:
    """Return the result of the rounds that were finished."""
    last = rounds.iloc[-1] if len(rounds) else None
    actions = source.actions
    success = 0.0 if last is None else max(float(last[f"success:{name}"]) for name in actions)
    lost = None if last is None else float(last["accuracy_lost"])
    lost = None if lost is None or isnan(lost) else lost
    summary: dict[str, Any] = {
        "scenario": scenario.name,
        "seed": seed,
        "status": status,
        "rounds": len(rounds),
        "participants": scenario.participants.count,
        "accuracy_after": None if last is None else float(last["accuracy"]),
        "attack_success": success,
        "actions": list(actions),
        "accuracy_lost": lost,
        "shares": {} if last is None else {name: float(last[f"share:{name}"]) for name in actions},
        "utility_by_kind": {} if last is None else {"all": float(rounds["utility"].mean())},
        "leakage": float(rounds["privacy"].mean()) if len(rounds) else 0.0,
        "payments": float(rounds["payments"].mean()) if len(rounds) else 0.0,
        "fines": float(rounds["fines"].mean()) if len(rounds) else 0.0,
        "audited": int(rounds["audited"].sum()) if len(rounds) else 0,
        "convicted": int(rounds["convicted"].sum()) if len(rounds) else 0,
        "server_balance": 0.0 if last is None else float(last["server_balance"]),
        "money_error": float(rounds["money_error"].max()) if len(rounds) else 0.0,
        "measured": {
            "table": scenario.outcomes.table,
            "runs": source.runs[["scenario", "seed", "digest"]]
            .value_counts(sort=False)
            .rename("federations")
            .reset_index()
            .to_dict("records"),
            "held_out_error": source.error,
            "held_out_coverage": source.coverage,
        },
        "timing": {"seconds": round(seconds, 3)},
    }
    return PopulationResult(scenario, seed, summary, rounds, actions)
