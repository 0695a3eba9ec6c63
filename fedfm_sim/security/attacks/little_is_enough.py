"""A little is enough (ALIE): stay within the spread of the honest, and push."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy.stats import norm
from torch import Tensor

from fedfm_sim.learning.low_rank import fold
from fedfm_sim.security.attacks.protocol import Attack, Goal, View


class LittleIsEnough(Attack):
    """Send the honest mean less z standard deviations, per coordinate of dW (Baruch et al. 2019).

    With n updates of which f attack, ``s = floor(n / 2 + 1) - f`` honest ones are needed
    for a majority, and ``z = Phi^-1((n - f - s) / (n - f))`` is the most that still looks
    ordinary. At small sizes - (n, f) of (5, 1) or (10, 2) - this z is 0 and the attack
    void, so z can be given.
    """

    goal: ClassVar[Goal] = "damage"
    trains: ClassVar[bool] = False
    sees_others: ClassVar[bool] = True
    knowledge: ClassVar[str] = "the honest updates"
    source: ClassVar[str] = "Baruch, Baruch and Goldberg, NeurIPS 2019"
    z: float | None = Field(default=None, ge=0, description="standard deviations; None for z_max")

    def condition(self, honest: int, attackers: int) -> str | None:
        """Return whether z is 0 at this size, so that the honest mean is sent."""
        void = honest and self.z is None and largest_z(honest, attackers) == 0
        if void:
            return f"z = 0 for n = {honest + attackers}, f = {attackers}: it sends the honest mean"
        return super().condition(honest, attackers)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the shifted mean; honest where nobody else is."""
        rows = view.honest_changes
        if not len(rows):
            return update
        z = largest_z(len(rows), view.attackers) if self.z is None else self.z
        change = rows.mean(0) - z * rows.std(0, correction=0)
        return fold(view.layout, change, view.reference)[0]


def largest_z(honest: int, attackers: int) -> float:
    """Return z_max for so many honest participants and attackers; at least 0.

    Attackers who are a majority by themselves are counted as needing one supporter,
    as they would need no bound at all.
    """
    supporters = max(1, (honest + attackers) // 2 + 1 - attackers)
    return max(0.0, float(norm.ppf((honest - supporters) / honest)))
