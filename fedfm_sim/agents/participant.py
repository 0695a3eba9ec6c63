"""Participants: Mesa agents that choose an action by what they expect of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import mesa
import numpy as np
import numpy.typing as npt

from fedfm_sim.agents.actions import Kind
from fedfm_sim.agents.policies import Policy
from fedfm_sim.core.action import Action
from fedfm_sim.mechanisms.protocol import Announcement

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Terms:
    """What the server announces before a round.

    Attributes
    ----------
    announcement : Announcement
        The mechanism's tariff, if it posts one.
    audit_rate : float
        Probability of an audit.
    fine : float
        Money that a convicted participant pays besides losing its payment.
    bounty : float
        Money for a true report.
    watch_rate : float
        Probability that a sold copy is found.
    theft_fine : float
        Money that a traced seller pays.
    """

    announcement: Announcement
    audit_rate: float
    fine: float
    bounty: float
    watch_rate: float = 0.0
    theft_fine: float = 0.0


@dataclass
class Beliefs:
    """What a participant thinks an action brings, beyond what is announced.

    An action that was never tried is thought to leak ``leakage`` and to bring
    what its attack would at full success; a tried one, what it brought last.

    Attributes
    ----------
    unit_pay : float
        Money per declared unit, where no tariff is posted: last round's mean.
    proceeds, leakage : dict of str to float
        Last measured money from outside, and membership advantage, by action.
    traced : dict of str to float
        Share of the copies sold by an action that its seller could trace to itself; the
        untried is thought to be traced.
    """

    unit_pay: float
    proceeds: dict[str, float] = field(default_factory=dict)
    leakage: dict[str, float] = field(default_factory=dict)
    traced: dict[str, float] = field(default_factory=dict)

    def leakage_of(self, name: str) -> float:
        """Return the expected advantage: the action's own, or the mean of those tried."""
        tried = list(self.leakage.values())
        return self.leakage.get(name, float(np.mean(tried)) if tried else 0.0)


class Participant(mesa.Agent):  # type: ignore[misc]
    """One organisation.

    Attributes
    ----------
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
        model: mesa.Model,
        index: int,
        kind: Kind,
        actions: dict[str, Action],
        policy: Policy,
        beliefs: Beliefs,
    ) -> None:
        super().__init__(model)
        self.index, self.kind, self.actions = index, kind, actions
        self.policy, self.beliefs = policy, beliefs
        self.names = tuple(actions)
        self.action = self.names[0]
        self._probabilities: Array = np.full(len(actions), 1 / len(actions))

    def choose(self) -> None:
        """Pick this round's action by the policy, at the announced terms."""
        expected = np.array([self.expect(name) for name in self.names])
        self._probabilities = self.policy.probabilities(self.names, expected)
        rng = self.model.generator("choice", self.index)
        self.action = self.names[int(rng.choice(len(self.names), p=self._probabilities))]

    def expect(self, name: str) -> float:
        """Return the utility that the participant expects of an action, money.

        Payment, cost, burden and the expected fine are worked out at this
        round's terms, and so is what the copy in its hands would sell for; other proceeds
        and leakage are beliefs. Its reputation is the
        same whatever it does now, and is left out.
        """
        world, terms, action = self.model, self.model.terms, self.actions[name]
        if action.share == 0:
            return 0.0
        prices = world.setting.scenario.prices
        work = world.price_work(self.index, name)
        tariff = terms.announcement.tariff
        if tariff is None:
            payment = self.beliefs.unit_pay * action.markup * work.declared
        else:
            payment = float(tariff(np.array(work.declared)))
        caught = terms.audit_rate if action.attack is not None else 0.0
        # Who holds a copy can measure it, and knows what it would sell for.
        proceeds = (
            world.sale_value(self.index, name)
            if action.sell
            else self.beliefs.proceeds.get(name, self._hoped(action))
        )
        traced = terms.watch_rate * self.beliefs.traced.get(name, 1.0) if action.sell else 0.0
        return float(
            payment * (1 - caught)
            - caught * terms.fine
            - traced * terms.theft_fine
            + proceeds
            - work.cost
            - action.effort
            - prices.privacy * self.beliefs.leakage_of(name)
            - prices.efficiency * work.burden
        )

    def _hoped(self, action: Action) -> float:
        """Return what an action never tried would earn outside at full success, money."""
        prices = self.model.setting.scenario.prices
        hoped = prices.snooping * self.beliefs.leakage_of("") if action.snoop else 0.0
        goal = self.model.goal_of(action)
        return float(
            hoped + {"backdoor": prices.backdoor, "damage": prices.damage / 10}.get(goal, 0)
        )

    def learn(
        self,
        utility: float,
        payment: float,
        proceeds: float,
        leakage: float,
        traced: float | None = None,
    ) -> None:
        """Take note of what the round brought, money; of the measured leakage; of a trace."""
        chosen = self.names.index(self.action)
        self.policy.learn(chosen, self._probabilities, utility)
        action = self.actions[self.action]
        if action.share == 0:
            return
        self.beliefs.proceeds[self.action] = proceeds
        self.beliefs.leakage[self.action] = leakage
        if traced is not None:
            past = self.beliefs.traced.get(self.action, traced)
            self.beliefs.traced[self.action] = (past + traced) / 2
        declared = self.model.price_work(self.index, self.action).declared
        if payment > 0 and declared > 0:
            self.beliefs.unit_pay = payment / declared / max(action.markup, 1e-9)
