"""FMore: a procurement auction of several attributes, won by the best scores.

References
----------
.. [1] R. Zeng, S. Zhang, J. Wang and X. Chu, "FMore: An incentive scheme of
   multi-dimensional auction for federated learning in MEC", ICDCS 2020,
   pp. 278-288.
.. [2] Y.-K. Che, "Design competition through multidimensional auctions", The
   RAND Journal of Economics 24(4), 1993, pp. 668-680.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Market,
    Mechanism,
    Offers,
    Properties,
)
from fedfm_sim.mechanisms.rules.auctions.beliefs import Distribution
from fedfm_sim.mechanisms.rules.auctions.bids import (
    ReverseResult,
    at_least_one,
    chosen,
    nonnegative,
    same_length,
    saturating_worth,
    standing_asks,
    within,
)


@dataclass(frozen=True, eq=False)
class ScoringResult(ReverseResult):
    """Who won a scoring auction, what each is paid, and how each was scored.

    Attributes
    ----------
    scores : (n,) array
        Worth of the quality offered less the ask, money; -inf for who does not bid.
    """

    scores: Array


@dataclass(frozen=True)
class EquilibriumBid:
    """What a bidder offers in the equilibrium of a first-score auction.

    Attributes
    ----------
    quality : float
        In the unit of the worth function.
    price : float
        Money asked.
    score : float
        Worth of the quality less the price, money.
    """

    quality: float
    price: float
    score: float


def fmore(worth: npt.ArrayLike, asks: npt.ArrayLike, winners: int) -> ScoringResult:
    """Run the first-score auction FMore [1]_.

    Bidders are scored by ``s(q_i) - p_i``; the K best scores of at least 0 win,
    and each winner is paid its ask.

    Parameters
    ----------
    worth : (n,) array
        ``s(q_i)``, money that the quality that each offers is worth.
    asks : (n,) array
        ``p_i``, money that each asks for it; infinity does not bid.
    winners : int
        K, how many win at most, at least 1.

    Returns
    -------
    ScoringResult
        Ties go to the lower index.

    Raises
    ------
    UserError
        When worth or asks are negative, not numbers, or not of one length, or
        there is to be no winner.

    Notes
    -----
    It is not truthful; what bidders ask in equilibrium is `equilibrium_bid`.

    Examples
    --------
    >>> result = fmore([4, 5, 1], [1, 3, 2], winners=2)
    >>> result.scores.tolist(), result.payments.tolist()
    ([3.0, 2.0, -1.0], [1.0, 3.0, 0.0])
    """
    worth = nonnegative("worth", worth)
    asks = nonnegative("asks", asks, infinite=True)
    same_length(worth=worth, asks=asks)
    at_least_one("winners", winners)
    scores = worth - asks
    order = np.argsort(-scores, kind="stable")
    selected = chosen(asks.size, order[within(asks, worth)[order]][:winners])
    return ScoringResult(selected, np.where(selected, asks, 0.0), scores)


def equilibrium_bid(
    cost_type: float,
    *,
    worth: Callable[[float], float],
    cost: Callable[[float, float], float],
    types: Distribution,
    bidders: int,
    winners: int,
    most_quality: float,
) -> EquilibriumBid:
    r"""Return the symmetric equilibrium bid of the first-score auction [2]_.

    The quality ``q*(t)`` maximises the surplus ``S(t) = max_q s(q) - c(q, t)``,
    whatever the competition. The price is

    .. math:: p(t) = c(q^*(t), t) + \int_t^{\bar t}
       \frac{\partial c}{\partial u}(q^*(u), u) \, \frac{G(u)}{G(t)} \, du

    where ``G(u)`` is the probability that type u is among the K lowest of N.

    Parameters
    ----------
    cost_type : float
        The bidder's own type t, in the support of ``types``.
    worth : callable
        ``s(q)``, money, concave in the quality.
    cost : callable
        ``c(q, t)``, money, convex in q and rising in t.
    types : distribution
        Of the types of all bidders, independent; a frozen continuous
        distribution of `scipy.stats`.
    bidders, winners : int
        N and K, at least 1 each.
    most_quality : float
        Qualities from 0 to it are possible.

    Returns
    -------
    EquilibriumBid
        With at least as many places as bidders nobody competes, and the score
        is 0.

    Raises
    ------
    UserError
        When the type is outside the support, it could not bid a score of 0, or
        a number is out of range.

    Notes
    -----
    Integrated by parts with the envelope theorem, the bid's score is the
    expected surplus of the best bidder who loses, given that t wins: the K-th
    lowest of the N - 1 other types is beta distributed in quantiles. That is
    one integral, with no derivative of the cost. Types of negative surplus do
    not bid, and count as a score of 0.

    Examples
    --------
    >>> bid = equilibrium_bid(1.0, worth=lambda q: 2 * q**0.5, cost=lambda q, t: t * q,
    ...     types=stats.uniform(1, 1), bidders=2, winners=1, most_quality=4.0)
    >>> round(bid.quality, 4), round(bid.price, 6)
    (1.0, 1.306853)
    """
    at_least_one("bidders", bidders)
    at_least_one("winners", winners)
    if not (np.isfinite(most_quality) and most_quality > 0):
        raise UserError(f"most_quality must be finite and above 0, got {most_quality}")
    low, high = types.support()
    if not low <= cost_type <= high:
        raise UserError(f"cost_type must lie in [{low}, {high}], got {cost_type}")

    def best(t: float) -> tuple[float, float]:
        found = minimize_scalar(
            lambda q: cost(q, t) - worth(q),
            bounds=(0.0, most_quality),
            method="bounded",
            options={"xatol": 1e-10 * most_quality},
        )
        return float(found.x), float(worth(found.x) - cost(found.x, t))

    quality, surplus = best(cost_type)
    if surplus < 0:
        raise UserError(f"type {cost_type} costs more than its quality is worth")
    score = 0.0
    if winners < bidders:
        rival = stats.beta(winners, bidders - winners)
        quantile = float(types.cdf(cost_type))
        chance = float(rival.sf(quantile))
        score = surplus  # the limit for the highest type, which never wins
        if chance > 0:
            expected, _ = quad(
                lambda y: max(best(float(types.ppf(y)))[1], 0.0) * rival.pdf(y),
                quantile,
                1.0,
                epsabs=1e-10 * surplus,
                limit=200,
            )
            score = expected / chance
    return EquilibriumBid(quality, float(worth(quality)) - score, score)


class FMoreAuction(Mechanism):
    """The FMore auction (see `fmore`) over units of work and classes covered.

    Quality is the units of work times the share of the classes that they cover,
    worth ``value * (1 - exp(-quality / scale))`` for each bidder by itself;
    where no classes are named, the share is 1.

    Assumptions: the scoring rule is public; each bidder knows its own cost; the
    work and the classes offered are what is delivered.

    - Individual rationality holds: a winner is paid its ask.
    - Incentive compatibility does not hold: a winner is paid what it asks, and
      in equilibrium it asks more than its cost (`equilibrium_bid`).
    - Budget balance does not hold, but no winner is paid more than its quality
      is worth by itself.

    Attributes
    ----------
    winners : int
        How many are taken at most. The default of 5 is half the participants of
        a default scenario.
    value : float
        Money that unlimited work is worth to the server in one round. The
        default of 100 fixes the unit of money.
    scale : float
        Units of work, on all classes, after which 63 % of the value is reached.
        The default of 1000 is about ten participants who pass once over a
        hundred samples.
    """

    properties = Properties(
        knows="the scoring rule and the distribution of costs are public, a cost is private",
        source="Zeng et al., ICDCS 2020",
        individually_rational=True,
        monotone=True,
    )

    winners: int = Field(default=5, ge=1)
    value: float = Field(default=100.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)

    def condition(self, market: Market) -> str | None:
        """Return whether all can win, so that no equilibrium bid is known."""
        bidders = len(market.linear)
        if self.winners < bidders:
            return None
        return f"winners = {self.winners} for {bidders} bidders: all win, whatever they ask"

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Take the best scores, and promise each its ask."""
        coverage = offers.covers.mean(axis=1) if offers.covers.size else 1.0
        worth = saturating_worth(self.value, self.scale)(offers.units * coverage)
        result = fmore(worth, standing_asks(offers), self.winners)
        return Allocation(result.selected, result.payments)
