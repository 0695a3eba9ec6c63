"""An audit of a payment mechanism by name, with its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import pandas as pd

from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.experiments.reported import Page, Reported
from fedfm_sim.mechanisms.auditing import POPULATIONS, AuditReport, Finding
from fedfm_sim.mechanisms.auditing import audit as look_for_violations
from fedfm_sim.reporting.audit_figures import draw_audit
from fedfm_sim.reporting.page import Section

CAVEAT = "Searched gains are lower bounds (at least); no violation seen is no proof."


@dataclass(frozen=True, eq=False, repr=False)
class MechanismAudit(Reported):
    """What an audit found, and on what.

    Attributes
    ----------
    found : AuditReport
    population : str
        Name of the population that instances were drawn from.
    instances : int
    """

    found: AuditReport
    population: str
    instances: int

    json_name = "audit.json"

    @property
    def summary(self) -> dict[str, Any]:
        """The mechanism, the population, and what was found of every property."""
        own = self.found
        return {
            "mechanism": {"name": own.name, **own.mechanism.model_dump()},
            "population": {"name": self.population, **own.population.model_dump()},
            "instances": self.instances,
            "seed": own.seed,
            "findings": own.to_records(),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each property."""
        return self.found.to_frame()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the table of properties."""
        return {"audit": self.to_frame()}

    def rows(self) -> list[dict[str, str]]:
        """Return what was found as it is shown."""
        return [_row(each) for each in self.found.findings]

    def page(self) -> Page:
        """Return the picture, the worst instances and the mechanism's parameters."""
        own = self.found
        return Page(
            f"Audit of {own.name}",
            f"{self.instances} instances of {own.population.participants} ({self.population}), "
            f"seed {own.seed}. {CAVEAT}",
            [
                Section("What was looked for", figure=partial(draw_audit, own), name="audit"),
                Section("The worst instance of each", table=pd.DataFrame(self.rows())),
                Section("Parameters", listing=json.dumps(self.summary["mechanism"], indent=2)),
            ],
        )

    def lines(self) -> list[str]:
        """Return which properties were seen violated, and which not."""
        own = self.found
        by_verdict: dict[str, list[str]] = {}
        for each in own.findings:
            by_verdict.setdefault(each.verdict, []).append(each.name)
        return [
            f"{own.name} on {self.instances} instances ({self.population}), seed {own.seed}",
            *(f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items()),
        ]


def audit(
    mechanism: str,
    population: str = "lognormal-costs",
    participants: int = 6,
    instances: int = 200,
    seed: int = 0,
    parameters: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress = unwatched,
) -> MechanismAudit:
    """Look for violations of what a mechanism should keep: see `mechanisms.auditing.audit`.

    Raises
    ------
    UserError
        When a name is unknown or a parameter does not fit.
    """
    drawn_from = POPULATIONS.build({"name": population, "participants": participants})
    found = look_for_violations(mechanism, drawn_from, instances, seed, parameters, progress)
    return MechanismAudit(found, population, instances)


def _row(each: Finding) -> dict[str, str]:
    low, high = each.share_interval
    bound = "at least " if each.lower_bound and each.verdict == "violated" else ""
    return {
        "property": each.name,
        "verdict": each.verdict,
        "worst": f"{bound}{each.worst:.3g} {each.unit}" if each.applies else "",
        "violated in": f"{each.share_violated:.0%} ({low:.0%} to {high:.0%})"
        if each.applies
        else "",
        "worst instance": each.describe(),
    }
