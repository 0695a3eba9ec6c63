"""What a contribution scheme is, and how sampled ones keep to a budget."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.core.settings import Plugin
from fedfm_sim.mechanisms.contribution.result import Contribution

#: The axioms of Shapley 1953, as schemes name those that they satisfy.
EFFICIENCY, SYMMETRY, NULL_PLAYER, ADDITIVITY = (
    "efficiency",
    "symmetry",
    "null player",
    "additivity",
)


#: How many samples of its own the common variance of all players counts as.
PRIOR = 8.0


class Scheme(Plugin):
    """Base of all schemes; its fields are its parameters.

    A subclass is one file and one line in `fedfm_sim.mechanisms.contribution.SCHEMES`.
    """

    #: The axioms that hold of what is returned; for a sampled scheme, in any
    #: one sample and not in expectation alone.
    axioms: ClassVar[tuple[str, ...]] = ()
    #: Where it was published.
    source: ClassVar[str] = ""
    #: Whether it values all ``2**n`` coalitions.
    exhaustive: ClassVar[bool] = False

    @abstractmethod
    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return what each player of the game contributes."""


class SampledScheme(Scheme):
    """Base of the schemes that sample coalitions, and value no more than a budget.

    Attributes
    ----------
    budget : int
        Most different coalitions that may be valued, the empty and the grand
        one included; those in the game's cache count too, so that the result
        does not depend on what was asked before.
    """

    budget: int = Field(default=1000, ge=1)

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the estimate; `UserError` without a generator or a large enough budget."""
        if rng is None:
            raise UserError(f"{type(self).__name__} samples: give it rng, a numpy Generator")
        return self.sample(game, Meter(game, self.budget), rng)

    @abstractmethod
    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the estimate from coalitions valued through the meter."""


class Spent(Exception):
    """A coalition was asked for that the budget does not cover."""


class Meter:
    """The values of a game, up to a budget of different coalitions.

    Attributes
    ----------
    spent : int
        Different coalitions valued so far.
    """

    def __init__(self, game: CoalitionGame, budget: int) -> None:
        self._game, self.budget = game, budget
        self._known: dict[int, float] = {}

    @property
    def spent(self) -> int:
        """How many different coalitions have been valued."""
        return len(self._known)

    def values(self, masks: Masks) -> Values:
        """Return the values of flat ``masks``; raise `Spent`, valuing none, if too many are new."""
        new = [mask for mask in dict.fromkeys(masks.tolist()) if mask not in self._known]
        if len(new) > self.budget - self.spent:
            raise Spent
        if new:
            values = self._game.values(np.array(new, dtype=np.int64))
            self._known.update(zip(new, values.tolist(), strict=True))
        return np.array([self._known[mask] for mask in masks.tolist()])

    def value(self, mask: int) -> float:
        """Return the value of one coalition."""
        return float(self.values(np.array([mask], dtype=np.int64))[0])

    def ends(self, least: int) -> tuple[float, float]:
        """Return ``v(empty)`` and ``v(N)``.

        Raises
        ------
        UserError
            When the budget is below ``least``, what the scheme needs at all.
        """
        if self.budget < least:
            raise UserError(
                f"a budget of {self.budget} coalitions is too small for "
                f"{self._game.players} players; expected at least {least}"
            )
        return self.value(0), self.value(self._game.grand)


def moderated(variances: Values, degrees: Values) -> tuple[Values, Values]:
    """Return players' variances drawn towards their mean, and the degrees of freedom of both.

    Few samples of a skewed marginal contribution tend to miss what makes its variance, and
    then its mean is off as well; other players' samples know better [1]_. The mean weighs as
    much as `PRIOR` samples.

    Parameters
    ----------
    variances, degrees : (n,) arrays
        A variance of 0 degrees of freedom is not looked at, NaN included.

    Returns
    -------
    tuple of (n,) arrays
        NaN where no variance has a degree of freedom.

    References
    ----------
    .. [1] G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential
       expression in microarray experiments", Statistical Applications in Genetics and
       Molecular Biology 3(1), 2004, article 3 (the moderated t).
    """
    known = degrees > 0
    if not known.any():
        return np.full(len(variances), np.nan), np.zeros(len(variances))
    own = np.where(known, variances, 0.0)
    common = own[known].mean()
    drawn = (degrees * own + PRIOR * common) / (degrees + PRIOR)
    return drawn, degrees + PRIOR


def satterthwaite(variances: Values, degrees: Values) -> float:
    """Return the degrees of freedom of a sum of independent variances (Satterthwaite 1946).

    Those of the sum where none of them varies: then it does not matter how many.
    """
    total = float(variances.sum())
    if total == 0:
        return float(degrees.sum())
    return float(total**2 / (variances**2 / np.maximum(degrees, 1)).sum())
