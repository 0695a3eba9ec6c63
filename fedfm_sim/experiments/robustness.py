"""The table of attacks and defences: every pair played out, all of them trained together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import NestedError
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import TriggerAttack
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.detection import detection_auc
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.updates import RoundUpdates, prepare_together

Progress = Callable[[int, int], None]


@dataclass(eq=False)
class _Cell:
    """One federation under one attack and one defence."""

    attack: str
    defence: str
    setting: Setting
    names: tuple[str, ...]
    areas: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)

    def play(self, updates: RoundUpdates) -> None:
        """Play a round whose updates are there, and move on."""
        nobody = np.zeros(len(self.names))
        announcement = self.setting.mechanism.announce(self.setting.market(nobody))
        play = Play(self.setting, updates, self.names, announcement, nobody, nobody)
        self.areas.append(detection_auc(play.suspicion, play.attacking))
        self.residuals.append(play.aggregate.residual)
        self.setting.defence.learn(play.uploads, play.aggregate)
        self.setting.federation.advance(play.new_adapter())


def robustness(
    scenario: Scenario,
    attacks: Mapping[str, Sequence[str]],
    defences: Mapping[str, Mapping[str, object]],
    seed: int,
    progress: Progress | None = None,
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
    progress : callable, optional
        Called with (rounds finished, rounds).

    Returns
    -------
    DataFrame
        One row per cell: ``attack``, ``defence``, ``seed``, ``base_accuracy`` of the model that
        all start from, ``accuracy`` at the end, ``attack_success`` of the attack's trigger (or
        the scenario's) over the base model's, ``detection_auc`` as the mean over rounds, and
        ``residual``, the share of the change lost in folding, as the mean over rounds.

    Raises
    ------
    UserError
        When nobody is malicious, or an action or a defence is unknown or does not fit.
    """
    setting = Setting.create(scenario, seed)
    if not scenario.participants.malicious:
        raise UserError("participants.malicious: expected at least 1 to attack")
    cells = [
        _cell(setting, attack, actions, defence, section)
        for attack, actions in attacks.items()
        for defence, section in defences.items()
    ]
    for number in range(scenario.rounds):
        updates = [RoundUpdates(cell.setting, number) for cell in cells]
        prepare_together([(u, enumerate(c.names)) for u, c in zip(updates, cells, strict=True)])
        for position, cell in enumerate(cells):
            cell.play(updates[position])
        if progress is not None:
            progress(number + 1, scenario.rounds)
    return _measured(setting, cells, seed)


def told_attackers(scenario: Scenario, defences: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return a section for each rule; those that ask are told how many attack."""
    attackers = scenario.participants.malicious
    return {
        name: {"name": name}
        | ({"attackers": attackers} if "attackers" in DEFENCES[name].model_fields else {})
        for name in defences
    }


def _cell(
    setting: Setting,
    attack: str,
    actions: Sequence[str],
    defence: str,
    section: Mapping[str, object],
) -> _Cell:
    scenario = setting.scenario
    for name in actions:
        if name not in scenario.action_table:
            known = ", ".join(scenario.action_table)
            raise UserError(f"attack '{attack}': unknown action '{name}'; expected one of: {known}")
    try:
        rule = DEFENCES.build(section)
    except NestedError as error:
        raise UserError(f"defence '{defence}': {error.line}") from None
    federation = setting.federation
    names, bad = [], 0
    for kind in scenario.participants.kinds:
        names.append(actions[bad % len(actions)] if kind == "malicious" else "contribute")
        bad += kind == "malicious"
    own = replace(
        setting,
        scenario=scenario.model_copy(update={"defence": dict(section)}),
        defence=rule,
        federation=replace(federation, settings=rule.prescribe(scenario.training)),
    )
    return _Cell(attack, defence, own, tuple(names))


def _measured(setting: Setting, cells: Sequence[_Cell], seed: int) -> pd.DataFrame:
    adapters = torch.stack([cell.setting.federation.adapter for cell in cells])
    accuracy = setting.accuracies(adapters)
    base = float(setting.accuracies(setting.federation.adapter[None])[0])
    triggers = [_trigger(cell) for cell in cells]
    success = np.zeros(len(cells))
    for trigger in dict.fromkeys(triggers):
        own = np.array([t == trigger for t in triggers])
        rates = setting.trigger_rates(adapters[torch.from_numpy(own)], trigger)
        success[own] = np.maximum(0.0, rates - setting.base_trigger_rate(trigger))
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
        }
    )


def _trigger(cell: _Cell) -> TriggerAttack:
    attacks = [cell.setting.attacks.get(name) for name in cell.names]
    own = (attack for attack in attacks if isinstance(attack, TriggerAttack))
    return next(own, cell.setting.reference_trigger)
