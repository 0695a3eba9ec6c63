"""The Shapley value from random orders of the players.

References
----------
.. [1] J. Castro, D. Gomez and J. Tejada, "Polynomial calculation of the Shapley
   value based on sampling", Computers & Operations Research 36(5), 2009,
   pp. 1726-1730.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import (
    EFFICIENCY,
    Meter,
    SampledScheme,
    Spent,
    standard_error,
)

#: Sampling ends after this many orders in a row that needed no new coalition.
IDLE_ORDERS = 1000

#: The running means have settled when they move by less than this share.
SETTLED = 0.05


class Permutation(SampledScheme):
    """The mean marginal contribution over random orders of the players [1]_.

    An order that the budget does not cover to its end is left out, so that
    the estimate is unbiased and adds up.
    """

    axioms = (EFFICIENCY,)
    source = "Castro, Gomez and Tejada, Computers & Operations Research 2009"

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the mean over the orders that the budget covers."""
        return mean_over_orders("permutation", game, meter, random_orders(game.players, rng))


def random_orders(players: int, rng: np.random.Generator) -> Iterator[Index]:
    """Yield uniformly random orders, without end."""
    while True:
        yield rng.permutation(players)


def mean_over_orders(
    method: str,
    game: CoalitionGame,
    meter: Meter,
    orders: Iterator[Index],
    tolerance: float = 0.0,
    window: int | None = None,
) -> Contribution:
    """Return the mean marginal contributions over orders, until the budget is spent.

    Parameters
    ----------
    method : str
        Name of the result.
    game : CoalitionGame
    meter : Meter
    orders : iterator of (n,) int arrays
    tolerance : float
        The rest of an order counts for nothing once the value so far is closer
        to ``v(N)`` than this share of ``|v(N) - v(empty)|``; 0 never truncates.
    window : int or None
        Stop when no player's mean has moved by 5 % over this many orders.

    Raises
    ------
    UserError
        When the budget does not cover one order.
    """
    empty, grand = meter.ends(least=game.players + 1)
    gap = tolerance * abs(grand - empty)
    rows: list[Values] = []
    means: list[Values] = []
    idle, converged = 0, False
    for order in orders:
        before = meter.spent
        try:
            rows.append(_marginals(order, empty, grand, gap, meter))
        except Spent:
            break
        means.append(rows[-1] if not means else means[-1] + (rows[-1] - means[-1]) / len(rows))
        idle = idle + 1 if meter.spent == before else 0
        if idle == IDLE_ORDERS or _settled(means, window):
            converged = True
            break
    return Contribution(
        method,
        means[-1],
        meter.spent,
        standard_errors=standard_error(np.array(rows)),
        converged=converged,
    )


def _marginals(order: Index, empty: float, grand: float, gap: float, meter: Meter) -> Values:
    masks = np.cumsum(np.int64(1) << order)
    marginals = np.zeros(order.size)
    if gap == 0:
        marginals[order] = np.diff(meter.values(masks), prepend=empty)
        return marginals
    last = empty
    for player, mask in zip(order.tolist(), masks.tolist(), strict=True):
        if abs(grand - last) < gap:
            break
        value = meter.value(mask)
        marginals[player] = value - last
        last = value
    return marginals


def _settled(means: list[Values], window: int | None) -> bool:
    if window is None or len(means) <= window:
        return False
    moved = np.abs(means[-1] - means[-1 - window])
    return bool((moved <= SETTLED * np.abs(means[-1])).all())
