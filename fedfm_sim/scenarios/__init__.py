"""Scenario files: their schema, their loader, and the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedfm_sim.scenarios.names import catalogue

if TYPE_CHECKING:
    from fedfm_sim.scenarios.loader import load_scenario
    from fedfm_sim.scenarios.schema import Scenario

__all__ = ["Scenario", "catalogue", "load_scenario"]


def __getattr__(name: str) -> Any:
    """Load the schema, and torch with it, when it is asked for: a list of names needs neither."""
    if name == "Scenario":
        from fedfm_sim.scenarios.schema import Scenario

        return Scenario
    if name == "load_scenario":
        from fedfm_sim.scenarios.loader import load_scenario

        return load_scenario
    raise AttributeError(f"module 'fedfm_sim.scenarios' has no attribute {name!r}")
