"""Sharing: a fixed budget split by contribution, after the work is done.

References
----------
.. [1] T. Song, Y. Tong and S. Wei, "Profit allocation for federated learning",
   IEEE Big Data 2019, pp. 2577-2586 (payment in proportion to Shapley values).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.contribution import SCHEMES, evaluate
from fedfm_sim.mechanisms.contribution.result import NoValueError
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Delivery,
    Mechanism,
    Offers,
    Properties,
)


def proportional_shares(budget: float, values: npt.ArrayLike) -> Array:
    """Split a budget in proportion to the positive part of ``values``.

    Parameters
    ----------
    budget : float
        Money to split, at least 0.
    values : (n,) array
        Contributions, finite; those below zero count as zero.

    Returns
    -------
    (n,) array
        Money, never negative, adding up to ``budget``; all zero when nobody's
        contribution is positive.
    """
    positive = np.maximum(np.asarray(values, dtype=np.float64), 0.0)
    highest = positive.max(initial=0.0)
    if highest == 0:
        return np.zeros_like(positive)
    positive /= highest  # so that the sum of very large or small values is finite
    shares: Array = budget * (positive / positive.sum())
    return shares


class PaidAfterwards(Mechanism):
    """Base of the rules under which everybody may work, and is paid on delivery."""

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        """Select all who offer work; pay waits for the delivery."""
        return Allocation(offers.units > 0, np.zeros(len(offers.units)))


class PaidByContribution(PaidAfterwards):
    """Base of the rules that pay by a contribution scheme.

    Attributes
    ----------
    scheme : str
        A name in `fedfm_sim.mechanisms.contribution.SCHEMES`.
    evaluations : int or None
        Budget of different coalitions, for a sampled scheme; None for its own.
    """

    uses_game = True

    scheme: str = "shapley"
    evaluations: int | None = Field(default=None, ge=1)

    @field_validator("scheme")
    @classmethod
    def _known(cls, scheme: str) -> str:
        return SCHEMES.check(scheme)

    def contributions(self, delivery: Delivery) -> Array:
        """Return what each of the n participants contributed, by the scheme.

        Nothing, where the round's game has no such value: there is a nucleolus only where there
        are imputations. (A prenucleolus there is always.)

        Raises
        ------
        UserError
            When no game is given, or it is not over the n participants.
        """
        game, rng = game_of(delivery), np.random.default_rng(delivery.seed)
        try:
            return evaluate(game, self.scheme, budget=self.evaluations, rng=rng).values
        except NoValueError:
            return np.zeros(game.players)


def game_of(delivery: Delivery) -> CoalitionGame:
    """Return the coalition game of all participants; `UserError` where there is none."""
    game = delivery.game
    if game is None or game.players != len(delivery.units):
        raise UserError("this mechanism needs the coalition game of all participants")
    return game


class ContributionShare(PaidByContribution):
    """A budget shared among those who worked, by what each contributed.

    Assumptions: the server can value every coalition of participants after the
    round, by measurement; participants know the rule, not the values.

    - Individual rationality does not hold by rule: pay does not look at asks,
      and a participant who costs more than it contributes loses money. It can
      stay out by offering 0 units.
    - Incentive compatibility does not hold by rule: asks do not matter, but
      splitting in two (a Sybil attack) or copying data can change the shares.
    - Budget balance holds: payments add up to ``budget``, or to nothing where
      nobody's contribution is positive.

    Attributes
    ----------
    budget : float
        Money per round; the default is about what ten full rounds of work cost.
    """

    properties = Properties(
        knows="the server values every coalition after the round; all know the rule",
        source="Song, Tong and Wei, IEEE Big Data 2019",
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    budget: float = Field(default=10.0, ge=0)

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return the (n,) shares of the budget, money; `UserError` without a game of all."""
        values = np.where(allocation.selected, self.contributions(delivery), 0.0)
        return proportional_shares(self.budget, values)


class ProportionalShare(PaidAfterwards):
    """A budget shared in proportion to the work delivered, whatever it was worth.

    It is the contest of `fedfm_sim.mechanisms.theory.contest` with the budget as its prize.

    Assumptions: units delivered are observed; their quality is not, and nobody
    knows how much the others will work.

    - Individual rationality does not hold by rule: where many work, a unit is
      paid less than it costs. In the contest's equilibrium nobody loses.
    - Incentive compatibility in asks holds emptily: asks are not looked at. It
      does not hold for quality, which is what free riders live on.
    - Budget balance holds: payments add up to ``budget``, or to nothing.

    Attributes
    ----------
    budget : float
        Money per round; the default is about what ten full rounds of work cost.
    """

    properties = Properties(
        knows="units delivered are observed, their quality is not",
        source="Tullock 1980; Yang et al., MobiCom 2012",
        truthful=True,
        within_budget=True,
        monotone=True,
    )

    budget: float = Field(default=10.0, ge=0)

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        """Return the (n,) shares of the budget, money."""
        return proportional_shares(self.budget, np.where(allocation.selected, delivery.units, 0.0))
