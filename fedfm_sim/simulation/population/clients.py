"""The population of `fedfm_sim.simulation.population` as Mesa agents, one for each participant.

The slow and obvious version: a participant's round reads from top to bottom, in Python's
floats. Agents are views of the population's arrays, and leave the same bits in them.
"""

from __future__ import annotations

import mesa

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.reputation import AUDIT_EVIDENCE, FADING
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.outcomes import OutcomeSource
from fedfm_sim.simulation.population.arrays import Population
from fedfm_sim.simulation.population.faced import Faced, Totals, play_measured


class ScalarPopulation(mesa.Model):  # type: ignore[misc]
    """The agents of a population, stepped one by one.

    Parameters
    ----------
    population : Population
        Whose arrays the agents read and write.
    """

    def __init__(self, population: Population) -> None:
        super().__init__(rng=0)
        self.population = population
        for index in range(population.size):
            Client(self, index)

    @property
    def scenario(self) -> Scenario:
        """The population's."""
        return self.population.scenario

    @property
    def shares(self) -> Array:
        """The shares (m,) of those who chose each action."""
        return self.population.shares

    def play_round(self, source: OutcomeSource) -> tuple[Faced, Totals]:
        """Play one round; as `Population.play_round`."""
        return play_measured(self, source)

    def choose(self) -> None:
        """Let everybody choose this round's action."""
        self.draws = self.population.draw("choice", slice(0, self.population.size))
        self.agents.do("choose")

    def play(self, faced: Faced) -> Totals:
        """Audit and pay everybody for the actions chosen, and let them learn."""
        population, self.faced = self.population, faced
        self.draws = population.draw("audit", slice(0, population.size))
        self.agents.do("play")
        return population.settle(faced, [population.tally(part) for part in population.blocks()])


class Client(mesa.Agent):  # type: ignore[misc]
    """One participant: the column ``index`` of the population's arrays."""

    def __init__(self, model: ScalarPopulation, index: int) -> None:
        super().__init__(model)
        self.index = index

    def choose(self) -> None:
        """Choose with chances proportional to positive regret, by one uniform number."""
        population, k = self.model.population, self.index
        weights = [max(population.regrets.item(a, k), 0.0) for a in range(len(population.actions))]
        total = 0.0
        for weight in weights:
            total += weight
        if total == 0:
            weights, total = [1.0] * len(weights), float(len(weights))
        level, passed, action = self.model.draws.item(k) * total, 0.0, 0
        for weight in weights[:-1]:
            passed += weight
            action += passed <= level
        population.action[k] = action

    def play(self) -> None:
        """Be audited and paid for the action chosen, and learn what each would have brought."""
        population, faced, k = self.model.population, self.model.faced, self.index
        prices, audit = population.scenario.prices, self.model.draws.item(k)
        played = population.action.item(k)
        utilities, payments, moneys = [], [], []
        for a in range(len(population.actions)):
            caught = audit < faced.conviction[a]
            paid = 0.0 if caught else faced.price * population.units.item(a, k)
            money = paid + faced.proceeds[a] - (faced.fine if caught else 0.0)
            money -= population.cost.item(a, k)
            payments.append(paid)
            moneys.append(money)
            utility = money - prices.privacy * faced.leakage[a]
            utilities.append(utility - prices.efficiency * population.burden.item(a, k))
        for a, utility in enumerate(utilities):
            population.regrets[a, k] += utility - utilities[played]
        audited, convicted = audit < faced.audit_rate, audit < faced.conviction[played]
        utility = moneys[played] + prices.reputation * self._trust(audited, convicted)
        utility -= prices.privacy * faced.leakage[played]
        utility -= prices.efficiency * population.burden.item(played, k)
        population.account[k] += moneys[played]
        population.payment[k] = payments[played]
        population.incurred[k] = population.cost.item(played, k)
        population.burdened[k] = population.burden.item(played, k)
        population.audited[k], population.convicted[k] = audited, convicted
        population.utility[k] = utility

    def _trust(self, audited: bool, convicted: bool) -> float:
        population, k = self.model.population, self.index
        positive, negative = population.positive.item(k), population.negative.item(k)
        trust = (positive + 1.0) / (positive + negative + 2.0)
        sound = 0.0 if convicted else audited * AUDIT_EVIDENCE + 1.0
        population.positive[k] = FADING * positive + sound
        population.negative[k] = FADING * negative + convicted * AUDIT_EVIDENCE
        population.trust[k] = trust
        return float(trust)
