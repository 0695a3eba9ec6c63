"""Who holds which data: what stays as it was dealt out for a whole run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.datasets import DATASETS, SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.partitions import (
    across_domains,
    at_round,
    in_domain,
    labelled_by,
    private_shards,
)
from fedfm_sim.scenarios.schema import Scenario

#: With this many examples of a class a participant is said to cover it.
ENOUGH_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Holdings:
    """The data of one run.

    Attributes
    ----------
    scenario : Scenario
    streams : Streams
    data : SplitData
    shards, plain : lists of n Examples
        Each participant's data in its domain, and the same before the domain.
    held_out : list of n Examples
        Test examples in each participant's domain, with their true labels.
    others : list of n Examples
        The same with the labels that the participant would give them: examples of its
        distribution that it never saw, the non-members of membership inference.
    validation, test : Examples
        Spread evenly over the participants' domains.
    """

    scenario: Scenario
    streams: Streams
    data: SplitData
    shards: list[Examples]
    plain: list[Examples]
    held_out: list[Examples]
    others: list[Examples]
    validation: Examples
    test: Examples

    @classmethod
    def deal(cls, scenario: Scenario, streams: Streams, data: SplitData | None = None) -> Holdings:
        """Deal out the data; the scenario's as they are unless they are given."""
        settings, count = scenario.data, scenario.participants.count
        data, domains = data or DATASETS[settings.name](), settings.domains
        if settings.secrets and "input_ids" in data.private.inputs and data.words is None:
            raise UserError("data.secrets: planted in the words of 'notes' alone; expected 0")
        held_out, others = [], []
        for k in range(count):
            draw = streams.generator("held-out", k)
            held_out.append(in_domain(data.test, domains[k % len(domains)], draw))
            others.append(labelled_by(held_out[k], k, count, data.classes, settings, draw))
        undomained = settings.model_copy(update={"domains": ("original",)})
        return cls(
            scenario,
            streams,
            data,
            private_shards(data.private, count, data.classes, settings, streams),
            private_shards(data.private, count, data.classes, undomained, streams),
            held_out,
            others,
            across_domains(data.validation, domains, streams.generator("validation")),
            across_domains(data.test, domains, streams.generator("test")),
        )

    @cached_property
    def sizes(self) -> Array:
        """How many examples each participant holds, (n,)."""
        return np.array([len(shard) for shard in self.shards], dtype=np.float64)

    @cached_property
    def covers(self) -> Mask:
        """Of which classes each participant holds enough examples to teach them, (n, m)."""
        counts = [np.bincount(s.groups.numpy(), minlength=self.data.classes) for s in self.shards]
        return np.stack(counts) >= ENOUGH_EXAMPLES

    def shard_at(self, participant: int, number: int) -> Examples:
        """Return what a participant holds in round ``number``."""
        return at_round(
            self.shards[participant],
            self.plain[participant],
            self.scenario.data,
            number,
            self.scenario.rounds,
        )

    def others_at(self, participant: int, number: int) -> Examples:
        """Return the non-members, drifted as the participant's own data in round ``number``."""
        at_once = self.scenario.data.model_copy(update={"arrival": "at-once"})
        others, rounds = self.others[participant], self.scenario.rounds
        return at_round(others, self.data.test, at_once, number, rounds)

    def shadow(self, participant: int) -> Examples:
        """Return public data as the participant's domain shows it: what an attacker can have."""
        domains = self.scenario.data.domains
        # The stream has the name that it always had, so that a seed keeps its draws.
        rng = self.streams.generator("population", participant)
        return in_domain(self.data.public, domains[participant % len(domains)], rng)

    @cached_property
    def coalition_examples(self) -> Examples:
        """The validation examples on which coalitions are valued."""
        size = min(self.scenario.contribution.examples, len(self.validation))
        index = np.linspace(0, len(self.validation) - 1, size).round().astype(np.int64)
        return self.validation.select(index)
