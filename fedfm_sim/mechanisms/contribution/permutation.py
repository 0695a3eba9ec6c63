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
    moderated,
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
    swept: bool = False,
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
    swept : bool
        Whether the orders come in sweeps in which each player is first once.

    Raises
    ------
    UserError
        When the budget does not cover one order.
    """
    empty, grand = meter.ends(least=game.players + 1)
    gap = tolerance * abs(grand - empty)
    rows: list[Values] = []
    means: list[Values] = []
    cut: list[Values] = []
    firsts: list[int] = []
    idle, converged = 0, False
    for order in orders:
        before = meter.spent
        try:
            marginals, hidden = _marginals(order, empty, grand, gap, meter)
        except Spent:
            break
        rows.append(marginals)
        cut.append(hidden)
        firsts.append(int(order[0]))
        means.append(rows[-1] if not means else means[-1] + (rows[-1] - means[-1]) / len(rows))
        idle = idle + 1 if meter.spent == before else 0
        if idle == IDLE_ORDERS or _settled(means, window):
            converged = True
            break
    errors, degrees = (guided_errors if swept else free_errors)(np.array(rows), np.array(firsts))
    return Contribution(
        method,
        means[-1],
        meter.spent,
        standard_errors=errors,
        degrees=degrees,
        cut=np.mean(cut, axis=0) if gap else None,
        converged=converged,
    )


def free_errors(rows: Values, firsts: Index) -> tuple[Values, Values]:
    """Return standard errors and degrees of freedom of means over free orders, (m, n)."""
    degrees = np.full(rows.shape[1], len(rows) - 1.0)
    variances = rows.var(axis=0, ddof=1) if len(rows) > 1 else rows[0]
    variances, degrees = moderated(variances, degrees)
    return np.sqrt(variances / len(rows)), degrees


def guided_errors(rows: Values, firsts: Index) -> tuple[Values, Values]:
    """Return the same for sweeps in which each player is first once.

    What a player adds when it is first is always the same, and how often it is first is
    known but for the last sweep, if that is not whole: only the rest of its contributions
    are left to chance.

    Parameters
    ----------
    rows : (m, n) array
        Marginal contributions in each order.
    firsts : (m,) array
        Who is first in each.
    """
    orders, players = rows.shape
    rest = np.arange(players) != firsts[:, None]
    counts = rest.sum(axis=0)
    means = np.where(rest, rows, 0.0).sum(axis=0) / np.maximum(counts, 1)
    squares = np.where(rest, (rows - means) ** 2, 0.0).sum(axis=0)
    degrees = np.maximum(counts - 1.0, 0.0)
    variances, degrees = moderated(squares / np.maximum(degrees, 1.0), degrees)
    alone = np.where(rest, 0.0, rows).sum(axis=0) / np.maximum(orders - counts, 1)
    begun = orders % players / players
    # Who was not first yet is taken to differ there as the others do.
    apart = (alone - means) ** 2
    apart = np.where(counts < orders, apart, apart[counts < orders].mean())
    luck = apart * begun * (1 - begun)
    return np.sqrt(counts * variances + luck) / orders, degrees


def _marginals(
    order: Index, empty: float, grand: float, gap: float, meter: Meter
) -> tuple[Values, Values]:
    """Return what each adds to who came before, and what of that is cut off at most."""
    masks = np.cumsum(np.int64(1) << order)
    marginals, hidden = np.zeros((2, order.size))
    if gap == 0:
        marginals[order] = np.diff(meter.values(masks), prepend=empty)
        return marginals, hidden
    last = empty
    for place, (player, mask) in enumerate(zip(order.tolist(), masks.tolist(), strict=True)):
        if abs(grand - last) < gap:
            hidden[order[place:]] = abs(grand - last)
            break
        value = meter.value(mask)
        marginals[player] = value - last
        last = value
    return marginals, hidden


def _settled(means: list[Values], window: int | None) -> bool:
    if window is None or len(means) <= window:
        return False
    moved = np.abs(means[-1] - means[-1 - window])
    return bool((moved <= SETTLED * np.abs(means[-1])).all())
