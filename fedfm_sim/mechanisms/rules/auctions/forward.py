"""The forward auction: model owners bid for clients, one client after the other.

References
----------
.. [1] X. Tang and H. Yu, "Utility-maximizing bidding strategy for data consumers
   in auction-based federated learning", IEEE ICME 2023, pp. 330-335 (several
   model owners with budgets compete for each client).
.. [2] W. Vickrey, "Counterspeculation, auctions, and competitive sealed
   tenders", The Journal of Finance 16(1), 1961, pp. 8-37.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeFloat, model_validator

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Mechanism, Offers, Properties
from fedfm_sim.mechanisms.rules.auctions.bids import nonnegative, standing_asks, within


@dataclass(frozen=True, eq=False)
class ForwardResult:
    """Who bought whom, and for what.

    Attributes
    ----------
    owners : (n,) array of int
        The buyer of each client; -1 where it was not sold.
    prices : (n,) array
        Money paid for each; zero where it was not sold.
    spent : (m,) array
        Money that each buyer paid.
    """

    owners: Index
    prices: Array
    spent: Array

    def to_frame(self) -> pd.DataFrame:
        """Return one row per client, with its owner and price."""
        frame = pd.DataFrame({"owner": self.owners, "price": self.prices})
        return frame.rename_axis("client")


def forward(
    values: npt.ArrayLike, reserves: npt.ArrayLike, budgets: npt.ArrayLike
) -> ForwardResult:
    """Sell clients to model owners with budgets, in a second-price auction each [1]_.

    The clients are sold in the order of their indices. Each buyer bids its
    value of the client, or what is left of its budget if that is less; the
    highest bid of at least the reserve wins, and pays the second highest bid or
    the reserve, whichever is more [2]_.

    Parameters
    ----------
    values : (m, n) array
        Money that each of n clients is worth to each of m buyers.
    reserves : (n,) array
        Money that each client asks; with infinity it is not for sale.
    budgets : (m,) array
        Money that each buyer can spend.

    Returns
    -------
    ForwardResult
        Ties go to the buyer of the lower index; a bid of 0 buys nothing.

    Raises
    ------
    UserError
        When a number is negative or NaN, or the shapes do not fit.

    Notes
    -----
    Bidding one's value is a dominant strategy for a buyer whose budget does not
    bind [2]_. With budgets that bind it is not: a buyer may pass a client over
    to have more for the next. Nor is it for clients, who gain by asking more.

    Examples
    --------
    >>> result = forward([[5, 5], [4, 4]], [1, 1], [6, 9])
    >>> result.owners.tolist(), result.prices.tolist(), result.spent.tolist()
    ([0, 1], [4.0, 2.0], [4.0, 2.0])
    """
    values = nonnegative("values", values, ndim=2)
    reserves = nonnegative("reserves", reserves, infinite=True)
    budgets = nonnegative("budgets", budgets)
    if values.shape != (budgets.size, reserves.size) or not budgets.size:
        raise UserError(
            f"values must be of shape (buyers, clients), got {values.shape} "
            f"for {budgets.size} buyers and {reserves.size} clients"
        )
    owners, prices = np.full(reserves.size, -1, dtype=np.int64), np.zeros(reserves.size)
    spent = np.zeros(budgets.size)
    for client, reserve in enumerate(reserves):
        bids = np.minimum(values[:, client], np.maximum(budgets - spent, 0.0))
        winner = int(within(bids.max(), bids).argmax())
        if not within(reserve, bids[winner]) or bids[winner] == 0:
            continue
        rivals = np.delete(bids, winner)
        owners[client], prices[client] = winner, max(rivals.max(initial=0.0), reserve)
        spent[winner] += prices[client]
    return ForwardResult(owners, prices, spent)


class ForwardAuction(Mechanism):
    """The forward auction (see `forward`) of participants to model owners.

    Buyers value a participant by its units of work and bid just that;
    participants' asks are their reserve prices.

    Assumptions: buyers are not strategic; each participant knows its own cost;
    the work offered is what is delivered.

    - Individual rationality holds: who is sold gets at least its ask.
    - Incentive compatibility does not hold for the participants: a reserve above
      its cost raises the price of who has one buyer only.
    - Budget balance holds: the buyers pay what the participants get, each within
      its budget.

    Attributes
    ----------
    values : tuple of m float
        Money that a unit of work is worth to each buyer. The defaults are three
        buyers at equal distances up to 0.1, which is what the first unit is
        worth where unlimited work is worth 100 and 1000 units are the scale, the
        defaults of the mechanisms with a saturating value.
    budgets : tuple of m float
        Money that each can spend in a round. The defaults pay for about half
        of ten participants of a hundred units each, among them.
    """

    properties = Properties(
        knows="buyers' values and budgets are public; each participant knows its own cost alone",
        source="Tang and Yu, IEEE ICME 2023",
        individually_rational=True,
        within_budget=True,
        monotone=True,
    )

    values: tuple[NonNegativeFloat, ...] = Field(default=(0.1, 0.08, 0.06), min_length=1)
    budgets: tuple[NonNegativeFloat, ...] = Field(default=(15.0, 15.0, 15.0), min_length=1)

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.values) != len(self.budgets):
            raise ValueError(f"{len(self.values)} values need as many budgets, got {self.budgets}")
        return self

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Sell the participants one by one; buyers pay what they get."""
        values = np.outer(self.values, offers.units)
        result = forward(values, standing_asks(offers), np.array(self.budgets))
        return Allocation(result.owners >= 0, result.prices, float(result.spent.sum()))
