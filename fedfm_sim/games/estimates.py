"""Figures measured on replicates, with intervals: what an attack costs over what it brings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import LEVEL, Estimate, ratio_of_means

__all__ = ["LEVEL", "Estimate", "deterrence_ratio"]


def deterrence_ratio(
    cost: npt.ArrayLike, benefit: npt.ArrayLike, rng: np.random.Generator | None = None
) -> Estimate:
    """Return an attacker's mean cost over its mean benefit: at 1 and above it does not pay.

    Infinite where the attack brings nothing or less; costs are at least 0 for that to hold.
    The interval is Fieller's: see `fedfm_sim.core.intervals.ratio_of_means`.

    Parameters
    ----------
    cost, benefit : (R,) arrays
        Of each replicate, money; both of one replicate are drawn together.
    rng : Generator, optional
        No notice is taken of it: nothing is drawn.

    Raises
    ------
    UserError
        When there is no replicate, the lengths differ or something is not finite.
    """
    costs, benefits = (np.atleast_1d(np.asarray(own, dtype=np.float64)) for own in (cost, benefit))
    if costs.shape != benefits.shape or costs.ndim != 1 or not costs.size:
        raise UserError("a deterrence ratio needs as many costs as benefits, at least one")
    if not (np.isfinite(costs).all() and np.isfinite(benefits).all()):
        raise UserError("costs and benefits must be finite")
    brought = float(benefits.mean())
    value = float(costs.mean()) / brought if brought > 0 else float("inf")
    return Estimate(value, *ratio_of_means(costs, benefits))
