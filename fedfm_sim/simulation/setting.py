"""What stays fixed during a run: data, model, costs, attacks, random streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fedfm_sim.agents.utility import CostModel
from fedfm_sim.core.action import Action
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.aggregation import AggregationRule
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets import DATASETS, SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.partitions import across_domains, at_round, in_domain, private_shards
from fedfm_sim.mechanisms.protocol import Market, Mechanism
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import Attack, TriggerAttack
from fedfm_sim.security.attacks.backdoor import Backdoor
from fedfm_sim.security.privacy import LeakageMeasure, Protection
from fedfm_sim.security.watermarks import Watermark, World
from fedfm_sim.security.watermarks.removal import Removal

#: With this many examples of a class a participant is said to cover it.
ENOUGH_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Setting:
    """The world of one run.

    Attributes
    ----------
    scenario : Scenario
    streams : Streams
        Every draw of the run comes from a named generator of it.
    federation : Federation
    data : SplitData
    shards, plain : lists of n Examples
        Each participant's data in its domain, and the same before the domain.
    held_out : list of n Examples
        Test examples in each participant's domain: the non-members of
        membership inference.
    validation, test : Examples
        Spread evenly over the participants' domains.
    mechanism, defence, protection, leakage, watermark : plug-ins
    removals : dict of str to Removal
        By the name of an action that sells.
    attacks : dict of str to Attack
        By action name.
    costs : CostModel
    """

    scenario: Scenario
    streams: Streams
    federation: Federation
    data: SplitData
    shards: list[Examples]
    plain: list[Examples]
    held_out: list[Examples]
    validation: Examples
    test: Examples
    mechanism: Mechanism
    defence: AggregationRule
    protection: Protection
    leakage: LeakageMeasure
    watermark: Watermark
    removals: dict[str, Removal]
    attacks: dict[str, Attack]
    costs: CostModel
    base_rates: dict[TriggerAttack, float] = field(default_factory=dict)

    @classmethod
    def create(cls, scenario: Scenario, seed: int) -> Setting:
        """Load the model and data, and deal them out."""
        streams = Streams(seed, scenario.name)
        data = DATASETS[scenario.data.name]()
        defence = scenario.build_defence()
        federation = Federation.create(
            load_backbone(scenario.backbone),
            scenario.lora,
            defence.prescribe(scenario.training),
            streams.integer("initial-adapter"),
        )
        count, domains = scenario.participants.count, scenario.data.domains
        settings = scenario.data
        shards = private_shards(data.private, count, data.classes, settings, streams)
        undomained = settings.model_copy(update={"domains": ("original",)})
        held_out = [
            in_domain(data.test, domains[k % len(domains)], streams.generator("held-out", k))
            for k in range(count)
        ]
        attacks = {
            name: attack
            for name, action in scenario.action_table.items()
            if (attack := scenario.build_attack(action)) is not None
        }
        validation = across_domains(data.validation, domains, streams.generator("validation"))
        watermark = scenario.build_watermark()
        answers = federation.backbone.answers
        watermark.enter(World(federation, count, data.public, validation, answers, streams))
        return cls(
            scenario,
            streams,
            federation,
            data,
            shards,
            private_shards(data.private, count, data.classes, undomained, streams),
            held_out,
            validation,
            across_domains(data.test, domains, streams.generator("test")),
            scenario.build_mechanism(),
            defence,
            scenario.build_protection(),
            scenario.build_leakage(),
            watermark,
            {
                name: scenario.build_removal(action)
                for name, action in scenario.action_table.items()
                if action.sell
            },
            attacks,
            _costs(scenario, federation, shards[0], streams),
        )

    @property
    def participants(self) -> int:
        """The number of participants n."""
        return len(self.shards)

    @property
    def capacity(self) -> npt.NDArray[np.float64]:
        """Units of work that each can do in a round (samples x local epochs), (n,)."""
        sizes = np.array([len(shard) for shard in self.shards], dtype=np.float64)
        return sizes * self.scenario.training.epochs

    @cached_property
    def covers(self) -> npt.NDArray[np.bool_]:
        """Of which classes each participant holds enough examples to teach them, (n, m)."""
        counts = [np.bincount(s.groups.numpy(), minlength=self.data.classes) for s in self.shards]
        return np.stack(counts) >= ENOUGH_EXAMPLES

    def market(self, leakage: npt.NDArray[np.float64]) -> Market:
        """Return what the server believes of costs; here it believes the truth.

        A unit of work costs its money, its part of the burden ``beta E``, and
        its part of the privacy ``alpha P`` that a full share is expected to
        cost, for an expected leakage P of (n,).
        """
        prices = self.scenario.prices
        burden = prices.efficiency * prices.flops * self.costs.gflops_per_unit
        privacy = prices.privacy * leakage / self.capacity
        return Market(self.costs.linear + burden + privacy, self.costs.quadratic, self.capacity)

    def full_costs(
        self, units: npt.NDArray[np.float64], leakage: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return ``c + alpha P + beta E`` of doing ``units`` (n,) of work, money."""
        prices, present = self.scenario.prices, units > 0
        burden = prices.efficiency * self.costs.burden(units, present)
        return self.costs.cost(units) + burden + prices.privacy * leakage * present

    def shard_at(self, participant: int, number: int) -> Examples:
        """Return what a participant holds in round ``number``."""
        return at_round(
            self.shards[participant],
            self.plain[participant],
            self.scenario.data,
            number,
            self.scenario.rounds,
        )

    def units(self, action: Action, participant: int) -> float:
        """Return the units of work that an action declares."""
        samples = np.ceil(action.share * len(self.shards[participant]))
        return float(samples * self.scenario.training.epochs)

    @cached_property
    def reference_trigger(self) -> TriggerAttack:
        """The trigger by which every run's attack success is measured: that of "backdoor"."""
        named = [self.attacks.get("backdoor"), *self.attacks.values()]
        return next((a for a in named if isinstance(a, TriggerAttack)), Backdoor())

    def shadow(self, participant: int) -> Examples:
        """Return public data as the participant's domain shows it: what an attacker can have."""
        domains = self.scenario.data.domains
        # The stream has the name that it always had, so that a seed keeps its draws.
        rng = self.streams.generator("population", participant)
        return in_domain(self.data.public, domains[participant % len(domains)], rng)

    def accuracies(self, adapters: Tensor) -> npt.NDArray[np.float64]:
        """Return the test accuracy over the participants' domains of (M, P) adapters, (M,)."""
        return self.federation.evaluate(adapters, self.test).accuracy(self.test.labels)

    @cached_property
    def base_accuracy(self) -> float:
        """The base model's test accuracy."""
        return float(self.accuracies(self.federation.initial[None])[0])

    def base_trigger_rate(self, attack: TriggerAttack) -> float:
        """Return the trigger's rate on the base model, measured once for each attack."""
        if attack not in self.base_rates:
            rates = self.trigger_rates(self.federation.initial[None], attack)
            self.base_rates[attack] = float(rates[0])
        return self.base_rates[attack]

    def trigger_rates(self, adapters: Tensor, attack: TriggerAttack) -> npt.NDArray[np.float64]:
        """Return how often triggered test examples get the attacker's answer, (M,)."""
        triggered = attack.triggered_test(self.test)
        return self.federation.evaluate(adapters, triggered).accuracy(triggered.labels)

    def coalition_examples(self) -> Examples:
        """Return the validation examples on which coalitions are valued."""
        size = min(self.scenario.contribution.examples, len(self.validation))
        index = np.linspace(0, len(self.validation) - 1, size).round().astype(np.int64)
        return self.validation.select(index)


def _costs(
    scenario: Scenario, federation: Federation, shard: Examples, streams: Streams
) -> CostModel:
    draws = streams.generator("costs").standard_normal(scenario.participants.count)
    protection = scenario.build_protection()
    sent = federation.layout.size_bytes + protection.size_bytes(federation.layout.size)
    kept = federation.backbone.size_bytes + federation.layout.size_bytes
    return CostModel(
        factor=np.exp(scenario.prices.cost_spread * draws),
        gflops_per_unit=federation.training_flops(shard) / 1e9,
        megabytes=sent / 1e6,
        gigabytes=kept / 1e9,
        prices=scenario.prices,
    )
