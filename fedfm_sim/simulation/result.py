"""The result of a run, as a library user holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from fedfm_sim.agents.ledger import LINES, REWARD
from fedfm_sim.games.deviation import DeviationTest, deviation_test
from fedfm_sim.reporting.figures import draw
from fedfm_sim.reporting.html import write_report
from fedfm_sim.reporting.tables import (
    deviation_lines,
    model_line,
    ownership_lines,
    privacy_lines,
    remark_lines,
)
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.conditions import remarks_of
from fedfm_sim.simulation.departure import Departure
from fedfm_sim.simulation.deviations import rounds_tried
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.ownership import marks_read, theft
from fedfm_sim.simulation.privacy_budget import privacy_spent

#: The terms of Eq. 12, as columns of the tables.
TERMS = ["reward", *(line.name for line in LINES if line.name not in REWARD), "utility"]


@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """What a run gave; see `rounds` and `participants` for the raw figures.

    Attributes
    ----------
    scenario : Scenario
    seed : int
    summary : dict
        What ``--json`` prints: deterministic but for the key ``timing``.
    rounds, participants, deviations : DataFrame
        One row per round; per participant and round; per deviation tried.
    deviation_test : DeviationTest
        Eq. 13 over the deviations.
    journal : DataFrame
        Every transfer of money.
    adapter : Tensor
        (P,) the final global adapter; ``layout`` names its tensors.
    departure : Departure or None
        Who left after the last round, and what came of it.
    """

    scenario: Scenario
    seed: int
    summary: dict[str, Any]
    rounds: pd.DataFrame
    participants: pd.DataFrame
    deviations: pd.DataFrame
    deviation_test: DeviationTest
    journal: pd.DataFrame
    adapter: Tensor
    departure: Departure | None = None

    @property
    def utilities(self) -> pd.DataFrame:
        """Return round, participant, kind and the terms of Eq. 12."""
        return self.participants[["round", "participant", "kind", *TERMS]]

    def by_kind(self) -> pd.DataFrame:
        """Return the mean per round and participant of each term, by kind."""
        return self.participants.groupby("kind", sort=True)[TERMS].mean()

    def plot(self, name: str) -> Axes:
        """Draw one of the figures listed in `fedfm_sim.reporting.figures.FIGURES`."""
        return draw(name, self)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report and return its path."""
        return write_report(self, Path(path))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each round."""
        return self.rounds

    def __repr__(self) -> str:
        own = self.summary
        head = (
            f"RunResult({own['scenario']}, seed {self.seed}: {own['rounds']} rounds of "
            f"{own['participants']} participants, {own['status']})"
        )
        lines = [
            model_line(own),
            *ownership_lines(own),
            *privacy_lines(own),
            *deviation_lines(own),
            *remark_lines(own),
        ]
        return "\n  ".join([head, *lines])


def collect(
    model: FederationModel,
    seed: int,
    status: str,
    seconds: float,
    departure: Departure | None = None,
) -> RunResult:
    """Return the result of a model after its last round, or after an interruption."""
    scenario = model.setting.scenario
    rounds, participants, deviations = model.tables()
    test = deviation_test(deviations, rounds_tried(scenario, len(rounds)))
    best = test.best
    last = rounds.iloc[-1] if len(rounds) else None
    kinds = (
        participants.groupby("kind", sort=True)["utility"].mean().to_dict()
        if len(participants)
        else {}
    )
    summary: dict[str, Any] = {
        "scenario": scenario.name,
        "seed": seed,
        "status": status,
        "rounds": len(rounds),
        "participants": scenario.participants.count,
        "accuracy_before": model.accuracy_before,
        "accuracy_after": model.accuracy_before if last is None else float(last["accuracy"]),
        "attack_success": 0.0 if last is None else float(last["attack_success"]),
        "accuracy_lost": float(rounds["accuracy_lost"].mean()) if len(rounds) else 0.0,
        "leakage": _mean(participants, "privacy"),
        "megabytes": float(rounds["megabytes"].sum()) if len(rounds) else 0.0,
        "privacy_spent": privacy_spent(model.setting, participants),
        "marks": marks_read(model.setting),
        "theft": theft(model.setting, participants),
        "departure": None if departure is None else departure.summary,
        "payments": float(rounds["payments"].mean()) if len(rounds) else 0.0,
        "selected": float(rounds["selected"].mean()) if len(rounds) else 0.0,
        "server_balance": float(model.book.balance("server")),
        "utility_by_kind": {kind: float(value) for kind, value in kinds.items()},
        "epsilon_star": test.epsilon_star if len(deviations) else None,
        "epsilon_star_deviation": None
        if best is None
        else {
            "participant": int(best["participant"]),
            "action": str(best["action"]),
            "gain": float(best["gain"]),
            # Not of this one gain: of the largest of all.
            "low": test.epsilon.plain()["low"],
            "high": test.epsilon.plain()["high"],
            "rounds": int(best["rounds"]),
            "of": len(test.gains),
        },
        "money_error": money_error(model, participants),
        "remarks": remarks_of(model.setting.remarks, rounds),
        "timing": {"seconds": round(seconds, 3)},
    }
    journal = model.book.to_frame()
    return RunResult(
        scenario,
        seed,
        summary,
        rounds,
        participants,
        deviations,
        test,
        journal,
        model.adapter,
        departure,
    )


def _mean(participants: pd.DataFrame, column: str) -> float:
    """Return the mean over those who took part; 0 when nobody did."""
    if not len(participants):
        return 0.0
    present = participants[participants["weight"].notna() & (participants["units_declared"] > 0)]
    return float(present[column].mean()) if len(present) else 0.0


def money_error(model: FederationModel, participants: pd.DataFrame) -> float:
    """Return how far accounts and utilities disagree, money.

    The larger of the books' own error and, over participants, of the
    difference between what an account and its deposit gained and the sum of
    the rewards less costs that the utilities report.
    """
    if not len(participants):
        return model.book.money_error
    flows = participants["reward"] - participants["cost"]
    reported = flows.groupby(participants["participant"]).sum().to_numpy()
    held = model.book.balances + model.book.locked
    return max(model.book.money_error, float(abs(held - reported).max()))
