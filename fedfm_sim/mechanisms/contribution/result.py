"""What every contribution scheme returns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.core.intervals import LEVEL, critical


class NoValueError(UserError):
    """A game has no value of the kind asked for, as one without imputations has no nucleolus."""


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
        For the least core and the nucleolus, the largest excess of a coalition.
    standard_errors : (n,) array or None
        Of sampled values, from the spread of the samples; None where nothing
        is sampled. NaN where a player has too few samples to tell.
    degrees : (n,) array or None
        Degrees of freedom of the standard errors.
    cut : (n,) array or None
        Where sampling was truncated, what at most that hides of each value, in a game in
        which nobody does harm.
    converged : bool
        False where a sampled scheme spent its budget before its own rule of
        stopping, if it has one, was met.
    """

    method: str
    values: Values
    evaluations: int
    excess: float | None = None
    standard_errors: Values | None = None
    degrees: Values | None = None
    cut: Values | None = None
    converged: bool = True

    def intervals(self, level: float = LEVEL) -> tuple[Values, Values] | None:
        """Return Student's interval of each sampled value, low and high; None of exact ones.

        Each for itself, and wider by what truncation may hide; NaN as the standard errors are.
        At 0.95 they cover 93 to 99 % in games as federations are, and 90 to 97 % in games of
        votes, where a player is rarely pivotal (``benchmarks/truth_intervals.py``).
        """
        if self.standard_errors is None or self.degrees is None:
            return None
        half = critical(self.degrees, level) * self.standard_errors
        half = half + (0.0 if self.cut is None else self.cut)
        return self.values - half, self.values + half

    def to_frame(self) -> pd.DataFrame:
        """Return a table of player, value and, where sampled, standard error and interval."""
        table = pd.DataFrame({"player": range(len(self.values)), "value": self.values})
        if self.standard_errors is not None:
            table["standard_error"] = self.standard_errors
        if (ends := self.intervals()) is not None:
            table["low"], table["high"] = ends
        return table

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:.4g}" for value in self.values[:8])
        more = ", ..." if len(self.values) > 8 else ""
        return f"Contribution({self.method}: [{shown}{more}], {self.evaluations} evaluations)"
