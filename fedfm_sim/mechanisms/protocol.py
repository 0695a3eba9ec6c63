"""What a payment mechanism is: it announces, allocates work, and pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fedfm_sim.core.game import CoalitionGame

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Market:
    """What the server believes of the participants when it sets its price.

    Attributes
    ----------
    linear : (n,) array
        Marginal cost of the first unit of work, money per unit.
    quadratic : (n,) array
        Convexity of cost: ``c(x) = linear * x + quadratic * x**2``.
    capacity : (n,) array
        Units of work each can do at most (samples x local epochs).
    """

    linear: Array
    quadratic: Array
    capacity: Array


@dataclass(frozen=True)
class Offers:
    """What the participants declare in one round; none of it need be true.

    Attributes
    ----------
    units : (n,) array
        Units of work offered (samples x local epochs); 0 stays out.
    asks : (n,) array
        Money asked for the whole of it.
    reputation : (n,) array
        The server's trust in each, in [0, 1].
    """

    units: Array
    asks: Array
    reputation: Array


@dataclass(frozen=True)
class Allocation:
    """Who trains, and what each is promised on delivery.

    Attributes
    ----------
    selected : (n,) bool array
    promised : (n,) array
        Money; zero for those not selected, and for all where the payment
        waits for the coalition game.
    """

    selected: Mask
    promised: Array


class Mechanism(BaseModel):
    """Base of all payment mechanisms; its fields are its scenario parameters.

    A subclass is one file and one line in `fedfm_sim.mechanisms.MECHANISMS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Whether `pay` reads the coalition game, which costs up to ``2**n`` evaluations.
    uses_game: ClassVar[bool] = False

    def announce(self, market: Market) -> float:
        """Return the price per unit the server posts, money; 0 where it posts none."""
        return 0.0

    def allocate(self, offers: Offers, price: float) -> Allocation:
        """Choose who trains and what each is promised.

        ``price`` is what `announce` returned this round, money per unit; a
        mechanism that posts no price ignores it.
        """
        raise NotImplementedError

    def pay(self, allocation: Allocation, game: CoalitionGame | None) -> Array:
        """Return the (n,) payments due for delivered work, money.

        ``game`` is the coalition game of the round over all n participants;
        it is given when ``uses_game`` is true.
        """
        return allocation.promised
