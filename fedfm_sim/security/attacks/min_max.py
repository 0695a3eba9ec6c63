"""Min-Max and Min-Sum: as far as possible without being the farthest."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.low_rank import fold
from fedfm_sim.security.attacks.protocol import Attack, Goal, View

#: Halvings of the search for the largest shift.
HALVINGS = 60


class MinMax(Attack):
    """Shift the honest mean as far as the honest are apart (Shejwalkar and Houmansadr 2021).

    ``dW = mu - g p`` with the largest g at which the largest distance to an honest
    update is at most the largest among the honest. The direction p is their standard
    deviation per coordinate of dW, the mean at length 1, or the mean's signs.
    """

    goal: ClassVar[Goal] = "damage"
    trains: ClassVar[bool] = False
    sees_others: ClassVar[bool] = True
    knowledge: ClassVar[str] = "the honest updates"
    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"
    direction: Literal["deviation", "mean", "sign"] = Field(
        default="deviation", description="of the shift: minus the deviation, mean or sign"
    )

    def condition(self, honest: int, attackers: int) -> str | None:
        """Return whether one alone is honest, from whom nobody can be any distance."""
        if honest == 1:
            return "one alone is honest, whose update it sends"
        return super().condition(honest, attackers)

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter nearest to the shifted mean; honest where nobody else is."""
        rows = view.honest_changes
        if not len(rows):
            return update
        mean = rows.mean(0)
        directions = {
            "deviation": rows.std(0, correction=0),
            "mean": mean / mean.norm().clamp(min=1e-30),
            "sign": mean.sign(),
        }
        change = shifted(rows, -directions[self.direction], self.spread)
        return fold(view.layout, change, view.reference)[0]

    @staticmethod
    def spread(squares: Tensor) -> Tensor:
        """Return how far out points are, from their squared distances (..., m) to the honest."""
        return squares.amax(-1)


class MinSum(MinMax):
    """As `MinMax`, but the sum of squared distances may not exceed the largest honest one."""

    @staticmethod
    def spread(squares: Tensor) -> Tensor:
        """Return the sums of squared distances."""
        return squares.sum(-1)


def shifted(rows: Tensor, direction: Tensor, spread: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``mean + g direction`` (D,) with the largest g within the honest spread."""
    mean = rows.mean(0)
    bound = float(spread(torch.cdist(rows, rows) ** 2).max())
    if not direction.any():
        return mean

    # |row - mean - g direction|^2 as a polynomial in g, for every row.
    centred = rows - mean
    own, along, length = (centred**2).sum(1), centred @ direction, (direction**2).sum()

    def within(g: float) -> bool:
        return float(spread(own - 2 * g * along + g**2 * length)) <= bound

    low, high = 0.0, 1.0
    while within(high):
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return mean + low * direction
