"""What a payment mechanism is: it announces, allocates work, and pays for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.settings import Plugin

#: Units of work (any shape) to the money paid for each, as announced.
Tariff = Callable[[Array], Array]


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
class Properties:
    """What a mechanism assumes, and which properties hold by theorem under it.

    A property that is claimed here is tested on random populations, and for one
    that is not a counter-example is kept among the tests.

    Attributes
    ----------
    knows : str
        Who knows what, in one line.
    source : str
        Where the rule was published.
    individually_rational : bool
        Who asks its cost is never paid less than it.
    truthful : bool
        Asking one's cost is a dominant strategy; for rules that post a price,
        pay does not depend on one's own ask.
    within_budget : bool
        Payments never exceed the budget, or what the buyers pay.
    monotone : bool
        Who is chosen stays chosen with a lower ask.
    """

    knows: str
    source: str
    individually_rational: bool = False
    truthful: bool = False
    within_budget: bool = False
    monotone: bool = False


@dataclass(frozen=True)
class Announcement:
    """What the server announces before anyone offers.

    Attributes
    ----------
    tariff : callable or None
        Units of work to money; None where pay is only known afterwards. A menu
        of contracts is a tariff too: a participant chooses by how much it works
        (the taxation principle).
    price : float
        Money per unit, for the record; 0 where no single price is posted.
    """

    tariff: Tariff | None = None
    price: float = 0.0

    @classmethod
    def of_price(cls, price: float) -> Announcement:
        """Announce one price per unit, money."""
        return cls(lambda units: price * units, price)


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
    covers : (n, m) bool array
        Which of m items (classes of the data) each offers work on.
    """

    units: Array
    asks: Array
    reputation: Array
    covers: Mask = field(default_factory=lambda: np.zeros((0, 0), dtype=np.bool_))


@dataclass(frozen=True)
class Allocation:
    """Who trains, and what each is promised on delivery.

    Attributes
    ----------
    selected : (n,) bool array
    promised : (n,) array
        Money; zero for those not selected, and for all where the payment
        waits for the delivery.
    collected : float
        Money that buyers outside pay the server for the round's work.
    """

    selected: Mask
    promised: Array
    collected: float = 0.0


@dataclass(frozen=True)
class Delivery:
    """What was delivered in a round, as far as a mechanism asked to know it.

    Attributes
    ----------
    units : (n,) array
        Units of work of the sound updates.
    game : CoalitionGame or None
        Over all n participants; given when ``uses_game`` is true.
    gram : (n, n) array or None
        Inner products of the updates; given when ``uses_gram`` is true.
    seed : int
        For a rule that samples; the same for all profiles asked about in a round.
    """

    units: Array
    game: CoalitionGame | None = None
    gram: Array | None = None
    seed: int = 0


class Mechanism(Plugin):
    """Base of all payment mechanisms; its fields are its scenario parameters.

    A subclass is one file and one line in `fedfm_sim.mechanisms.MECHANISMS`.
    """

    #: What is assumed, and what holds by theorem.
    properties: ClassVar[Properties] = Properties(knows="", source="")

    #: Whether `pay` reads the coalition game, which costs up to ``2**n`` evaluations.
    uses_game: ClassVar[bool] = False

    #: Whether `pay` reads the inner products of the updates.
    uses_gram: ClassVar[bool] = False

    def condition(self, market: Market) -> str | None:
        """Return which assumption of the rule does not hold in a market, or None."""
        return None

    def announce(self, market: Market) -> Announcement:
        """Return the tariff that the server posts; by default none."""
        return Announcement()

    @abstractmethod
    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Choose who trains and what each is promised.

        ``announcement`` is what `announce` returned this round.
        """

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return the (n,) payments due for delivered work, money.

        It may be asked for several profiles in a round, and changes nothing.
        """
        return allocation.promised

    def collect(self, allocation: Allocation, delivery: Delivery) -> float:
        """Return what buyers outside pay the server for the round, money."""
        return allocation.collected

    def learn(self, payments: Array, delivery: Delivery) -> None:
        """Take note of a round that was settled; rules with a memory keep it here."""
