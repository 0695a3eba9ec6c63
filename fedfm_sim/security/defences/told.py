"""What rules share whose theorems are about a known number, or less than half, of attackers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from fedfm_sim.learning.aggregation import AggregationRule


class ToldAttackers(AggregationRule):
    """Base of the rules that are told f, how many may be malicious.

    Their theorems ask for ``n >= least(f)`` updates. Where fewer are aggregated, f is lowered
    to what they cover, and `condition` says so.
    """

    knowledge: ClassVar[str] = "f, how many may be malicious"
    #: The theorem's condition, as its paper has it.
    asks: ClassVar[str]

    attackers: int = Field(default=2, ge=0, description="f, how many updates may be malicious")

    @abstractmethod
    def least(self, attackers: int) -> int:
        """Return the fewest updates n that the theorem takes with f ``attackers``."""

    def covered(self, uploads: int) -> int:
        """Return the f that is used with so many updates: the largest that the theorem covers."""
        most = range(self.attackers, 0, -1)
        return next((f for f in most if self.least(f) <= uploads), 0)

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether there are too few updates for f, or more attackers than f."""
        needed, used = self.least(self.attackers), self.covered(uploads)
        if uploads < needed:
            return (
                f"attackers = {self.attackers} needs {self.asks} = {needed} updates; "
                f"with {uploads} it is f = {used}"
            )
        if malicious > used:
            return f"{malicious} of {uploads} updates were malicious, more than attackers = {used}"
        return None


class MostAreHonest(AggregationRule):
    """Base of the rules that hold while fewer than half of the updates are malicious."""

    knowledge: ClassVar[str] = "that fewer than half are malicious"

    def condition(self, uploads: int, malicious: int = 0) -> str | None:
        """Return whether half of the updates or more are malicious."""
        if malicious and 2 * malicious >= uploads:
            return f"{malicious} of {uploads} updates were malicious, it needs fewer than half"
        return None
