"""Audits of payment mechanisms: what holds, what does not, and the worst case of each.

- `population`: who takes part, drawn at random. `rounds`: one round with truth and lies.
- `probes`: a property each. `run`: all of them, on many instances. `report`: the result.
"""

from __future__ import annotations

from fedfm_sim.mechanisms.auditing.population import POPULATIONS, Instance, Population
from fedfm_sim.mechanisms.auditing.report import AuditReport, Finding
from fedfm_sim.mechanisms.auditing.rounds import Deviation
from fedfm_sim.mechanisms.auditing.run import audit

__all__ = [
    "POPULATIONS",
    "AuditReport",
    "Deviation",
    "Finding",
    "Instance",
    "Population",
    "audit",
]
