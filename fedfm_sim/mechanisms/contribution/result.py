"""What every contribution scheme returns."""

from __future__ import annotations

from dataclasses import dataclass

from fedfm_sim.core.game import Values


@dataclass(frozen=True, eq=False)
class Contribution:
    """What each player contributes, by one scheme.

    Attributes
    ----------
    method : str
        The scheme's name in `SCHEMES`.
    values : (n,) array
        Contribution of each player, in the game's unit.
    evaluations : int
        How many different coalitions the scheme needed the value of; those
        that the game had in its cache are counted too.
    excess : float or None
        For the least core, its excess ``e*``; otherwise None.
    """

    method: str
    values: Values
    evaluations: int
    excess: float | None = None
