"""Paying for privacy: a Stackelberg game whose followers sell privacy budgets.

With a linear cost of privacy, and one payment that is shared in proportion to the
privacy budgets, it is `fedfm_sim.mechanisms.theory.contest` with budgets for efforts.

References
----------
.. [1] R. Hu and Y. Gong, "Trading data for learning: incentive mechanism for
   on-device federated learning", IEEE GLOBECOM 2020 (users choose their privacy budgets
   as the followers of a server that pays for them). Here the cost is quadratic, and
   the server posts a price.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Market
from fedfm_sim.mechanisms.rules.posted_price import best_response
from fedfm_sim.mechanisms.theory.leader import LeaderSolution, solve_leader


def privacy_response(price: float, sensitivity: npt.ArrayLike, most: float) -> Array:
    """Return the privacy budgets that followers sell at ``price`` per unit of epsilon.

    Follower i maximises ``price e - v_i e**2`` for 0 <= e <= ``most``, where v_i is how
    much privacy is worth to it: ``e_i = min(price / (2 v_i), most)``. A follower
    to whom privacy is worth nothing sells ``most`` at any price.

    Parameters
    ----------
    price : float
        Money per unit of epsilon, at least 0.
    sensitivity : (n,) array
        v, money per squared epsilon, at least 0.
    most : float
        Largest epsilon that anybody may spend, above 0.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    if not (np.isfinite(price) and price >= 0):
        raise UserError(f"the price of privacy must be finite and at least 0, got {price}")
    return best_response(price, _market(sensitivity, most))


def privacy_price(
    sensitivity: npt.ArrayLike, most: float, value: Callable[[Array], float]
) -> LeaderSolution:
    """Return the price per unit of epsilon that is best for the leader.

    It gains ``value(e) - price sum(e)``. Solved by `solve_leader` up to the price at
    which everybody sells all. Where only the sum counts it is a `posted_price`.

    Parameters
    ----------
    sensitivity, most
        As for `privacy_response`.
    value : callable
        Privacy budgets (n,) to money, such as minus a noise variance.

    Returns
    -------
    LeaderSolution
        ``decision`` holds the price, ``response`` the privacy budgets.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    market = _market(sensitivity, most)
    return solve_leader(
        lambda price, budgets: value(budgets) - float(price[0] * budgets.sum()),
        lambda price: best_response(float(price[0]), market),
        [(0.0, 2 * float(market.quadratic.max()) * most)],
    )


def _market(sensitivity: npt.ArrayLike, most: float) -> Market:
    value = np.asarray(sensitivity, dtype=np.float64)
    if value.ndim != 1 or not value.size or not (np.isfinite(value) & (value >= 0)).all():
        raise UserError("sensitivity to privacy must be flat, finite and at least 0")
    if not (np.isfinite(most) and most > 0):
        raise UserError(f"the largest epsilon must be finite and above 0, got {most}")
    return Market(np.zeros(value.size), value, np.full(value.size, most))
