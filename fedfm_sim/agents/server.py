"""The server: the leader, which announces terms before the participants choose."""

from __future__ import annotations

import mesa

from fedfm_sim.agents.world import Terms
from fedfm_sim.mechanisms.protocol import Market, Mechanism
from fedfm_sim.mechanisms.sanctions import Sanctions


class Server(mesa.Agent):  # type: ignore[misc]
    """The operator of the federation, leader of the Stackelberg game."""

    def __init__(self, model: mesa.Model, mechanism: Mechanism, sanctions: Sanctions) -> None:
        super().__init__(model)
        self.mechanism, self.sanctions = mechanism, sanctions

    def announce(self, market: Market) -> Terms:
        """Return the terms of the coming round; the price anticipates best replies."""
        return Terms(self.mechanism.announce(market), self.sanctions)
