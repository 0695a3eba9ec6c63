"""Where agents, federation and mechanism meet: one step is one federated round."""

from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.result import RunResult, collect

__all__ = ["FederationModel", "RunResult", "collect"]
