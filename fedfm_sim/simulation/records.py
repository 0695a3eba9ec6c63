"""The tables of a run: what is written down of every round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.agents.ledger import LINES
from fedfm_sim.agents.participant import Participant
from fedfm_sim.mechanisms.contribution import Contribution, evaluate, is_sampled
from fedfm_sim.mechanisms.contribution.result import NoValueError
from fedfm_sim.security.detection import detection_auc
from fedfm_sim.simulation.conditions import BETWEEN
from fedfm_sim.simulation.deviations import COLUMNS
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.privacy_budget import released
from fedfm_sim.simulation.settlement import Settlement

#: A round's coalition game valued, by scheme; None where it was not due.
Contributions = Mapping[str, Contribution | None]


@dataclass
class Records:
    """Rows of tables: of rounds, of participants in rounds, and of deviations."""

    rounds: list[dict[str, Any]] = field(default_factory=list)
    participants: list[dict[str, Any]] = field(default_factory=list)
    deviations: list[dict[str, Any]] = field(default_factory=list)

    def copy(self) -> Records:
        """Return tables of their own with the same rows."""
        return Records([*self.rounds], [*self.participants], [*self.deviations])

    def cut(self, rounds: int) -> None:
        """Drop what was written down of later rounds than the first so many."""
        for rows in (self.rounds, self.participants, self.deviations):
            while rows and rows[-1]["round"] > rounds:
                rows.pop()

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], rounds: int) -> Records:
        """Return the rows of the first rounds of tables by name."""

        def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
            kept = table[table["round"] <= rounds] if len(table) else table
            return [{str(k): v for k, v in row.items()} for row in kept.to_dict("records")]

        return cls(*(rows(tables[name]) for name in ("rounds", "participants", "deviations")))

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return the tables of rounds, participants and deviations so far."""
        return (
            pd.DataFrame(self.rounds),
            pd.DataFrame(self.participants),
            pd.DataFrame(self.deviations, columns=COLUMNS),
        )


def contributions(play: Play) -> Contributions:
    """Return the value of each participant's contribution, in rounds where it is due."""
    settings, number = play.setting.scenario.contribution, play.updates.number
    if not settings.every or (number + 1) % settings.every:
        return dict.fromkeys(settings.schemes)
    return {name: _valued(play, name) for name in settings.schemes}


def _without(play: Play, valued: Contributions) -> list[str]:
    """Return which schemes gave no value in a round where one was due, a line each."""
    every = play.setting.scenario.contribution.every
    due = every and (play.updates.number + 1) % every == 0
    return [
        f"contribution '{name}': the game of the round has no such value"
        for name, own in valued.items()
        if due and own is None
    ]


def _valued(play: Play, name: str) -> Contribution | None:
    """Return a round's game valued by a scheme; None where it has no such value.

    The nucleolus, for one, needs an imputation, which a game has or not by how a round went.
    """
    settings = play.setting.scenario.contribution
    try:
        return evaluate(
            play.game,
            method=name,
            budget=settings.budget if is_sampled(name) else None,
            rng=play.setting.streams.generator(name, play.updates.number),
        )
    except NoValueError:
        return None


def round_row(settled: Settlement, valued: Contributions) -> dict[str, Any]:
    """Return the row of a round that was settled; its balance is filled in once it is paid."""
    play, setting = settled.play, settled.play.setting
    selected, core = play.allocation.selected, valued.get("least-core")
    return {
        "round": play.updates.number + 1,
        "accuracy": float(setting.evaluator.accuracies(play.new_adapter[None])[0]),
        "attack_success": play.attack_success(setting.evaluator.reference_trigger),
        "accuracy_lost": play.accuracy_lost,
        "price": play.announcement.price,
        "payments": float(settled.payments.sum()),
        "collected": play.collected,
        "detection_auc": detection_auc(play.suspicion, play.attacking),
        "fines": float(np.sum(settled.utility["fine"])),
        "server_balance": np.nan,
        "selected": int(selected.sum()),
        "audited": int(settled.audited.sum()),
        "convicted": int(settled.convicted.sum()),
        "residual": play.aggregate.residual,
        "quarantined": "; ".join(f"{k}: {why}" for k, why in play.reasons.items()),
        "conditions": BETWEEN.join([*play.conditions, *_without(play, valued)]),
        "megabytes": float(setting.costs.megabytes * selected.sum()),
        "gflops": float(setting.costs.gflops_per_unit * play.worked.sum()),
        "least_core_excess": None if core is None else getattr(core, "excess", None),
    }


def participant_rows(
    agents: Sequence[Participant], settled: Settlement, valued: Contributions
) -> list[dict[str, Any]]:
    """Return a row for each participant of a round that was settled."""
    play, utility = settled.play, settled.utility
    amounts = {line.name: np.asarray(utility[line.name]) for line in LINES}
    sums = {"reward": np.asarray(utility.reward), "utility": np.asarray(utility.total)}
    norms = np.sqrt(np.maximum(np.diag(play.gram), 0))
    gone = released(play)
    return [
        {
            "round": play.updates.number + 1,
            "participant": k,
            "kind": agent.kind,
            "action": play.names[k],
            "units_declared": float(play.units[k]),
            "units_worked": float(play.worked[k]),
            **{name: float(values[k]) for name, values in (amounts | sums).items()},
            "weight": float(play.weights[k]),
            "suspicion": float(play.suspicion[k]),
            "update_norm": float(norms[k]),
            **{name: float(values[k]) for name, values in gone.items()},
            "audited": bool(settled.audited[k]),
            "convicted": bool(settled.convicted[k]),
            "sold": play.sales[k].money if k in play.sales else np.nan,
            "traced": play.sales[k].accused == k if k in play.sales else None,
            "exposed": bool(settled.exposed[k]),
            "quarantined": play.reasons.get(k, ""),
            **{
                name.replace("-", "_"): None if own is None else float(own.values[k])
                for name, own in valued.items()
            },
        }
        for k, agent in enumerate(agents)
    ]
