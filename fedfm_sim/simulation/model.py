"""The Mesa model: one step is one federated round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mesa
import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from fedfm_sim.agents.participant import Beliefs, Participant, Terms
from fedfm_sim.agents.server import Server
from fedfm_sim.core.action import Action
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.contribution import evaluate, is_sampled
from fedfm_sim.mechanisms.reputation import Reputation
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.detection import detection_auc
from fedfm_sim.security.unlearning.request import PastRound
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.settlement import Settlement, settle
from fedfm_sim.simulation.updates import RoundUpdates

#: Pieces of evidence that an audit weighs, against 1 for a round's sound update.
AUDIT_EVIDENCE = 5.0


@dataclass(frozen=True)
class Work:
    """What an action declares (units), and what it costs (money) and burdens (E)."""

    declared: float
    cost: float
    burden: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A round's outcome: the next adapter, accuracy, attack success, norms, contributions."""

    adapter: Tensor
    accuracy: float
    attack_success: float
    norms: npt.NDArray[np.float64]
    contributions: dict[str, Any]


class FederationModel(mesa.Model):  # type: ignore[misc]
    """A federation of strategic participants.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    keep_updates : bool
        Whether to remember what was aggregated in each round, as unlearning from history
        needs it; takes participants x P x 4 bytes a round.

    Attributes
    ----------
    round : int
        Rounds finished. Mesa's own step counter is not used.
    round_rows, participant_rows, deviation_rows : lists of dict
        What the run's tables are made of.
    history : list of PastRound
        Empty unless updates are kept.
    """

    def __init__(self, scenario: Scenario, seed: int, keep_updates: bool = False) -> None:
        super().__init__(rng=seed)
        self.setting = Setting.create(scenario, seed)
        count = self.setting.participants
        self.book = AccountBook(count)
        self.book.lock(np.arange(count), np.full(count, scenario.sanctions.deposit))
        self.reputation = Reputation(count)
        self.round = 0
        self.keep_updates = keep_updates
        self.history: list[PastRound] = []
        self.round_rows: list[dict[str, Any]] = []
        self.participant_rows: list[dict[str, Any]] = []
        self.deviation_rows: list[dict[str, Any]] = []
        self.server = Server(self, self.setting.mechanism, scenario.sanctions)
        self.leakage_expected = np.zeros(count)
        self.terms: Terms = self.server.announce(self.setting.market(self.leakage_expected))
        self._create_participants(scenario)
        self.updates = RoundUpdates(self.setting, self.round)
        self.accuracy_before = float(self.setting.accuracies(self.adapter[None])[0])

    def _create_participants(self, scenario: Scenario) -> None:
        costs, capacity = self.setting.costs, self.setting.capacity
        unit_cost = costs.cost(capacity) / np.maximum(capacity, 1)
        table, kinds = scenario.action_table, scenario.participants.kinds
        self.participants = [
            Participant(
                self,
                index,
                kind,
                {name: table[name] for name in scenario.action_set(kind)},
                scenario.policy(kind, kinds[:index].count(kind)),
                Beliefs(unit_pay=float(unit_cost[index])),
            )
            for index, kind in enumerate(kinds)
        ]

    @property
    def adapter(self) -> Any:
        """The current global adapter (P,)."""
        return self.setting.federation.adapter

    def generator(self, purpose: str, participant: int) -> np.random.Generator:
        """Return the generator of one purpose for one participant in this round."""
        return self.setting.streams.generator(purpose, self.round, participant)

    def goal_of(self, action: Action) -> str:
        """Return what an action's attack is after, or an empty text."""
        attack = self.setting.scenario.build_attack(action)
        return attack.goal if attack is not None else ""

    def sale_value(self, participant: int, name: str) -> float:
        """Return what selling the participant's copy would bring in this round, money."""
        return self.updates.sale(participant, name).money

    def price_work(self, participant: int, name: str) -> Work:
        """Return what an action would declare, cost and burden."""
        action, costs = self.setting.scenario.action_table[name], self.setting.costs
        attack = self.setting.attacks.get(name)
        declared = self.setting.units(action, participant)
        done = declared if attack is None or attack.trains else 0.0
        units = np.full(self.setting.participants, done)
        present = np.full(self.setting.participants, declared > 0)
        return Work(
            declared,
            float(costs.cost(units)[participant]),
            float(costs.burden(units, present)[participant]),
        )

    def step(self) -> None:
        """Play one round: announce, choose, train, settle, learn."""
        scenario = self.setting.scenario
        self.book.round = self.round
        expected = [agent.beliefs.leakage_of(agent.action) for agent in self.participants]
        self.leakage_expected = np.array(expected)
        self.terms = self.server.announce(self.setting.market(self.leakage_expected))
        self.updates = updates = RoundUpdates(self.setting, self.round)
        self.agents.select(agent_type=Participant).do("choose")
        names = tuple(agent.action for agent in self.participants)
        tries = self.round >= scenario.rounds - scenario.deviations.rounds
        if tries:
            others = [(agent.index, a) for agent in self.participants for a in self._tried(agent)]
            updates.prepare([*enumerate(names), *others])
        play = Play(
            self.setting,
            updates,
            names,
            self.terms.announcement,
            self.reputation.trust,
            self.leakage_expected,
        )
        if tries:
            self._try_deviations(play)
        measured = self._measure(play)
        # What takes long is done: an interruption from here on would leave
        # money moved in a round that no table holds.
        settled = settle(play, self.book, self.generator("audit", 0), self.generator("watch", 0))
        self._record(play, settled, measured)
        self._learn(play, settled)
        if len(play.uploads):
            self.setting.defence.learn(play.uploads, play.aggregate)
        if self.keep_updates:
            rows, weights = play.uploads.updates.clone(), play.aggregate.weights
            self.history.append(PastRound(updates.reference, rows, play.accepted, weights))
        self.setting.watermark.take_note(self.round, play.accepted.tolist())
        self.setting.federation.advance(measured.adapter)
        self.round += 1

    def _tried(self, agent: Participant) -> list[str]:
        """Return the deviations that a participant's are measured against."""
        settings = self.setting.scenario.deviations
        return [a for a in settings.actions if not settings.within_sets or a in agent.actions]

    def _try_deviations(self, play: Play) -> None:
        for agent in self.participants:
            k = agent.index
            own, expected = play.prospect(k), play.expected_utility(k)
            for name in self._tried(agent):
                if name == play.names[k]:
                    continue
                other = replace(play, names=(*play.names[:k], name, *play.names[k + 1 :]))
                new = other.prospect(k)
                self.deviation_rows.append(
                    {
                        "round": self.round + 1,
                        "participant": k,
                        "kind": agent.kind,
                        "played": play.names[k],
                        "action": name,
                        "gain": other.expected_utility(k) - expected,
                        "benefit": new.unaudited - own.unaudited,
                        "confiscated": new.guilty * new.payment - own.guilty * own.payment,
                        "convicted": float(new.guilty) - float(own.guilty),
                    }
                )

    def _learn(self, play: Play, settled: Settlement) -> None:
        total, utility = settled.utility.total, settled.utility
        for agent in self.participants:
            k = agent.index
            agent.learn(
                float(total[k]),
                float(utility.payment[k]),
                float(utility.proceeds[k]),
                float(utility.privacy[k]),
                None if k not in play.sales else float(play.sales[k].accused == k),
            )
        positive, negative = np.zeros(len(play.names)), np.zeros(len(play.names))
        positive[play.weights > 0] = 1.0
        negative[list(play.reasons)] = 1.0
        positive += AUDIT_EVIDENCE * (settled.audited & ~settled.convicted)
        negative += AUDIT_EVIDENCE * settled.convicted
        negative += AUDIT_EVIDENCE * settled.exposed
        positive[settled.convicted | settled.exposed] = 0.0
        self.reputation.update(positive, negative)
        self.setting.mechanism.learn(utility.payment, play.delivery)

    def _contributions(self, play: Play) -> dict[str, Any]:
        settings = self.setting.scenario.contribution
        due = settings.every and (self.round + 1) % settings.every == 0
        if not due:
            return dict.fromkeys(settings.schemes)
        return {
            name: evaluate(
                play.game,
                method=name,
                budget=settings.budget if is_sampled(name) else None,
                rng=self.setting.streams.generator(name, self.round),
            )
            for name in settings.schemes
        }

    def _measure(self, play: Play) -> Measured:
        setting = self.setting
        _ = play.leakage, play.guilty, play.payments  # computed once, and kept by the play
        adapter = setting.watermark.settle(play.new_adapter(), self.round)
        return Measured(
            adapter,
            float(setting.accuracies(adapter[None])[0]),
            play.attack_success(setting.reference_trigger),
            np.sqrt(np.maximum(np.diag(play.gram), 0)),
            self._contributions(play),
        )

    def _record(self, play: Play, settled: Settlement, measured: Measured) -> None:
        setting, utility = self.setting, settled.utility
        contributions = measured.contributions
        core = contributions.get("least-core")
        self.round_rows.append(
            {
                "round": self.round + 1,
                "accuracy": measured.accuracy,
                "attack_success": measured.attack_success,
                "price": play.announcement.price,
                "payments": float(utility.payment.sum()),
                "collected": play.collected,
                "detection_auc": detection_auc(play.suspicion, play.attacking),
                "fines": float(utility.fine.sum()),
                "server_balance": self.book.balance("server"),
                "selected": int(play.allocation.selected.sum()),
                "audited": int(settled.audited.sum()),
                "convicted": int(settled.convicted.sum()),
                "residual": play.aggregate.residual,
                "quarantined": "; ".join(f"{k}: {why}" for k, why in play.reasons.items()),
                "megabytes": float(setting.costs.megabytes * play.allocation.selected.sum()),
                "gflops": float(setting.costs.gflops_per_unit * play.worked.sum()),
                "least_core_excess": None if core is None else core.excess,
            }
        )
        for agent in self.participants:
            k = agent.index
            self.participant_rows.append(
                {
                    "round": self.round + 1,
                    "participant": k,
                    "kind": agent.kind,
                    "action": play.names[k],
                    "units_declared": float(play.units[k]),
                    "units_worked": float(play.worked[k]),
                    "payment": float(utility.payment[k]),
                    "proceeds": float(utility.proceeds[k]),
                    "fine": float(utility.fine[k]),
                    "reward": float(utility.reward[k]),
                    "cost": float(utility.cost[k]),
                    "reputation": float(utility.reputation[k]),
                    "privacy": float(utility.privacy[k]),
                    "efficiency": float(utility.efficiency[k]),
                    "utility": float(utility.total[k]),
                    "weight": float(play.weights[k]),
                    "suspicion": float(play.suspicion[k]),
                    "update_norm": float(measured.norms[k]),
                    "audited": bool(settled.audited[k]),
                    "convicted": bool(settled.convicted[k]),
                    "sold": play.sales[k].money if k in play.sales else np.nan,
                    "traced": play.sales[k].accused == k if k in play.sales else None,
                    "exposed": bool(settled.exposed[k]),
                    "quarantined": play.reasons.get(k, ""),
                }
                | {
                    name.replace("-", "_"): None if c is None else float(c.values[k])
                    for name, c in contributions.items()
                }
            )

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return the tables of rounds, participants and deviations so far.

        A deviation's ``gain`` is at the scenario's sanctions; an audit of chance p and a fine
        F would make it ``benefit - p (confiscated + F convicted)``.
        """
        columns = [
            *("round", "participant", "kind", "played", "action"),
            *("gain", "benefit", "confiscated", "convicted"),
        ]
        return (
            pd.DataFrame(self.round_rows),
            pd.DataFrame(self.participant_rows),
            pd.DataFrame(self.deviation_rows, columns=columns),
        )
