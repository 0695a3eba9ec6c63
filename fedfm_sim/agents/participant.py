"""Participants: Mesa agents that choose an action by what they expect of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import mesa
import numpy as np

from fedfm_sim.agents import ledger
from fedfm_sim.agents.actions import Kind
from fedfm_sim.agents.ledger import Verdicts
from fedfm_sim.agents.policies import Policy
from fedfm_sim.agents.world import Experience, World
from fedfm_sim.core.action import Action
from fedfm_sim.core.arrays import Array


@dataclass
class Beliefs:
    """What a participant thinks an action brings, beyond what is announced.

    An action that was never tried is thought to be let take part, to be paid like any other, to
    leak what those tried do and to bring what its attack would at full success; a tried one,
    what it brought last.

    Attributes
    ----------
    unit_pay : float
        Money per declared unit, where no tariff is posted: the participant's own last pay or,
        without one, the mean pay that the server publishes.
    paid : dict of str to float
        The same by action that was tried, 0 included. A round whose payment was lost by a
        conviction teaches nothing.
    selected : dict of str to float
        Whether the mechanism let the action take part: 1 or 0, by action.
    proceeds, leakage : dict of str to float
        Last measured money from outside, and leakage, by action.
    traced : dict of str to float
        Share of the copies sold by an action that its seller could trace to itself; the
        untried is thought to be traced.
    upheld : dict of str to float
        Share of the reports by an action that were found true; the untried is thought to
        be neither paid for nor punished.
    """

    unit_pay: float
    paid: dict[str, float] = field(default_factory=dict)
    selected: dict[str, float] = field(default_factory=dict)
    proceeds: dict[str, float] = field(default_factory=dict)
    leakage: dict[str, float] = field(default_factory=dict)
    traced: dict[str, float] = field(default_factory=dict)
    upheld: dict[str, float] = field(default_factory=dict)

    def leakage_of(self, name: str) -> float:
        """Return the expected leakage: the action's own, or the mean of those tried."""
        tried = list(self.leakage.values())
        return self.leakage.get(name, float(np.mean(tried)) if tried else 0.0)


class Participant(mesa.Agent):  # type: ignore[misc]
    """One organisation.

    Attributes
    ----------
    world : World
    index : int
        Its place in the arrays of the model.
    kind : Kind
    actions : dict of str to Action
        Its action set.
    policy : Policy
        Its own copy.
    beliefs : Beliefs
    action : str
        The action chosen for the current round.
    """

    def __init__(
        self,
        world: World,
        index: int,
        kind: Kind,
        actions: dict[str, Action],
        policy: Policy,
        beliefs: Beliefs,
    ) -> None:
        super().__init__(world)
        self.world = world
        self.index, self.kind, self.actions = index, kind, actions
        self.policy, self.beliefs = policy, beliefs
        self.names = tuple(actions)
        self.action = self.names[0]
        self._probabilities: Array = np.full(len(actions), 1 / len(actions))

    def choose(self) -> None:
        """Pick this round's action by the policy, at the announced terms."""
        expected = np.zeros(len(self.names))
        if self.policy.deliberates:
            expected = np.array([self.expect(name) for name in self.names])
        self._probabilities = self.policy.probabilities(self.names, expected)
        rng = self.world.generator("choice", self.index)
        self.action = self.names[int(rng.choice(len(self.names), p=self._probabilities))]

    def expect(self, name: str) -> float:
        """Return the utility that the participant expects of an action, money.

        Payment, cost and burden are worked out at this round's terms, and so is what the
        copy in its hands would sell for; an audit is thought to convict whoever attacks.
        Other proceeds, leakage, traces, reports and being let take part are beliefs. Its
        reputation is the same whatever it does now, and is left out.
        """
        action = self.actions[name]
        allowed = self.beliefs.selected.get(name, 1.0)
        if action.share == 0 or allowed == 0:
            return 0.0
        work = self.world.price_work(self.index, name)
        stakes: dict[str, ledger.Amount] = {
            "payment": self._pay(name, action, work.declared),
            "proceeds": self._proceeds(name, action),
            "cost": work.cost + action.effort,
            "privacy": self.beliefs.leakage_of(name),
            "efficiency": work.burden,
        }
        terms, verdicts = self.world.terms, self._verdicts(name, action)
        utility = ledger.settle(stakes, verdicts, terms.sanctions, self.world.prices)
        return float(allowed * utility.total)

    def _pay(self, name: str, action: Action, declared: float) -> float:
        tariff = self.world.terms.announcement.tariff
        if tariff is None:
            rate = self.beliefs.paid.get(name, self.beliefs.unit_pay)
            return rate * action.markup * declared
        return float(tariff(np.array(declared)))

    def _proceeds(self, name: str, action: Action) -> float:
        # Who holds a copy can measure it, and knows what it would sell for.
        if action.sell:
            return self.world.sale_value(self.index, name)
        return self.beliefs.proceeds.get(name, self._hoped(action))

    def _verdicts(self, name: str, action: Action) -> Verdicts:
        sanctions, beliefs = self.world.terms.sanctions, self.beliefs
        traced = beliefs.traced.get(name, 1.0) if action.sell else 0.0
        tried = action.report and name in beliefs.upheld
        upheld = beliefs.upheld[name] if tried else 0.0
        return Verdicts(
            convicted=sanctions.audit_rate if action.attack is not None else 0.0,
            exposed=sanctions.watch_rate * traced,
            upheld=upheld,
            refuted=1.0 - upheld if tried else 0.0,
        )

    def _hoped(self, action: Action) -> float:
        """Return what an action never tried would earn outside at full success, money."""
        prices = self.world.prices
        hoped = prices.snooping * self.beliefs.leakage_of("") if action.snoop else 0.0
        goal = self.world.goal_of(action)
        return float(
            hoped + {"backdoor": prices.backdoor, "damage": prices.damage / 10}.get(goal, 0)
        )

    def learn(self, round_: Experience) -> None:
        """Take note of what the round brought."""
        chosen, name, action = self.names.index(self.action), self.action, self.actions[self.action]
        thinks = self.policy.deliberates
        utility = round_.utility if thinks else float("nan")
        self.policy.learn(chosen, self._probabilities, utility)
        if action.share == 0:
            return
        beliefs = self.beliefs
        beliefs.selected[name] = float(round_.selected)
        beliefs.leakage[name] = round_.leakage
        if not thinks:
            return
        beliefs.proceeds[name] = round_.proceeds
        _remember(beliefs.traced, name, round_.traced)
        _remember(beliefs.upheld, name, round_.upheld)
        declared = self.world.price_work(self.index, name).declared
        rate = round_.payment / max(declared, 1e-9) / max(action.markup, 1e-9)
        if not round_.convicted:
            beliefs.paid[name] = rate
        beliefs.unit_pay = rate if rate > 0 else round_.going_rate or beliefs.unit_pay


def _remember(shares: dict[str, float], name: str, happened: bool | None) -> None:
    """Move a share half of the way to what happened now."""
    if happened is not None:
        shares[name] = (shares.get(name, float(happened)) + float(happened)) / 2
