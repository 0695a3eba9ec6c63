"""Eq. 12, ``U = r - c + lambda R - alpha P - beta E``, and the sanctions, added up once.

A verdict may be a fact (0 or 1), a chance, or a belief: the sums are the same. So a round that
was played, a deviation that is tried, what a participant expects, and a million participants
as arrays all go through `settle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from fedfm_sim.agents.prices import Prices
from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.mechanisms.sanctions import Sanctions

#: One participant's, or of each of n; a plain 0.0 counts for nothing and costs nothing.
Amount = float | Array


@dataclass(frozen=True)
class Line:
    """One line of the ledger.

    Attributes
    ----------
    name : str
        The column of the tables that holds the amount, at least 0.
    sign : int
        Whether it adds to the utility or takes away.
    meaning : str
    price : str or None
        The attribute of `Prices` that makes money of the amount; None for what is money.
    """

    name: str
    sign: int
    meaning: str
    price: str | None = None

    def add(self, total: Any, amount: Any, prices: Prices) -> Any:
        """Add the money of an amount to a total, or take it away; an array is changed in place."""
        money = amount if self.price is None else getattr(prices, self.price) * amount
        if self.sign > 0:
            total += money
        else:
            total -= money
        return total


#: Eq. 12 line by line, in the order in which it is added up. A new term is a line here, an
#: amount where it is measured (`fedfm_sim.simulation.play.Play.stakes_of`), and a price;
#: participants expect it once `Participant.expect` has it among its stakes, too.
LINES = (
    Line("payment", +1, "r: money from the mechanism for sound work"),
    Line("bounty", +1, "r: money for true reports"),
    Line("proceeds", +1, "r: money from outside for what an attack stole or broke"),
    Line("fine", -1, "r: money lost to sanctions, fees of false reports included"),
    Line("cost", -1, "c: money that work and effort cost"),
    Line("reputation", +1, "R: trust, in [0, 1]", "reputation"),
    Line("privacy", -1, "P: leakage by the scenario's measure, in the mean 0 for none", "privacy"),
    Line("efficiency", -1, "E: the burden of Eq. 16", "efficiency"),
)

#: The lines that are r, the reward.
REWARD = ("payment", "bounty", "proceeds", "fine")


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the server finds out about a participant, or about each of n.

    Attributes
    ----------
    convicted : Amount
        Of a violation, in [0, 1]: it loses its payment and is fined.
    exposed : Amount
        How many of the copies that are found for sale are traced to it.
    upheld, refuted : Amount
        How many of its reports turn out true, and false.
    """

    convicted: Amount | Mask = 0.0
    exposed: Amount = 0.0
    upheld: Amount = 0.0
    refuted: Amount = 0.0

    def of(self, participant: int) -> Verdicts:
        """Return what concerns one of n participants."""
        own = {f.name: float(getattr(self, f.name)[participant]) for f in fields(self)}
        return Verdicts(**own)


@dataclass(frozen=True, eq=False)
class Utility:
    """A settled ledger.

    Attributes
    ----------
    amounts : mapping of str to Amount
        By the name of the line; money, or the term's own unit.
    prices : Prices
    """

    amounts: Mapping[str, Amount]
    prices: Prices

    def __getitem__(self, name: str) -> Amount:
        """Return the amount of a line."""
        return self.amounts[name]

    @property
    def reward(self) -> Amount:
        """Return r: what was paid and earned less what was fined, money."""
        return self._sum(REWARD)

    @property
    def total(self) -> Amount:
        """Return U, money."""
        return self._sum(tuple(self.amounts))

    def _sum(self, names: tuple[str, ...]) -> Amount:
        total: Any = 0.0
        for line in LINES:
            amount = self.amounts.get(line.name, 0.0) if line.name in names else 0.0
            if _is_nothing(amount):
                continue
            # The sum starts as a number, so that an array that it becomes is our own.
            total = line.add(total, amount, self.prices)
        return cast(Amount, total)


def settle(
    stakes: Mapping[str, Amount], verdicts: Verdicts, sanctions: Sanctions, prices: Prices
) -> Utility:
    """Return what is left of stakes after verdicts.

    Parameters
    ----------
    stakes : mapping of str to Amount
        What each line comes to without verdicts: ``payment`` is what is due for sound work.
        Lines that are left out are the same whatever is compared.
    verdicts : Verdicts
        Facts, chances or beliefs; expected utility is linear in them.
    sanctions : Sanctions
    prices : Prices

    Returns
    -------
    Utility
    """
    amounts = dict(stakes)
    amounts["payment"] = kept(stakes["payment"], verdicts.convicted)
    amounts["bounty"] = verdicts.upheld * sanctions.bounty
    fine: Any = 0.0
    for found, price in (
        (verdicts.convicted, sanctions.fine),
        (verdicts.exposed, sanctions.theft_fine),
    ):
        if not _is_nothing(found):
            fine = fine + found * price
    if not _is_nothing(verdicts.refuted):
        fine = fine + fee(verdicts, sanctions)
    amounts["fine"] = fine
    return Utility(amounts, prices)


def fee(verdicts: Verdicts, sanctions: Sanctions) -> Amount:
    """Return what false reports cost, money: the part of a fine that no deposit secures."""
    return verdicts.refuted * sanctions.false_report_fee


def _is_nothing(amount: Amount | Mask) -> bool:
    return isinstance(amount, float) and amount == 0.0


def kept(payment: Amount, convicted: Amount | Mask) -> Amount:
    """Return what a conviction leaves of a payment; an array's pass is saved without one."""
    return payment if _is_nothing(convicted) else cast(Amount, payment * (1.0 - convicted))
