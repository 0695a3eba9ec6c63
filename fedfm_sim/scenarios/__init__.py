"""Scenario files: their schema, their loader, and the catalogue."""

from fedfm_sim.scenarios.loader import catalogue, load_scenario
from fedfm_sim.scenarios.schema import Scenario

__all__ = ["Scenario", "catalogue", "load_scenario"]
