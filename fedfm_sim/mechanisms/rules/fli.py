"""FLI: a budget paid out in instalments that make up for waiting and for costs.

References
----------
.. [1] H. Yu, Z. Liu, Y. Liu, T. Chen, M. Cong, X. Weng, D. Niyato and Q. Yang, "A
   fairness-aware incentive scheme for federated learning", AIES 2020, pp. 393-399.
.. [2] Q. Yang, Y. Liu, Y. Cheng, Y. Kang, T. Chen and H. Yu, "Federated Learning",
   Morgan and Claypool, 2019, section 7.2 (equations 7.7 to 7.21, algorithm 7.1).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Delivery, Market, Properties
from fedfm_sim.mechanisms.rules.sharing import PaidByContribution, proportional_shares


@dataclass(frozen=True, eq=False)
class Queues:
    """What the federation still owes each of n participants.

    Attributes
    ----------
    regret : (n,) array
        Y: costs not yet paid back, money.
    waiting : (n,) array
        Q: grows while regret lasts, money.
    spent : (n,) array
        What taking part has cost each so far, money; by default nothing.
    rounds : (n,) array
        In how many rounds it did.
    """

    regret: Array
    waiting: Array
    spent: Array = field(default_factory=lambda: np.zeros(()))
    rounds: Array = field(default_factory=lambda: np.zeros(()))

    @classmethod
    def empty(cls, participants: int) -> Queues:
        """Return queues in which nothing is owed."""
        return cls(np.zeros(participants), np.zeros(participants))

    def growth(self, costs: Array) -> Array:
        """Return lambda, money: for those who are owed something already, their mean cost.

        The mean is over the rounds that cost them something, this one included. So
        waiting grows in rounds that a participant sits out, too ([2]_, equation 7.9).
        """
        often = np.maximum(self.rounds + (costs > 0), 1)
        return np.where(self.regret > 0, (self.spent + costs) / often, 0.0)

    def after(self, costs: Array, paid: Array) -> Queues:
        """Return ``max(Y + c - paid, 0)`` and ``max(Q + lambda - paid, 0)``."""
        return Queues(
            np.maximum(self.regret + costs - paid, 0.0),
            np.maximum(self.waiting + self.growth(costs) - paid, 0.0),
            self.spent + costs,
            self.rounds + (costs > 0),
        )


def instalments(
    budget: float, contributions: npt.ArrayLike, costs: npt.ArrayLike, queues: Queues, weight: float
) -> tuple[Array, Queues]:
    r"""Return what each is paid now, and the queues afterwards.

    .. math:: u_i = \tfrac12 (\omega q_i + Y_i + c_i + Q_i + \lambda_i), \qquad
       \hat u_i = B \, u_i / \sum_j u_j

    where ``lambda_i`` is the mean cost so far of who is owed something already and
    0 otherwise. Then ``Y_i <- max(Y_i + c_i - paid_i, 0)`` and
    ``Q_i <- max(Q_i + lambda_i - paid_i, 0)`` [1]_ [2]_. Payments balance what was
    contributed, what is owed, and for how long: ``u`` maximises
    ``omega sum(q u)`` less a bound on the growth of ``sum(Y**2 + Q**2) / 2``.

    Parameters
    ----------
    budget : float
        Money at hand this round, at least 0.
    contributions : (n,) array
        In any unit; those below 0 count as 0.
    costs : (n,) array
        What this round cost each, money, at least 0.
    queues : Queues
    weight : float
        ``omega``, money per unit of contribution, at least 0.

    Returns
    -------
    payments : (n,) array
        Adding up to the budget; nothing where nothing is due to anybody.
    queues : Queues

    Raises
    ------
    UserError
        When shapes differ, or a number is negative or not finite.
    """
    given = [np.asarray(part, dtype=np.float64) for part in (contributions, costs)]
    shapes = {part.shape for part in (*given, queues.regret, queues.waiting)}
    if len(shapes) != 1 or not all(np.isfinite(part).all() for part in given):
        raise UserError("contributions, costs and queues are one finite number per participant")
    if (given[1] < 0).any() or not (np.isfinite(budget) and budget >= 0 and weight >= 0):
        raise UserError("costs, the budget and the weight must be at least 0")
    quality, cost = np.maximum(given[0], 0.0), given[1]
    owed = queues.regret + cost + queues.waiting + queues.growth(cost)
    paid = proportional_shares(budget, (weight * quality + owed) / 2)
    return paid, queues.after(cost, paid)


class FairInstalments(PaidByContribution):
    """FLI over the rounds of a federation (see `instalments`).

    Who is owed something is paid instalments in rounds that it sits out, too.

    Assumptions: the server values coalitions after the round, and knows what a
    unit of work costs, alike for all.

    - Individual rationality does not hold in a round; what was not covered is
      owed, and paid with priority later.
    - Incentive compatibility in asks holds emptily: asks are not looked at.
    - Budget balance holds: payments add up to ``budget``, or to nothing.

    Attributes
    ----------
    budget : float
        Money per round; the default is about what ten full rounds of work cost.
    unit_cost : float
        Believed money per unit of work; the default is that of the default prices.
    weight : float
        Money per unit of contribution.
    """

    properties = Properties(
        knows="the server values every coalition after the round, and knows unit costs",
        source="Yu et al., AIES 2020",
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    budget: float = Field(default=10.0, ge=0)
    unit_cost: float = Field(default=0.006, ge=0)
    weight: float = Field(default=10.0, ge=0)
    _queues: dict[str, Array] = PrivateAttr(default_factory=dict)  # by field of `Queues`

    def condition(self, market: Market) -> str | None:
        """Return whether a unit does not cost what is believed; a tenth off is let pass."""
        working = market.capacity > 0
        costs = (market.linear + market.quadratic * market.capacity)[working]
        if not (np.abs(costs - self.unit_cost) > 0.1 * self.unit_cost).any():
            return None
        return (
            f"a unit is taken to cost unit_cost = {self.unit_cost:g} for all; at capacity it "
            f"costs {costs.min():.3g} to {costs.max():.3g}"
        )

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return this round's instalments, money."""
        values = self.contributions(delivery) * (delivery.units > 0)
        return instalments(
            self.budget, values, self._costs(delivery), self._owed(delivery), self.weight
        )[0]

    def learn(self, payments: Array, delivery: Delivery) -> None:
        """Move the queues by what was really paid."""
        self._queues = asdict(self._owed(delivery).after(self._costs(delivery), payments))

    def _costs(self, delivery: Delivery) -> Array:
        return self.unit_cost * delivery.units

    def _owed(self, delivery: Delivery) -> Queues:
        return Queues(**self._queues) if self._queues else Queues.empty(len(delivery.units))
