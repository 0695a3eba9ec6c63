"""What a population faces in a round, and what a round comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedfm_sim.core.arrays import Array
from fedfm_sim.scenarios.outcomes import fixed_price
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.outcomes import Outcome, OutcomeSource


@dataclass(frozen=True)
class Faced:
    """What everybody faces in a round; of m actions, each tuple has m floats.

    Attributes
    ----------
    price : float
        Money per declared unit, for who is not convicted.
    fine : float
        Money that the convicted pay.
    audit_rate : float
        Chance of an audit.
    conviction : tuple of float
        Chance of an audit that convicts, by action.
    proceeds : tuple of float
        Money from outside, by action.
    leakage : tuple of float
        P of Eq. 12, by action.
    """

    price: float
    fine: float
    audit_rate: float
    conviction: tuple[float, ...]
    proceeds: tuple[float, ...]
    leakage: tuple[float, ...]

    @classmethod
    def at(cls, scenario: Scenario, outcome: Outcome) -> Faced:
        """Price an outcome at the terms of a scenario with a posted price."""
        prices, sanctions = scenario.prices, scenario.sanctions
        return cls(
            fixed_price(scenario.mechanism.build()),
            sanctions.fine,
            sanctions.audit_rate,
            tuple((sanctions.audit_rate * outcome.detection).tolist()),
            tuple((prices.backdoor * outcome.success).tolist()),
            tuple(outcome.leakage.tolist()),
        )


@dataclass(frozen=True)
class Totals:
    """What a round came to over all participants.

    Attributes
    ----------
    counts : tuple of m int
        How many took each action.
    audited, convicted : int
    payment, proceeds, fine, cost : float
        Money.
    reputation, privacy, efficiency : float
        Sums of R, P and E of Eq. 12.
    utility : float
        Sum of Eq. 12, money.
    """

    counts: tuple[int, ...]
    audited: int
    convicted: int
    payment: float
    proceeds: float
    fine: float
    cost: float
    reputation: float
    privacy: float
    efficiency: float
    utility: float


class Measured(Protocol):
    """A population, however its participants are stepped."""

    scenario: Scenario

    @property
    def shares(self) -> Array:
        """The shares (m,) of those who chose each action."""

    def choose(self) -> None:
        """Let everybody choose this round's action."""

    def play(self, faced: Faced) -> Totals:
        """Audit and pay everybody for the actions chosen, and let them learn."""


def play_measured(population: Measured, source: OutcomeSource) -> tuple[Faced, Totals]:
    """Open, play and close a round whose outcome is measured and not trained."""
    population.choose()
    faced = Faced.at(population.scenario, source.outcome(population.shares))
    return faced, population.play(faced)
