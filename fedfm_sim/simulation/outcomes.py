"""What a federated round leads to when given shares of its participants take each action.

`OutcomeSource` has two implementations: `TrainedOutcomes` plays a real federation for
every question, and `fedfm_sim.simulation.measured.MeasuredOutcomes` reads a surface that
was fitted to many of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import TriggerAttack
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.round import Round
from fedfm_sim.simulation.setting import Setting

#: Participants on whom every action is tried: one for each domain of the default data.
PROBES = 5


@dataclass(frozen=True, eq=False)
class Outcome:
    """What shares of the participants lead to; of m actions, each array is (m,).

    Attributes
    ----------
    success : (m,) array
        Success of an action's trigger on the new model over the base model, in [0, 1]; 0
        for an action without one. Times its price it is what the action earns outside.
    detection : (m,) array
        Chance that an audit by replay convicts one who takes the action.
    leakage : (m,) array
        P of Eq. 12 of one who takes the action, by the scenario's measure.
    accuracy : float
        Test accuracy of the new model.
    """

    success: Array
    detection: Array
    leakage: Array
    accuracy: float


class OutcomeSource(Protocol):
    """Where outcomes come from.

    Attributes
    ----------
    actions : tuple of m str
        Names of the actions that shares are of.
    """

    actions: tuple[str, ...]

    def outcome(self, shares: Array) -> Outcome:
        """Return what shares (m,), which add up to 1, lead to."""


class TrainedOutcomes:
    """Outcomes of real federations of the scenario's participants, one for each question.

    Who takes which action is drawn once, and so is every other draw: two questions differ
    in the shares alone (common random numbers). One participant in a large population
    moves the model by nothing, so actions are tried on a few probes whose tries are left
    out of the aggregate: an action that nobody takes has an outcome too.

    Parameters
    ----------
    scenario : Scenario
        Its federation is played for its ``rounds``; mechanism and policies play no part.
    actions : sequence of str
    seed : int

    Attributes
    ----------
    order : (n,) array of int
        Which participant takes the first, the second, ... of the actions listed by count.

    Raises
    ------
    UserError
        When an action is unknown, or its outcome is not that of one among many.
    """

    def __init__(self, scenario: Scenario, actions: Sequence[str], seed: int) -> None:
        check_actions(scenario, actions)
        self.scenario, self.actions = scenario, tuple(actions)
        self.setting = Setting.create(scenario, seed)
        # An action's outcome is asked for of those who take it, so the price takes everybody in.
        self.open = overridden(scenario, {"mechanism": {"name": "posted-price"}})
        self.order = self.setting.streams.generator("assignment").permutation(
            self.setting.participants
        )

    def counts(self, shares: Array) -> Index:
        """Return the nearest whole numbers of participants (m,), by largest remainder."""
        wanted = checked_shares(shares, self.actions) * self.setting.participants
        counts = np.floor(wanted + 1e-9).astype(np.int64)
        missing = self.setting.participants - int(counts.sum())
        counts[np.argsort(counts - wanted, kind="stable")[:missing]] += 1
        return counts

    def outcome(self, shares: Array) -> Outcome:
        """Return the means over the rounds of a federation at the nearest shares."""
        taken = np.repeat(np.arange(len(self.actions)), self.counts(shares))
        played = np.empty_like(taken)
        played[self.order] = taken
        names = tuple(self.actions[a] for a in played.tolist())
        own = Setting.create(self.open, self.setting.streams.seed, self.setting)
        rounds = [self._round(own, number, names) for number in range(self.scenario.rounds)]
        return Outcome(
            np.mean([one.success for one in rounds], axis=0),
            np.mean([one.detection for one in rounds], axis=0),
            np.mean([one.leakage for one in rounds], axis=0),
            float(np.mean([one.accuracy for one in rounds])),
        )

    def _round(self, setting: Setting, number: int, names: tuple[str, ...]) -> Outcome:
        opened = Round.open_to_all(setting, number)
        probes = range(min(PROBES, len(names)))
        opened.updates.prepare([*enumerate(names), *((k, a) for k in probes for a in self.actions)])
        play = opened.play(names)
        tried = [[self._try(play, k, name) for name in self.actions] for k in probes]
        convicted, leakage = np.moveaxis(np.mean(tried, axis=0), -1, 0)
        attacks = [setting.attacks.get(name) for name in self.actions]
        triggers = [a if isinstance(a, TriggerAttack) else None for a in attacks]
        measured = Outcome(
            np.array([0.0 if t is None else play.attack_success(t) for t in triggers]),
            convicted,
            leakage,
            float(setting.evaluator.accuracies(play.new_adapter[None])[0]),
        )
        opened.close(play)
        return measured

    def _try(self, play: Play, participant: int, name: str) -> tuple[float, float]:
        """Return whether a replay convicts a participant who takes an action, and its leakage."""
        honest = [k for k, own in enumerate(play.names) if own not in play.setting.attacks]
        seen = play.updates.view(play.rows[honest], len(play.names) - len(honest))
        sent = play.updates.upload(participant, name, seen)
        convicted = float(play.convicts(participant, name, sent))
        return convicted, play.leaked(participant, name, sent)


def checked_shares(shares: Array, actions: Sequence[str]) -> Array:
    """Return shares (m,) as floats.

    Raises
    ------
    UserError
        When they are not one for each action, not finite, negative, or do not add up to 1.
    """
    given = np.asarray(shares, dtype=np.float64)
    if given.shape != (len(actions),):
        raise UserError(f"expected {len(actions)} shares, of {', '.join(actions)}; got {given}")
    # Written so that NaN fails.
    if not ((given >= 0).all() and abs(given.sum() - 1) < 1e-6):
        raise UserError(f"shares are at least 0 and add up to 1, got {given}")
    return given


def check_actions(scenario: Scenario, actions: Sequence[str]) -> None:
    """Refuse actions whose outcome is not that of one participant among very many.

    Raises
    ------
    UserError
        When there are fewer than two, one is named twice or unknown, stays out, or earns
        by what one participant alone breaks, sells, reports or copies.
    """
    if len(set(actions)) != len(actions) or len(actions) < 2:
        raise UserError(
            f"outcomes: expected two or more different actions, got {', '.join(actions)}"
        )
    for name in actions:
        if name not in scenario.action_table:
            hint = choices(name, scenario.action_table)
            raise UserError(f"outcomes: unknown action '{name}'{hint}")
        action = scenario.action_table[name]
        attack = attack_of(action)
        alone = action.snoop or action.sell or action.report or action.share == 0
        if alone or (attack is not None and (attack.goal == "damage" or attack.copies)):
            raise UserError(
                f"outcomes: '{name}' earns by what single participants do to each "
                "other, which shares of a population do not tell"
            )
