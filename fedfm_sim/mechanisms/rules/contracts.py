"""Contracts under adverse selection: a menu from which each type picks its own item.

References
----------
.. [1] D. Baron and R. Myerson, "Regulating a monopolist with unknown costs",
   Econometrica 50(4), 1982, pp. 911-930 (virtual costs).
.. [2] M. Mussa and S. Rosen, "Monopoly and product quality", Journal of Economic
   Theory 18(2), 1978, pp. 301-317 (ironing).
.. [3] J. Kang, Z. Xiong, D. Niyato, S. Xie and J. Zhang, "Incentive mechanism for
   reliable federated learning: a joint optimization approach to combining
   reputation and contract theory", IEEE Internet of Things Journal 6(6), 2019,
   pp. 10700-10714.
.. [4] N. Ding, Z. Fang and J. Huang, "Optimal contract design for efficient
   federated learning with multi-dimensional private information", IEEE Journal on
   Selected Areas in Communications 39(1), 2021, pp. 186-200.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
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
from fedfm_sim.mechanisms.rules.posted_price import ROUNDING

#: What a menu's programme is solved to, over its money; the next where the solver fails.
TOLERANCES = (1e-10, 1e-8, 1e-6)

#: Type's index and effort to the money that the leader gains.
TypeValuation = Callable[[int, float], float]


@dataclass(frozen=True, eq=False)
class ContractMenu:
    """A menu: the item meant for each type, and what it brings.

    Attributes
    ----------
    efforts : (n,) array
        Effort asked of each type; with several kinds of effort, (n, m).
    payments : (n,) array
        Money paid for it.
    rents : (n,) array
        What each type is left with, money; never negative.
    value : float
        The leader's expected gain, money.
    """

    efforts: Array
    payments: Array
    rents: Array
    value: float


def contract_menu(
    costs: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    value: TypeValuation,
    most: float,
    fixed: float = 0.0,
) -> ContractMenu:
    """Return the best menu when type i's effort x costs it ``costs_i x + fixed``.

    The full programme, over all participation (IR) and incentive (IC)
    constraints, reduces to: IR binds for the costliest type, IC binds towards
    the next costlier one, and effort never rises with cost. What is left is to
    maximise ``p_i (value_i(x) - v_i x)`` with the virtual cost
    ``v_i = c_i + (c_i - c_{i-1}) P[cheaper] / p_i`` [1]_; where efforts would
    rise with cost, neighbours are pooled into one item (ironing [2]_).

    Parameters
    ----------
    costs : (n,) array
        Money per effort, ascending, above 0.
    probabilities : (n,) array
        Of each type, above 0, adding up to 1.
    value : callable
        ``value(i, x)``, concave in x: what effort x of type i is worth.
    most : float
        Largest effort, above 0.
    fixed : float
        Money that taking part costs everyone.

    Returns
    -------
    ContractMenu
        Every type is asked to take part, with effort 0 if need be.

    Raises
    ------
    UserError
        When costs don't ascend, or probabilities or bounds don't fit.
    """
    costs, chances = _types(costs, probabilities, most, fixed)
    cheaper = np.concatenate([[0.0], np.cumsum(chances)[:-1]])
    virtual = costs + np.diff(costs, prepend=costs[0]) * cheaper / chances
    blocks: list[tuple[list[int], float]] = []
    for kind in range(costs.size):
        members = [kind]
        effort = _best(members, chances, virtual, value, most)
        while blocks and blocks[-1][1] < effort:
            members = blocks.pop()[0] + members
            effort = _best(members, chances, virtual, value, most)
        blocks.append((members, effort))
    efforts = np.concatenate([np.full(len(members), effort) for members, effort in blocks])
    # Rent grows from the costliest type down, by what the next costlier one saves it.
    steps = np.append(np.diff(costs) * efforts[1:], 0.0)
    rents = np.cumsum(steps[::-1])[::-1]
    payments = costs * efforts + rents + fixed
    gained = [value(kind, float(effort)) for kind, effort in enumerate(efforts)]
    return ContractMenu(efforts, payments, rents, float(chances @ (gained - payments)))


def full_menu(
    costs: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    value: Callable[[int, Any], Any],
    most: float | Sequence[float],
    fixed: float = 0.0,
) -> ContractMenu:
    """Return the best menu by the full programme, with any number of kinds of effort.

    Types with several costs - of data and of computing, say - have no order in
    which to reduce their constraints [4]_, so that every pair of types gets its
    incentive constraint. With one kind of effort it equals `contract_menu`.

    The menu is the same in any unit of money, to 1e-6. Efforts reach ``value`` in their own
    unit, and the solver with them: of the order of 1e6 they are found to 0.4 %, so count
    effort in units of which the most is not far from 1.

    Parameters
    ----------
    costs : (n, m) or (n,) array
        Money per effort of each kind.
    probabilities : (n,) array
    value : callable
        ``value(i, x)``, a concave cvxpy expression of the effort variable x
        (a scalar, or of shape (m,)).
    most : float or sequence of m float
        Largest effort of each kind.
    fixed : float

    Raises
    ------
    UserError
        When probabilities or bounds don't fit, or the solver finds no optimum.
    """
    import cvxpy as cp

    table = np.asarray(costs, dtype=np.float64)
    flat = table.ndim == 1
    table = table[:, None] if flat else table
    chances = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all() or chances.shape != table.shape[:1]:
        raise UserError("a menu needs one row of finite costs and one probability per type")
    count, kinds = table.shape
    largest = np.broadcast_to(np.asarray(most, dtype=np.float64), kinds)
    if not (np.isfinite(largest) & (largest > 0)).all() or not np.isfinite(fixed):
        raise UserError(
            "a menu's largest efforts must be finite and above 0, its fixed cost finite"
        )

    def worth(kind: int, efforts: Any) -> Any:
        return value(kind, efforts[0] if flat else efforts)

    # The solver's tolerances are absolute: efforts are shares of the largest, and money is
    # counted in what these cost or are worth, so that the menu is the same in any unit.
    full = [np.asarray(worth(kind, cp.Constant(largest)).value) for kind in range(count)]
    money = float(max((table @ largest).max() + abs(fixed), np.abs(np.nan_to_num(full)).max()))
    money = money or 1.0
    costs_of_all = table * largest / money
    shares, paid = cp.Variable((count, kinds), nonneg=True), cp.Variable(count)
    rents = paid - cp.sum(cp.multiply(costs_of_all, shares), axis=1) - fixed / money
    constraints = [rents >= 0, shares <= 1]
    for kind in range(count):
        # Nobody gains by another type's item.
        constraints.append(rents[kind] >= paid - shares @ costs_of_all[kind] - fixed / money)
    gain = sum(
        chances[kind] * (worth(kind, cp.multiply(largest, shares[kind])) / money - paid[kind])
        for kind in range(count)
    )
    problem = cp.Problem(cp.Maximize(gain), constraints)
    _maximise(problem)
    found = np.asarray(shares.value) * largest
    return ContractMenu(
        found[:, 0] if flat else found,
        np.asarray(paid.value) * money,
        np.maximum(np.asarray(rents.value), 0.0) * money,
        float(problem.value) * money,
    )


def _maximise(problem: Any) -> None:
    """Solve a menu's programme as sharply as the solver can, UserError where it can't."""
    import cvxpy as cp

    for tolerance in TOLERANCES:
        gaps = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
        with warnings.catch_warnings(), suppress(cp.SolverError):
            warnings.simplefilter("ignore")  # a solution that may be inaccurate is tried again
            problem.solve(solver=cp.CLARABEL, **gaps)
            if problem.status == cp.OPTIMAL:
                return
    raise UserError(f"the menu's programme has no solution: {problem.status}")


def _types(
    costs: npt.ArrayLike, probabilities: npt.ArrayLike, most: float, fixed: float
) -> tuple[Array, Array]:
    given = np.asarray(costs, dtype=np.float64)
    chances = np.asarray(probabilities, dtype=np.float64)
    if given.ndim != 1 or not given.size or not (np.isfinite(given) & (given > 0)).all():
        raise UserError("a menu's costs must be finite and above 0")
    if (np.diff(given) < 0).any():
        raise UserError("a menu's costs must ascend, the cheapest type first")
    if chances.shape != given.shape or not (chances > 0).all() or abs(chances.sum() - 1) > 1e-9:
        raise UserError("a menu's probabilities must be above 0, one per type, and add up to 1")
    if not (np.isfinite(most) and most > 0 and np.isfinite(fixed) and fixed >= 0):
        raise UserError("the largest effort must be above 0, and the fixed cost at least 0")
    return given, chances


def _best(
    members: list[int], chances: Array, virtual: Array, value: TypeValuation, most: float
) -> float:
    """Return the effort that is best for a block of types alike."""

    def loss(effort: float) -> float:
        gains = [value(kind, effort) - float(virtual[kind]) * effort for kind in members]
        return -float(chances[members] @ gains)

    found = minimize_scalar(
        loss, bounds=(0.0, most), method="bounded", options={"xatol": 1e-11 * most}
    )
    return min((0.0, float(found.x), most), key=loss)


class ContractMenuMechanism(Mechanism):
    """A menu of (work, payment) items, announced as a tariff.

    The server sorts participants by believed cost, splits them into ``types``
    groups of equal size, and solves `contract_menu` for the costliest of each,
    so that everybody in a group can live with its item. Whoever offers at least
    an item's work may have its payment: by the taxation principle, offering a
    menu and offering the tariff "the best item for that much work" are the same.

    Assumptions: the server knows the distribution of costs, not who has which;
    the value of everybody's work is taken to be shared equally, as if all worked alike.

    - Individual rationality holds: who asks more than the tariff is not taken.
    - Incentive compatibility holds: nobody's pay depends on its own ask, and the
      item meant for a type is its best.
    - Budget balance does not hold by rule; the bill is at most the dearest item
      times the participants.

    Attributes
    ----------
    types : int
        Items of the menu.
    value, scale : float
        What unlimited work is worth to the server, money, and after how many
        units 63 % of it is reached; as for the posted price.
    threshold : float
        Least reputation that may sign [3]_.
    """

    properties = Properties(
        knows="the server knows the distribution of costs, each participant its own cost",
        source="Kang et al., IEEE Internet of Things Journal 2019",
        individually_rational=True,
        truthful=True,
        monotone=True,
    )

    types: int = Field(default=4, ge=1, le=100)
    value: float = Field(default=100.0, gt=0)
    scale: float = Field(default=1000.0, gt=0)
    threshold: float = Field(default=0.0, ge=0, le=1)

    def announce(self, market: Market) -> Announcement:
        """Solve for the menu and announce it as a tariff."""
        working = market.capacity > 0
        if not working.any():
            return Announcement(np.zeros_like)
        count, most = int(working.sum()), float(market.capacity[working].max())
        linear, quadratic = market.linear[working], market.quadratic[working]
        # Costs are a type's own factor times the typical cost of that much work.
        typical = float(np.median(linear)), float(np.median(quadratic))
        reference = max(typical[0] * most + typical[1] * most**2, np.finfo(float).tiny)
        factors = np.sort((linear * most + quadratic * most**2) / reference)
        groups = np.array_split(np.maximum(factors, 1e-9), min(self.types, count))
        costs = np.array([group[-1] for group in groups])
        chances = np.array([len(group) for group in groups]) / count

        def units(effort: float) -> float:
            return _units_for(effort, *typical)

        def value(kind: int, effort: float) -> float:
            return float(-self.value / count * np.expm1(-count * units(effort) / self.scale))

        menu = contract_menu(costs, chances, value, reference)
        items = np.array([units(effort) for effort in menu.efforts])
        return Announcement(_tariff(items, menu.payments))

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Select those who are trusted and ask no more than their item pays."""
        assert announcement.tariff is not None
        pay = announcement.tariff(offers.units)
        selected = (offers.units > 0) & (offers.asks <= pay * (1 + ROUNDING)) & (pay > 0)
        selected &= offers.reputation >= self.threshold
        return Allocation(selected, np.where(selected, pay, 0.0))


def _units_for(cost: float, linear: float, quadratic: float) -> float:
    """Return the work that ``linear q + quadratic q**2`` of money buys."""
    root = np.sqrt(linear**2 + 4 * quadratic * cost)
    return float(2 * cost / (linear + root)) if cost > 0 else 0.0


def _tariff(items: Array, payments: Array) -> Callable[[Array], Array]:
    """Return the best payment for which the units are enough."""

    def pay(units: Array) -> Array:
        enough = items * (1 - ROUNDING) <= np.asarray(units)[..., None]
        return np.asarray(np.where(enough & (items > 0), payments, 0.0).max(axis=-1))

    return pay
