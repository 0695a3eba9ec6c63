"""What a participant may ask of the world that it acts in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedfm_sim.agents.prices import Prices
from fedfm_sim.core.action import Action
from fedfm_sim.mechanisms.protocol import Announcement
from fedfm_sim.mechanisms.sanctions import Sanctions


@dataclass(frozen=True)
class Terms:
    """What the server announces before a round: the mechanism's tariff, and the sanctions."""

    announcement: Announcement
    sanctions: Sanctions


@dataclass(frozen=True)
class Work:
    """What an action declares (units), and what it costs (money) and burdens (E)."""

    declared: float
    cost: float
    burden: float


class World(Protocol):
    """What participants know of a round before they choose."""

    @property
    def terms(self) -> Terms:
        """The terms of the coming round."""

    @property
    def prices(self) -> Prices:
        """What things are worth, money."""

    def generator(self, purpose: str, participant: int) -> np.random.Generator:
        """Return the generator of one purpose for one participant in this round."""

    def price_work(self, participant: int, name: str) -> Work:
        """Return what an action would declare, cost and burden."""

    def sale_value(self, participant: int, name: str) -> float:
        """Return what selling the participant's copy would bring in this round, money."""

    def goal_of(self, action: Action) -> str:
        """Return what an action's attack is after, or an empty text."""


class Experience(Protocol):
    """What a round brought a participant; nothing is measured before it is asked for."""

    @property
    def utility(self) -> float:
        """Eq. 12, money."""

    @property
    def selected(self) -> bool:
        """Whether the mechanism let it take part."""

    @property
    def payment(self) -> float:
        """What the mechanism paid it, money; bounties are another thing."""

    @property
    def convicted(self) -> bool:
        """Whether an audit convicted it, so that it was not paid."""

    @property
    def going_rate(self) -> float:
        """What those who were paid got for a declared unit, as published, money; 0 for nobody."""

    @property
    def proceeds(self) -> float:
        """What it earned outside, money."""

    @property
    def leakage(self) -> float:
        """What its update gave away, by the scenario's measure."""

    @property
    def traced(self) -> bool | None:
        """Whether the copy that it sold could be traced to it; None without a sale."""

    @property
    def upheld(self) -> bool | None:
        """Whether its report was found true; None without a report."""
