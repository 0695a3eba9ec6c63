"""What double auctions have in common: buyers and sellers ranked, and the result.

All clear a market of one kind of good in which every buyer wants one and every
seller has one.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Market, Mechanism, Offers
from fedfm_sim.mechanisms.rules.auctions.bids import (
    ascending,
    asks_per_unit,
    chosen,
    nonnegative,
    ranked,
    within,
)


@dataclass(frozen=True, eq=False)
class DoubleAuctionResult:
    """Who trades, and at which prices.

    Attributes
    ----------
    buyers : (m,) bool array
        The buyers who trade.
    sellers : (n,) bool array
        The sellers who trade, as many.
    buyer_price, seller_price : float
        Money that each of these buyers pays, and each of these sellers is
        paid; zero when nobody trades.
    efficient_trades : int
        How many trades all gains from trade would take.
    """

    buyers: Mask
    sellers: Mask
    buyer_price: float
    seller_price: float
    efficient_trades: int

    @property
    def trades(self) -> int:
        """How many trade."""
        return int(np.count_nonzero(self.buyers))

    @property
    def surplus(self) -> float:
        """What the auctioneer is left with, money; a deficit where negative."""
        return self.trades * (self.buyer_price - self.seller_price)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Buyers from the highest bid down, sellers from the lowest ask up.

    Attributes
    ----------
    bids : (m,) array
    asks : (n,) array
        Money, as they came in.
    buyers, sellers : arrays of int
        Indices by rank, ties by index; who asks infinity is left out.
    trades : int
        k, the largest number with ``k-th bid >= k-th ask``.
    """

    bids: Array
    asks: Array
    buyers: Index
    sellers: Index
    trades: int

    @classmethod
    def of(cls, bids: npt.ArrayLike, asks: npt.ArrayLike) -> Ranking:
        """Rank the buyers and sellers.

        Raises
        ------
        UserError
            When bids or asks are negative or not numbers.
        """
        bids = nonnegative("bids", bids)
        asks = nonnegative("asks", asks, infinite=True)
        buyers, sellers = ranked(-bids), ascending(asks)
        pairs = min(buyers.size, sellers.size)
        trades = int(np.count_nonzero(within(asks[sellers[:pairs]], bids[buyers[:pairs]])))
        return cls(bids, asks, buyers, sellers, trades)

    def bid(self, rank: int) -> float:
        """Return the bid of a rank, from 0; minus infinity beyond the last."""
        return float(self.bids[self.buyers[rank]]) if rank < self.buyers.size else -np.inf

    def ask(self, rank: int) -> float:
        """Return the ask of a rank, from 0; infinity beyond the last."""
        return float(self.asks[self.sellers[rank]]) if rank < self.sellers.size else np.inf

    def result(
        self, trades: int, buyer_price: float, seller_price: float, sellers: Index | None = None
    ) -> DoubleAuctionResult:
        """Return the result in which the first ``trades`` buyers trade with ``sellers``.

        By default with the first sellers.
        """
        if sellers is None:
            sellers = self.sellers[:trades]
        return DoubleAuctionResult(
            chosen(self.bids.size, self.buyers[:trades]),
            chosen(self.asks.size, sellers),
            buyer_price if trades else 0.0,
            seller_price if trades else 0.0,
            self.trades,
        )


class DoubleAuction(Mechanism):
    """Base of the double auctions between model owners and participants.

    The good is a unit of work: each buyer wants the work of one participant,
    and values a unit of anybody's work alike; asks are taken per unit, and
    prices are paid for all units of those who trade.

    Attributes
    ----------
    values : tuple of m float
        Money that a unit of work is worth to each buyer, who bids just that. The
        defaults are five buyers at equal distances up to 0.1, which is what the
        first unit is worth where unlimited work is worth 100 and 1000 units are
        the scale, the defaults of the mechanisms with a saturating value.
    """

    values: tuple[NonNegativeFloat, ...] = Field(
        default=(0.1, 0.08, 0.06, 0.04, 0.02), min_length=1
    )

    #: Whether who just fails to trade sets the price, so that one buyer alone never trades.
    priced_by_losers: ClassVar[bool] = True

    def condition(self, market: Market) -> str | None:
        """Return whether there is one buyer or one seller alone, where others set the price."""
        fewest = min(len(self.values), len(market.linear))
        if self.priced_by_losers and fewest < 2:
            return f"{len(self.values)} buyers, {len(market.linear)} sellers: expected 2 of each"
        return None

    @abstractmethod
    def clear(self, bids: Array, asks: Array) -> DoubleAuctionResult:
        """Return who trades at which price per unit."""

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Clear the market; buyers pay for the units of the sellers who trade."""
        result = self.clear(np.array(self.values), asks_per_unit(offers))
        units = np.where(result.sellers, offers.units, 0.0)
        collected = result.buyer_price * float(units.sum())
        return Allocation(result.sellers, result.seller_price * units, collected)
