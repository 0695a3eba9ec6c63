"""The table of attacks and defences: every pair played out, all of them trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from fedfm_sim.agents.actions import HONEST, KINDS
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices
from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.core.registry import NestedError
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import TriggerAttack
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.detection import detection_auc
from fedfm_sim.simulation.conditions import BETWEEN
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.round import step_together
from fedfm_sim.simulation.setting import Setting


@dataclass(eq=False)
class _Cell:
    """One federation under one attack and one defence."""

    attack: str
    defence: str
    model: FederationModel
    areas: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    conditions: dict[str, None] = field(default_factory=dict)

    def take_note(self, play: Play) -> None:
        """Measure a round."""
        self.areas.append(detection_auc(play.suspicion, play.attacking))
        self.residuals.append(play.aggregate.residual)
        self.conditions |= dict.fromkeys(play.conditions)


def robustness(
    scenario: Scenario,
    attacks: Mapping[str, Sequence[str]],
    defences: Mapping[str, Mapping[str, object]],
    seed: int,
    progress: Progress = unwatched,
) -> pd.DataFrame:
    """Play every attack against every defence, in the scenario's federation.

    The cells share data, backbone and random draws, and all their local trainings of a
    round are one batch; a cell gives what a run of its own with fixed actions would.

    Parameters
    ----------
    scenario : Scenario
        Its malicious participants carry out the attacks; the others contribute.
    attacks : mapping of str to sequence of str
        Heading to the actions that go round the malicious; "contribute" for none.
    defences : mapping of str to mapping
        Heading to the ``defence`` section of a scenario.
    seed : int
    progress : callable
        Called with (rounds finished, rounds).

    Returns
    -------
    DataFrame
        One row per cell: ``attack``, ``defence``, ``seed``, ``base_accuracy`` of the model that
        all start from, ``accuracy`` at the end, ``attack_success`` of the attack's trigger (or
        the scenario's) over the base model's, ``accuracy_lost`` against the cell of the same
        defence in which all contribute (NaN where there is none), ``detection_auc`` as the
        mean over rounds, ``residual``, the share of the change lost in folding, as the mean
        over rounds, and ``conditions``, the published ones of defence or attack that failed in
        some round.

    Raises
    ------
    UserError
        When nobody is malicious, or an action or a defence is unknown or does not fit.
    """
    variants = cell_scenarios(scenario, attacks, defences)
    setting = Setting.create(scenario, seed)
    cells = [
        _Cell(*names, FederationModel(variant, seed, like=setting, recording=False))
        for names, variant in variants.items()
    ]
    progress(0, scenario.rounds)
    for number in range(scenario.rounds):
        for cell, settled in zip(cells, step_together([c.model for c in cells]), strict=True):
            cell.take_note(settled.play)
        progress(number + 1, scenario.rounds)
    frame = _measured(setting, cells, seed)
    honest = (name for name, actions in attacks.items() if set(actions) == {HONEST})
    return frame.assign(accuracy_lost=accuracy_lost(frame, next(honest, "")))


def accuracy_lost(frame: pd.DataFrame, honest: str) -> pd.Series:
    """Return what attacks cost in accuracy: that of all honest under the same defence, less it.

    What untargeted attacks are after; negative where a cell happens to be the better one.

    Parameters
    ----------
    frame : DataFrame
        Cells of one seed.
    honest : str
        The heading under ``attack`` of the cells in which all contribute.
    """
    accuracy = frame[frame["attack"] == honest].set_index("defence")["accuracy"]
    return frame["defence"].map(accuracy) - frame["accuracy"]


def cell_scenarios(
    scenario: Scenario,
    attacks: Mapping[str, Sequence[str]],
    defences: Mapping[str, Mapping[str, object]],
) -> dict[tuple[str, str], Scenario]:
    """Return the scenario of each cell, by attack and defence.

    Raises
    ------
    UserError
        As `robustness`.
    """
    if not scenario.participants.malicious:
        raise UserError("participants.malicious: expected at least 1 to attack")
    return {
        (attack, defence): cell_scenario(scenario, attack, actions, defence, section)
        for attack, actions in attacks.items()
        for defence, section in defences.items()
    }


def told_attackers(scenario: Scenario, defences: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return a section for each rule; those that ask are told how many attack."""
    attackers = scenario.participants.malicious
    return {
        name: {"name": name}
        | ({"attackers": attackers} if "attackers" in DEFENCES[name].model_fields else {})
        for name in defences
    }


def cell_scenario(
    scenario: Scenario,
    attack: str,
    actions: Sequence[str],
    defence: str,
    section: Mapping[str, object],
) -> Scenario:
    """Return the scenario whose run a cell is.

    Raises
    ------
    UserError
        When an action or the defence is unknown or does not fit.
    """
    for name in actions:
        if name not in scenario.action_table:
            hint = choices(name, scenario.action_table)
            raise UserError(f"attack '{attack}': unknown action '{name}'{hint}")
    try:
        DEFENCES.build(section)
    except NestedError as error:
        raise UserError(f"defence '{defence}': {error.line}") from None
    values: dict[str, Any] = {"defence": dict(section)}
    values |= {"deviations.rounds": 0, "contribution.every": 0}
    for kind in KINDS:
        played = list(actions) if kind == "malicious" else [HONEST]
        values[f"policies.{kind}"] = {"name": "fixed", "action": played}
        values[f"action_sets.{kind}"] = [*dict.fromkeys([*scenario.action_set(kind), *played])]
    return overridden(scenario.to_play(), values)


def _measured(setting: Setting, cells: Sequence[_Cell], seed: int) -> pd.DataFrame:
    adapters = torch.stack([cell.model.adapter for cell in cells])
    accuracy = setting.evaluator.accuracies(adapters)
    base = float(setting.evaluator.accuracies(setting.federation.adapter[None])[0])
    triggers = [_trigger(cell) for cell in cells]
    success = np.zeros(len(cells))
    for trigger in dict.fromkeys(triggers):
        own = np.array([t == trigger for t in triggers])
        rates = setting.evaluator.trigger_rates(adapters[torch.from_numpy(own)], trigger)
        success[own] = np.maximum(0.0, rates - setting.evaluator.base_trigger_rate(trigger))
    return pd.DataFrame(
        {
            "attack": [cell.attack for cell in cells],
            "defence": [cell.defence for cell in cells],
            "seed": seed,
            "base_accuracy": base,
            "accuracy": accuracy,
            "attack_success": success,
            "detection_auc": [float(np.mean(cell.areas)) for cell in cells],
            "residual": [float(np.mean(cell.residuals)) for cell in cells],
            "conditions": [BETWEEN.join(cell.conditions) for cell in cells],
        }
    )


def _trigger(cell: _Cell) -> TriggerAttack:
    setting = cell.model.setting
    attacks = [setting.attacks.get(agent.action) for agent in cell.model.participants]
    own = (attack for attack in attacks if isinstance(attack, TriggerAttack))
    return next(own, setting.evaluator.reference_trigger)
