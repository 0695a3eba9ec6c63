"""What an audit found, property by property."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import share
from fedfm_sim.core.keys import choices
from fedfm_sim.core.random import Streams
from fedfm_sim.mechanisms.auditing.population import Population
from fedfm_sim.mechanisms.auditing.probes import PROBES
from fedfm_sim.mechanisms.auditing.rounds import TRUTH, Deviation, Round, Traits
from fedfm_sim.mechanisms.protocol import Mechanism

#: Violations up to this much, in the property's unit, are rounding.
ROUNDING = 1e-7


@dataclass(frozen=True, eq=False)
class Finding:
    """How far one property was violated.

    Attributes
    ----------
    name, measure, unit : str
        The property, and what was measured of it; the measure is 0 where the property holds.
    values : (m,) array
        The largest measure found in each of m instances, at least 0; empty where the
        property means nothing for the mechanism.
    deviation : Deviation
        What was declared in the worst instance.
    happening : str
        What happens there, in words.
    lower_bound : bool
        Whether deviations were searched, so that there may be worse ones.
    why : str
        Why the property means nothing for the mechanism; empty where it does.
    """

    name: str
    measure: str
    unit: str
    values: Array
    deviation: Deviation = TRUTH
    happening: str = ""
    lower_bound: bool = False
    why: str = ""

    @property
    def applies(self) -> bool:
        """Whether the property means anything for the mechanism."""
        return not self.why

    @property
    def instances(self) -> int:
        """The number of instances looked at."""
        return len(self.values)

    @property
    def worst(self) -> float:
        """The largest measure; NaN where the property does not apply."""
        return float(self.values.max()) if self.applies else float("nan")

    @property
    def worst_instance(self) -> int:
        """The number of the instance where it is largest; -1 where there is none."""
        return int(self.values.argmax()) if self.applies else -1

    @property
    def mean(self) -> float:
        """The mean of the measure over instances; NaN where the property does not apply."""
        return float(self.values.mean()) if self.applies else float("nan")

    @property
    def share_violated(self) -> float:
        """The share of instances in which the property is violated; NaN as for the mean."""
        return float((self.values > ROUNDING).mean()) if self.applies else float("nan")

    @property
    def share_interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share of populations in which a violation is found.

        Clopper and Pearson's, which covers it at least as often; NaN as for the mean.
        """
        if not self.applies:
            return float("nan"), float("nan")
        return share(int((self.values > ROUNDING).sum()), self.instances)

    @property
    def verdict(self) -> str:
        """Say "violated", "not violated" (which proves nothing) or "does not apply"."""
        if not self.applies:
            return "does not apply"
        return "violated" if self.worst > ROUNDING else "not violated"

    def describe(self) -> str:
        """Return the worst instance in words, or why there is none."""
        if not self.applies:
            return self.why
        if self.worst <= ROUNDING:
            return (
                f"no violation in {self.instances} instances: found in at most "
                f"{self.share_interval[1]:.1%} of populations (95 %)"
            )
        return f"instance {self.worst_instance}: {self.happening}"


@dataclass(frozen=True, eq=False)
class AuditReport:
    """What an audit found.

    Attributes
    ----------
    name : str
        The mechanism's.
    mechanism : Mechanism
    population : Population
    seed : int
    traits : Traits
        What the mechanism was seen to look at.
    findings : tuple of Finding
        One for each property looked at.
    """

    name: str
    mechanism: Mechanism
    population: Population
    seed: int
    traits: Traits
    findings: tuple[Finding, ...] = field(repr=False)

    def finding(self, name: str) -> Finding:
        """Return what was found of a property.

        Raises
        ------
        UserError
            When there is no such property.
        """
        found = {each.name: each for each in self.findings}
        if name not in found:
            raise UserError(f"unknown property '{name}'{choices(name, found)}")
        return found[name]

    @property
    def passed(self) -> bool:
        """Whether no property that applies was seen violated."""
        return all(each.verdict != "violated" for each in self.findings)

    def replay(self, name: str) -> float:
        """Play the worst instance of a property again, and return its measure.

        Raises
        ------
        UserError
            When there is no such property, or it does not apply.
        """
        found = self.finding(name)
        if not found.applies:
            raise UserError(f"{name} does not apply: {found.why}")
        round_ = draw_round(
            self.mechanism, self.population, self.seed, found.worst_instance, self.traits
        )
        return max(PROBES[name].measured(round_, found.deviation), 0.0)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each property."""
        return pd.DataFrame(self.to_records()).set_index("property")

    def to_records(self) -> list[dict[str, Any]]:
        """Return the findings as plain values; None where a property does not apply."""
        return [
            {
                "property": each.name,
                "verdict": each.verdict,
                "worst": each.worst if each.applies else None,
                "mean": each.mean if each.applies else None,
                "share_violated": each.share_violated if each.applies else None,
                "share_low": each.share_interval[0] if each.applies else None,
                "share_high": each.share_interval[1] if each.applies else None,
                "unit": each.unit,
                "measure": each.measure,
                "lower_bound": each.lower_bound,
                "instances": each.instances,
                "worst_instance": each.worst_instance if each.applies else None,
                "participants": [int(k) for k in each.deviation.participants],
                "units": [float(u) for u in each.deviation.units],
                "asks": [float(a) for a in each.deviation.asks],
                "description": each.describe(),
            }
            for each in self.findings
        ]

    def __repr__(self) -> str:
        lines = [f"Audit of {self.name}, {type(self.population).__name__}, seed {self.seed}"]
        for each in self.findings:
            lines.append(f"  {each.name:24s}{each.verdict:16s}{each.describe()}")
        return "\n".join(lines)


def draw_round(
    mechanism: Mechanism,
    population: Population,
    seed: int,
    number: int,
    traits: Traits | None = None,
) -> Round:
    """Return the round of one instance; the same whenever and wherever it is asked for."""
    streams = Streams(seed, "audit")
    instance = population.draw(streams.generator("instance", number))
    return Round(mechanism, instance, streams.integer("payments", number), traits)
