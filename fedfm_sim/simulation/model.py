"""The Mesa model: agents and books around the rounds of a federation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mesa
import numpy as np
import pandas as pd

from fedfm_sim.agents.actions import Kind
from fedfm_sim.agents.participant import Beliefs, Participant
from fedfm_sim.agents.policies import Policy
from fedfm_sim.agents.prices import Prices
from fedfm_sim.agents.server import Server
from fedfm_sim.agents.world import Terms, Work
from fedfm_sim.core.action import Action
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.reputation import Reputation
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.scenarios.work import check_work
from fedfm_sim.security.unlearning.past_round import PastRound
from fedfm_sim.simulation import deviations
from fedfm_sim.simulation.records import Records, contributions, participant_rows, round_row
from fedfm_sim.simulation.round import Round, step_together
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.settlement import Lived, Settlement


class FederationModel(mesa.Model):  # type: ignore[misc]
    """A federation of strategic participants; one step is one federated round.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    keep_updates : bool
        Whether to remember what was aggregated in each round, as unlearning from history
        needs it; takes participants x P x 4 bytes a round.
    like : Setting, optional
        Of a model whose data and backbone this one shares: see `Setting.create`.
    recording : bool
        Whether accounts and tables are kept. What no table needs is then not measured;
        what the participants do, and the model that they make, are the same.

    Attributes
    ----------
    round : int
        Rounds finished. Mesa's own step counter is not used.
    current : Round
        The round that is open, or to be opened by the next step.
    records : Records
        What the run's tables are made of.
    history : list of PastRound
        Empty unless updates are kept.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        keep_updates: bool = False,
        like: Setting | None = None,
        recording: bool = True,
    ) -> None:
        check_work(scenario)
        super().__init__(rng=seed)
        self.setting = Setting.create(scenario, seed, like)
        count = self.setting.participants
        self.book = AccountBook(count)
        self.book.lock(np.arange(count), np.full(count, scenario.sanctions.deposit))
        self.reputation = Reputation(count)
        self.round = 0
        self.keep_updates, self.recording = keep_updates, recording
        self.history: list[PastRound] = []
        self.records = Records()
        self.server = Server(self, self.setting.mechanism, scenario.sanctions)
        self._create_participants(scenario)
        self._opened: Round | None = None

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
                _policy(scenario, kind, kinds[:index].count(kind)),
                Beliefs(unit_pay=float(unit_cost[index])),
            )
            for index, kind in enumerate(kinds)
        ]

    @property
    def adapter(self) -> Any:
        """The current global adapter (P,)."""
        return self.setting.federation.adapter

    @property
    def accuracy_before(self) -> float:
        """The test accuracy of the model that the first round starts from."""
        return self.setting.evaluator.base_accuracy

    @property
    def current(self) -> Round:
        """The round that is open; where none is, the next one, once its terms are announced."""
        if self._opened is None:
            expected = [agent.beliefs.leakage_of(agent.action) for agent in self.participants]
            leakage = np.array(expected)
            terms = self.server.announce(self.setting.market(leakage))
            trust = self.reputation.trust
            self._opened = Round(self.setting, self.round, terms, trust, leakage)
        return self._opened

    @property
    def terms(self) -> Terms:
        """The terms of the coming round."""
        return self.current.terms

    @property
    def prices(self) -> Prices:
        """What things are worth, money."""
        return self.setting.scenario.prices

    def generator(self, purpose: str, participant: int) -> np.random.Generator:
        """Return the generator of one purpose for one participant in this round."""
        return self.setting.streams.generator(purpose, self.round, participant)

    def goal_of(self, action: Action) -> str:
        """Return what an action's attack is after, or an empty text."""
        attack = attack_of(action)
        return attack.goal if attack is not None else ""

    def sale_value(self, participant: int, name: str) -> float:
        """Return what selling the participant's copy would bring in this round, money."""
        return self.current.updates.sale(participant, name).money

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
        step_together([self])

    def open(self) -> Round:
        """Announce the terms of the round and let the participants choose."""
        opened = self.current
        self.agents.select(agent_type=Participant).do("choose")
        return opened

    def wanted(self) -> Iterator[tuple[int, str]]:
        """Iterate over what is to be trained: what is played, and what is tried beside it."""
        yield from ((agent.index, agent.action) for agent in self.participants)
        if self._tries:
            yield from deviations.to_train(self.setting.scenario.deviations, self.participants)

    @property
    def _tries(self) -> bool:
        scenario = self.setting.scenario
        return self.round >= scenario.rounds - scenario.deviations.rounds

    def finish(self) -> Settlement:
        """Play the round that is open with the actions chosen, settle and close it."""
        opened, agents = self.current, self.participants
        play = opened.play([agent.action for agent in agents])
        tried = []
        if self._tries:
            settings = self.setting.scenario.deviations
            tried = deviations.deviation_rows(settings, agents, play)
        settled = opened.settle(play)
        if self.recording:
            self._record(settled)
        self.records.deviations += tried
        for agent in agents:
            agent.learn(Lived(settled, agent.index))
        self.reputation.update(*settled.evidence)
        if self.keep_updates:
            rows, weights = play.uploads.updates.clone(), play.aggregate.weights
            self.history.append(PastRound(opened.updates.reference, rows, play.accepted, weights))
        opened.close(play, settled)
        self._opened = None
        self.round += 1
        return settled

    def _record(self, settled: Settlement) -> None:
        """Move the money and write the tables."""
        valued = contributions(settled.play)
        rows = participant_rows(self.participants, settled, valued)
        row = round_row(settled, valued)
        self.book.round = self.round + 1
        settled.pay(self.book)
        self.records.rounds.append(row | {"server_balance": self.book.balance("server")})
        self.records.participants += rows

    def go_on_from(self, number: int) -> None:
        """Say that ``number`` rounds are finished; the next one is opened anew."""
        self.round, self._opened = number, None

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return the tables of rounds, participants and deviations so far."""
        return self.records.tables()


def _policy(scenario: Scenario, kind: Kind, position: int) -> Policy:
    """Return the policy of the participant at ``position`` among its kind."""
    policy = scenario.policy(kind).build()
    policy.take_position(position)
    return policy
