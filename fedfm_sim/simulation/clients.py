"""The population of `fedfm_sim.simulation.population` as Mesa agents, one for each participant.

The slow and obvious version: a participant's round reads from top to bottom, in Python's
floats. Agents are views of the population's arrays, and leave the same bits in them.
"""

from __future__ import annotations

import mesa

from fedfm_sim.simulation.model import AUDIT_EVIDENCE
from fedfm_sim.simulation.outcomes import OutcomeSource
from fedfm_sim.simulation.population import FADING, Population
from fedfm_sim.simulation.population_round import Faced, Totals


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

    def play_round(self, source: OutcomeSource) -> tuple[Faced, Totals]:
        """Play one round; as `Population.play_round`."""
        population = self.population
        self.draws = population.draw("choice", slice(0, population.size))
        self.agents.do("choose")
        self.faced = Faced.at(population.scenario, source.outcome(population.shares))
        self.draws = population.draw("audit", slice(0, population.size))
        self.agents.do("play")
        tallies = [population.tally(part) for part in population.blocks()]
        return self.faced, population.settle(self.faced, tallies)


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
        utilities, payments = [], []
        for a in range(len(population.actions)):
            caught = audit < faced.conviction[a]
            paid = 0.0 if caught else faced.price * population.units.item(a, k)
            utility = paid + (faced.proceeds[a] - prices.privacy * faced.leakage[a])
            utility -= population.cost.item(a, k)
            utility -= prices.efficiency * population.burden.item(a, k)
            if caught:
                utility -= faced.fine
            utilities.append(utility)
            payments.append(paid)
        for a, utility in enumerate(utilities):
            population.regrets[a, k] += utility - utilities[played]
        audited, convicted = audit < faced.audit_rate, audit < faced.conviction[played]
        trust = self._trust(audited, convicted)
        money = payments[played] + faced.proceeds[played] - population.cost.item(played, k)
        if convicted:
            money -= faced.fine
        population.account[k] += money
        population.payment[k] = payments[played]
        population.incurred[k] = population.cost.item(played, k)
        population.burdened[k] = population.burden.item(played, k)
        population.audited[k], population.convicted[k] = audited, convicted
        population.utility[k] = utilities[played] + prices.reputation * trust

    def _trust(self, audited: bool, convicted: bool) -> float:
        population, k = self.model.population, self.index
        positive, negative = population.positive.item(k), population.negative.item(k)
        trust = (positive + 1.0) / (positive + negative + 2.0)
        sound = 0.0 if convicted else audited * AUDIT_EVIDENCE + 1.0
        population.positive[k] = FADING * positive + sound
        population.negative[k] = FADING * negative + convicted * AUDIT_EVIDENCE
        population.trust[k] = trust
        return float(trust)
