"""The VCG double auction: all gains from trade, at a deficit.

References
----------
.. [1] W. Vickrey, "Counterspeculation, auctions, and competitive sealed
   tenders", The Journal of Finance 16(1), 1961, pp. 8-37.
.. [2] R. B. Myerson and M. A. Satterthwaite, "Efficient mechanisms for bilateral
   trading", Journal of Economic Theory 29(2), 1983, pp. 265-281 (why somebody
   has to pay for it).
"""

from __future__ import annotations

import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.protocol import Properties
from fedfm_sim.mechanisms.rules.auctions.double import DoubleAuction, DoubleAuctionResult, Ranking


def vcg_double(bids: npt.ArrayLike, asks: npt.ArrayLike) -> DoubleAuctionResult:
    """Run the Vickrey-Clarke-Groves double auction [1]_.

    Bids ``b`` sorted down and asks ``s`` up, all k efficient trades are made:
    buyers pay ``max(s_k, b_{k+1})`` and sellers get ``min(b_k, s_{k+1})``, what
    each costs the others.

    Parameters
    ----------
    bids : (m,) array
        Money that each buyer bids for one good.
    asks : (n,) array
        Money that each seller asks for one; infinity does not sell.

    Returns
    -------
    DoubleAuctionResult
        Ties go to the lower index. The surplus is never positive: minus it is
        the deficit.

    Raises
    ------
    UserError
        When bids or asks are negative or not numbers.

    Notes
    -----
    No rule can be efficient, individually rational, truthful and without a
    deficit at once [2]_.

    Examples
    --------
    >>> result = vcg_double([9, 8], [3, 4])
    >>> result.trades, result.buyer_price, result.seller_price, result.surplus
    (2, 4.0, 8.0, -8.0)
    """
    ranking = Ranking.of(bids, asks)
    k = ranking.trades
    if k == 0:
        return ranking.result(0, 0.0, 0.0)
    buyer_price = max(ranking.ask(k - 1), ranking.bid(k))
    return ranking.result(k, buyer_price, min(ranking.bid(k - 1), ranking.ask(k)))


class VCGDoubleAuction(DoubleAuction):
    """The VCG double auction (see `vcg_double`) between model owners and participants.

    Assumptions: units of work are alike to a buyer; every buyer and every
    participant knows its own value or cost; the work offered is what is
    delivered.

    - Individual rationality holds on both sides.
    - Incentive compatibility holds on both sides, as a dominant strategy, for
      prices per unit. It does not hold for the units.
    - Budget balance does not hold: the server pays the deficit.
    - Efficiency holds where all who trade offer the same units.
    """

    priced_by_losers = False
    properties = Properties(
        knows="each buyer and each participant knows its own value or cost alone",
        source="Vickrey, The Journal of Finance 1961",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    def clear(self, bids: Array, asks: Array) -> DoubleAuctionResult:
        """Return who trades at which price per unit."""
        return vcg_double(bids, asks)
