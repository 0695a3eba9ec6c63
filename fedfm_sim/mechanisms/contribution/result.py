"""What every contribution scheme returns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

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
        For the least core and the nucleolus, the largest excess of a coalition.
    standard_errors : (n,) array or None
        Of sampled values, from the spread of the samples; None where nothing
        is sampled. NaN where a player has too few samples to tell.
    converged : bool
        False where a sampled scheme spent its budget before its own rule of
        stopping, if it has one, was met.
    """

    method: str
    values: Values
    evaluations: int
    excess: float | None = None
    standard_errors: Values | None = None
    converged: bool = True

    def to_frame(self) -> pd.DataFrame:
        """Return a table of player, value and, where there is one, standard error."""
        table = pd.DataFrame({"player": range(len(self.values)), "value": self.values})
        if self.standard_errors is not None:
            table["standard_error"] = self.standard_errors
        return table

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:.4g}" for value in self.values[:8])
        more = ", ..." if len(self.values) > 8 else ""
        return f"Contribution({self.method}: [{shown}{more}], {self.evaluations} evaluations)"
