"""The cheapest audit rate and fine under which honesty is everybody's best reply.

References
----------
.. [1] G. S. Becker, "Crime and punishment: an economic approach", Journal of
   Political Economy 76(2), 1968, pp. 169-217.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError

#: Fines that a frontier is drawn over, from 0 to the largest.
FINES = 400


@dataclass(frozen=True, eq=False)
class Temptations:
    """What each of m deviations brings over honesty, by audit rate p and fine F.

    ``gain(p, F) = benefit - p (confiscated + F convicted)``: without an audit it brings
    ``benefit``; an audit takes the payment away and fines, as far as it convicts.

    Attributes
    ----------
    benefit : (m,) array
        Money per round over honesty, nobody being audited; may be negative.
    confiscated : (m,) array
        Payment that a conviction takes, less what an audit takes from the honest, money.
    convicted : (m,) array
        Chance that an audit convicts, less that of the honest (false alarms), in [-1, 1].

    Raises
    ------
    UserError
        When the lengths differ, there is nothing, or something is not finite.
    """

    benefit: Array
    confiscated: Array
    convicted: Array

    def __post_init__(self) -> None:
        parts = [np.asarray(part, dtype=np.float64) for part in vars(self).values()]
        if len({part.shape for part in parts}) > 1 or parts[0].ndim != 1 or not parts[0].size:
            raise UserError("temptations need three arrays of one length, at least 1")
        if not all(np.isfinite(part).all() for part in parts):
            raise UserError("temptations must be finite")
        for name, part in zip(tuple(vars(self)), parts, strict=True):
            object.__setattr__(self, name, part)

    @classmethod
    def of(cls, table: pd.DataFrame) -> Temptations:
        """Return the columns ``benefit``, ``confiscated`` and ``convicted`` of a table."""
        return cls(*(table[own.name].to_numpy(dtype=np.float64) for own in fields(cls)))

    def gains(self, rate: float, fine: float) -> Array:
        """Return what each deviation gains over honesty, (m,), money per round."""
        return np.asarray(self.benefit - self.expected_sanctions(rate, fine))

    def expected_sanctions(self, rate: float, fine: float) -> Array:
        """Return what audits take from each deviation on average, (m,), money per round."""
        return np.asarray(rate * self._sanction(np.array([fine]))[0])

    def least_rates(self, fines: Array, margin: float = 0.0) -> Array:
        """Return the least audit rate for each fine (k,) at which nothing tempts.

        Infinity where no rate up to 1 is enough, or where audits that accuse the honest
        would tempt on their own before it is reached.

        Parameters
        ----------
        margin : float
            Share by which the expected sanction exceeds each positive benefit.
        """
        least, most = self._bounds(fines, margin)
        lowest, highest = least.max(axis=1), most.min(axis=1)
        return np.where(lowest <= np.minimum(1.0, highest), lowest, np.inf)

    def binding(self, fine: float, margin: float = 0.0) -> int:
        """Return which deviation needs the highest audit rate at a fine."""
        return int(self._bounds(np.array([fine]), margin)[0][0].argmax())

    def _bounds(self, fines: Array, margin: float) -> tuple[Array, Array]:
        """Return the least and the most rate that each deviation allows, (k, m)."""
        needed = np.where(self.benefit > 0, self.benefit * (1 + margin), self.benefit)
        sanction = self._sanction(fines)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = needed / sanction
        tempting = np.broadcast_to(needed > 0, ratio.shape)
        least = np.where(tempting, np.where(sanction > 0, ratio, np.inf), 0.0)
        most = np.where(~tempting & (sanction < 0), ratio, np.inf)
        return least, most

    def _sanction(self, fines: Array) -> Array:
        return np.asarray(self.confiscated + np.multiply.outer(fines, self.convicted))

    def edges(self, margin: float) -> Array:
        """Return the fines from which auditing everybody deters each deviation."""
        able = self.convicted > 0
        needed = self.benefit[able] * (1 + margin) - self.confiscated[able]
        # A rate of 1 and a rounding error is no rate.
        return np.asarray(np.maximum(0.0, needed / self.convicted[able] * (1 + 1e-12)))


@dataclass(frozen=True)
class Deterrent:
    """The cheapest sanctions that deter.

    Attributes
    ----------
    rate : float
        Audit rate, in [0, 1].
    fine : float
        Money; a deposit of as much secures it.
    cost : float
        Of both, in the unit of the weights, without what is spent anyway.
    binding : int
        The deviation that the rate is for.
    """

    rate: float
    fine: float
    cost: float
    binding: int


def cheapest_deterrent(
    temptations: Temptations,
    rate_weight: float,
    fine_weight: float,
    *,
    largest_fine: float,
    margin: float = 0.0,
) -> Deterrent:
    """Return the audit rate p and fine F that deter at the least ``w_p p + w_F F``.

    For a fine, the least rate is the largest of ``benefit / (confiscated + F convicted)``,
    convex in F; so is the cost, and a search in one dimension finds its least. A fine that
    costs nothing is best at its largest [1]_.

    Parameters
    ----------
    rate_weight, fine_weight : float
        What a rate of 1 and a fine of 1 cost, at least 0.
    largest_fine : float
        Money, at least 0.
    margin : float
        As for `Temptations.least_rates`.

    Raises
    ------
    UserError
        When a parameter is out of its range, or nothing within the bounds deters.
    """
    numbers = (rate_weight, fine_weight, largest_fine, margin)
    if not all(np.isfinite(number) and number >= 0 for number in numbers):
        raise UserError("weights, the largest fine and the margin must be finite and at least 0")

    def cost(fine: float) -> float:
        rate = float(temptations.least_rates(np.array([fine]), margin)[0])
        return rate_weight * rate + fine_weight * fine if np.isfinite(rate) else np.inf

    edges = temptations.edges(margin)
    steps = np.geomspace(1e-6, 1, FINES) * largest_fine
    fines = np.unique(np.r_[0.0, steps, edges[edges <= largest_fine]])
    costs = np.array([cost(fine) for fine in fines])
    at = int(costs.argmin())
    if not np.isfinite(costs[at]):
        worst = int(temptations.gains(1.0, largest_fine).argmax())
        raise UserError(
            f"no audit rate up to 1 and fine up to {largest_fine:g} deters deviation {worst}: "
            f"it gains {temptations.benefit[worst]:.4g}, and an audit takes "
            f"{temptations.confiscated[worst]:.4g} and convicts with chance "
            f"{temptations.convicted[worst]:.3g}"
        )
    best = float(fines[at])
    low, high = (
        float(fines[n]) if 0 <= n < len(fines) and np.isfinite(costs[n]) else best
        for n in (at - 1, at + 1)
    )
    if low < high:
        found = minimize_scalar(
            cost, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * high}
        )
        best = float(found.x) if cost(float(found.x)) < cost(best) else best
    rate = float(temptations.least_rates(np.array([best]), margin)[0])
    return Deterrent(rate, best, cost(best), temptations.binding(best, margin))


def frontier(temptations: Temptations, largest_fine: float, margin: float = 0.0) -> pd.DataFrame:
    """Return the deterrence frontier: ``fine`` and the least audit ``rate``, where there is one."""
    fines = np.linspace(0.0, largest_fine, FINES)
    rates = temptations.least_rates(fines, margin)
    return pd.DataFrame({"fine": fines, "rate": rates})[np.isfinite(rates)].reset_index(drop=True)
