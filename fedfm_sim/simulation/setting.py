"""What a run plays in: data, model, costs, and the plug-ins that its scenario names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fedfm_sim.agents.prices import CostModel
from fedfm_sim.core.action import Action
from fedfm_sim.core.arrays import Array
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.aggregation import AggregationRule
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets import DATASETS, SplitData
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.fitting import fit
from fedfm_sim.learning.trial import try_out
from fedfm_sim.mechanisms.protocol import Market, Mechanism
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import Attack, TriggerAttack
from fedfm_sim.security.attacks.backdoor import Backdoor
from fedfm_sim.security.privacy import LeakageMeasure, Protection
from fedfm_sim.security.watermarks import Watermark, World
from fedfm_sim.security.watermarks.removal import Removal
from fedfm_sim.simulation.budgets import check_budgets
from fedfm_sim.simulation.evaluator import Evaluator
from fedfm_sim.simulation.holdings import Holdings


@dataclass(frozen=True, eq=False)
class Setting:
    """The world of one run.

    Attributes
    ----------
    scenario : Scenario
    streams : Streams
        Every draw of the run comes from a named generator of it.
    federation : Federation
    holdings : Holdings
    evaluator : Evaluator
    mechanism, defence, protection, leakage, watermark : plug-ins
        The run's own copies, with what they remember.
    removals : dict of str to Removal
        By the name of an action that sells.
    attacks : dict of str to Attack
        By action name.
    costs : CostModel
    remarks : tuple of str
        What was done to make model and data fit, and which conditions of the mechanism and the
        mark do not hold, in a line each.
    """

    scenario: Scenario
    streams: Streams
    federation: Federation
    holdings: Holdings
    evaluator: Evaluator
    mechanism: Mechanism
    defence: AggregationRule
    protection: Protection
    leakage: LeakageMeasure
    watermark: Watermark
    removals: dict[str, Removal]
    attacks: dict[str, Attack]
    costs: CostModel
    remarks: tuple[str, ...]

    @classmethod
    def create(cls, scenario: Scenario, seed: int, like: Setting | None = None) -> Setting:
        """Load the model and data, and deal them out.

        Parameters
        ----------
        like : Setting, optional
            Of the same seed, model, data and participants, which are shared with it instead
            of loaded once more; rules, attacks, prices and policies may be others.
        """
        check_budgets(scenario)
        streams = Streams(seed, scenario.name)
        defence = scenario.defence.build()
        training = defence.prescribe(scenario.training)
        attacks = {
            name: attack
            for name, action in scenario.action_table.items()
            if (attack := attack_of(action)) is not None
        }
        if like is None:
            fitted = fit(load_backbone(scenario.backbone), *_data(scenario))
            holdings = Holdings.deal(scenario, streams, fitted.data)
            federation = Federation.create(
                fitted.backbone, scenario.lora, training, streams.integer("initial-adapter")
            )
            try_out(federation.backbone, federation.layout, fitted.data, scenario.data.name)
            remarks = fitted.remarks
            evaluator = Evaluator(federation, holdings.test, _reference_trigger(attacks))
        else:
            holdings, evaluator, remarks = like.holdings, like.evaluator, like.remarks
            initial = like.federation.initial
            federation = replace(like.federation, settings=training, adapter=initial, previous=None)
        watermark = scenario.watermark.build()
        count, answers = scenario.participants.count, federation.backbone.answers
        public, own = holdings.data.public, holdings.validation
        watermark.enter(World(federation, count, public, own, answers, streams))
        mechanism = scenario.mechanism.build()
        costs = _costs(scenario, federation, holdings, streams)
        made = cls(
            scenario,
            streams,
            federation,
            holdings,
            evaluator,
            mechanism,
            defence,
            scenario.protection.build(),
            scenario.leakage.build(),
            watermark,
            {
                name: scenario.removal(action).build()
                for name, action in scenario.action_table.items()
                if action.sell
            },
            attacks,
            costs,
            remarks,
        )
        return replace(made, remarks=(*remarks, *made.unmet()))

    def unmet(self) -> Iterator[str]:
        """Yield which conditions of the mechanism and the mark do not hold in this setting."""
        chosen, market = self.scenario, self.market(np.zeros(self.participants))
        if (why := self.mechanism.condition(market)) is not None:
            yield f"mechanism '{chosen.mechanism.name}': {why}"
        if (why := self.watermark.condition()) is not None:
            yield f"watermark '{chosen.watermark.name}': {why}"

    @property
    def participants(self) -> int:
        """The number of participants n."""
        return len(self.holdings.shards)

    @property
    def capacity(self) -> Array:
        """Units of work that each can do in a round (samples x local epochs), (n,)."""
        return self.holdings.sizes * self.scenario.training.epochs

    def units(self, action: Action, participant: int) -> float:
        """Return the units of work that an action declares."""
        samples = np.ceil(action.share * self.holdings.sizes[participant])
        return float(samples * self.scenario.training.epochs)

    def market(self, leakage: Array) -> Market:
        """Return what the server believes of costs; here it believes the truth.

        A unit of work costs its money, its part of the burden ``beta E``, and
        its part of the privacy ``alpha P`` that a full share is expected to
        cost, for an expected leakage P of (n,). Where chance made that so low that work
        would cost less than nothing, it costs nothing.
        """
        prices = self.scenario.prices
        burden = prices.efficiency * prices.flops * self.costs.gflops_per_unit
        privacy = prices.privacy * leakage / self.capacity
        linear = np.maximum(self.costs.linear + burden + privacy, 0.0)
        return Market(linear, self.costs.quadratic, self.capacity)

    def full_costs(self, units: Array, leakage: Array) -> Array:
        """Return ``c + alpha P + beta E`` of doing ``units`` (n,) of work, money, at least 0."""
        prices, present = self.scenario.prices, units > 0
        burden = prices.efficiency * self.costs.burden(units, present)
        privacy = prices.privacy * leakage * present
        return np.asarray(np.maximum(self.costs.cost(units) + burden + privacy, 0.0))


def _data(scenario: Scenario) -> tuple[SplitData, str]:
    """Return the scenario's data and their name."""
    name = scenario.data.name
    return DATASETS[name](), name


def _reference_trigger(attacks: dict[str, Attack]) -> TriggerAttack:
    """Return the trigger of "backdoor", or of another action, or a backdoor's own."""
    named = [attacks.get("backdoor"), *attacks.values()]
    return next((a for a in named if isinstance(a, TriggerAttack)), Backdoor())


def _costs(
    scenario: Scenario, federation: Federation, holdings: Holdings, streams: Streams
) -> CostModel:
    draws = streams.generator("costs").standard_normal(scenario.participants.count)
    protection = scenario.protection.build()
    sent = federation.layout.size_bytes + protection.size_bytes(federation.layout.size)
    kept = federation.backbone.size_bytes + federation.layout.size_bytes
    return CostModel(
        factor=np.exp(scenario.prices.cost_spread * draws),
        gflops_per_unit=federation.training_flops(holdings.shards[0]) / 1e9,
        megabytes=sent / 1e6,
        gigabytes=kept / 1e9,
        prices=scenario.prices,
    )
