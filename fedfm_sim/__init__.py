"""fedfm-sim: an economic and security simulator for federated foundation models."""

from fedfm_sim import games, mechanisms
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments import run
from fedfm_sim.scenarios import Scenario, load_scenario

__all__ = ["Scenario", "UserError", "games", "load_scenario", "mechanisms", "run"]
