"""The exact least core, by row generation.

References
----------
.. [1] M. Maschler, B. Peleg and L. S. Shapley, "Geometric properties of the
   kernel, nucleolus, and related solution concepts", Mathematics of Operations
   Research 4(4), 1979, pp. 303-338.
.. [2] T. Yan and A. D. Procaccia, "If you like Shapley then you'll love the
   core", AAAI 2021 (the least core for data valuation, and the egalitarian
   choice within it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import highspy
import numpy as np

from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members, subset_sums, without_outliers
from fedfm_sim.mechanisms.contribution.least_norm import least_norm
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import (
    EFFICIENCY,
    NULL_PLAYER,
    SYMMETRY,
    Scheme,
)

#: A coalition counts as violated beyond this share of the game's largest value.
TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class LeastCore:
    """The least core of a game, and the most equal allocation in it.

    Attributes
    ----------
    allocation : (n,) array
        Sums to ``v(N) - v(empty)``, in the game's unit.
    excess : float
        ``e*``: no coalition could gain more than this by leaving, and some
        coalition could gain exactly this. With at most 0 the core is not empty.
    constraints : int
        How many of the ``2**n - 2`` coalitions the solution had to look at.
    """

    allocation: Values
    excess: float
    constraints: int


def least_core(game: CoalitionGame, *, subsidy: bool = False) -> LeastCore:
    """Return the least core, and the allocation in it closest to the equal split.

    The least ``e`` such that ``x(N) = v(N)`` and ``x(S) + e >= v(S)`` for every
    proper nonempty coalition S [1]_, with ``x`` free in sign and values taken
    relative to ``v(empty)``. Among the allocations with that ``e``, the
    one closest in Euclidean norm to the equal split is returned [2]_: it is
    unique, and equal for players who are interchangeable.

    Parameters
    ----------
    game : CoalitionGame
        At most ``MAX_TABLE_PLAYERS`` players; all ``2**n`` coalitions are valued.
    subsidy : bool
        False leaves ``e`` free, so that it is negative when every coalition is
        strictly better off inside. True adds ``e >= 0``, the subsidy that makes
        the grand coalition stable; where the core is not empty it is 0 and the
        allocation is the most equal one of the core.

    Returns
    -------
    LeastCore
        With one player ``excess`` is 0: there is nobody to object.

    Raises
    ------
    UserError
        When the game is too large for a table.

    Notes
    -----
    The linear programme starts from the single players and their complements,
    and takes in the most violated coalitions until none is left; each search
    is one array of ``2**n`` subset sums.

    Examples
    --------
    >>> majority = CoalitionGame.from_table([0, 0, 0, 1, 0, 1, 1, 1])
    >>> round(least_core(majority).excess, 6)
    0.333333
    """
    n = game.players
    table = game.table()
    worth = without_outliers(table - table[0])
    scale = float(np.abs(worth).max())
    if n == 1 or scale == 0:
        return LeastCore(np.full(n, worth[-1] / n), 0.0, 0)
    singles = np.int64(1) << np.arange(n, dtype=np.int64)
    first = np.unique(np.concatenate([singles, worth.size - 1 - singles]))
    allocation, level, rows = solve(AllCoalitions(worth / scale, n), first, subsidy=subsidy)
    return LeastCore(allocation * scale, level * scale + 0.0, rows.size)  # and never -0.0


class Candidates(Protocol):
    """The coalitions that may object; a row is one of them, by its position."""

    @property
    def players(self) -> int:
        """Number of players."""

    @property
    def total(self) -> float:
        """What is shared out, ``v(N) - v(empty)``."""

    @property
    def worth(self) -> Values:
        """The value of every row, relative to ``v(empty)``."""

    def members(self, rows: Masks) -> Values:
        """Return the (m, n) membership of m rows, as 0 and 1."""

    def excesses(self, allocation: Values) -> Values:
        """Return ``v(S) - x(S)`` of every row."""


@dataclass(frozen=True)
class AllCoalitions:
    """All coalitions as candidates; a row is a bitmask."""

    worth: Values
    players: int

    @property
    def total(self) -> float:
        """What is shared out."""
        return float(self.worth[-1])

    def members(self, rows: Masks) -> Values:
        """Return the membership of bitmasks."""
        return members(rows, self.players)

    def excesses(self, allocation: Values) -> Values:
        """Return the excesses; -inf for the empty and the grand coalition."""
        sums = subset_sums(allocation)
        excesses = np.subtract(self.worth, sums, out=sums)
        excesses[0] = excesses[-1] = -np.inf
        return excesses


def solve(candidates: Candidates, first: Masks, *, subsidy: bool) -> tuple[Values, float, Masks]:
    """Return the most equal allocation of least excess, that excess, and the rows in play.

    Parameters
    ----------
    candidates : Candidates
        With values of at most 1 in size, which the tolerances are made for.
    first : (m,) array
        Rows to begin with; they must bound the excess from below.
    subsidy : bool
        Whether ``e >= 0`` is added.
    """
    rows, level = _least_excess(candidates, first, subsidy)
    allocation, rows = _most_equal(candidates, rows, level)
    return allocation, level, rows


def _least_excess(candidates: Candidates, rows: Masks, subsidy: bool) -> tuple[Masks, float]:
    """Return the rows that came into play, and the least excess."""
    master = _Master(candidates.players, candidates.total, subsidy)
    master.add(candidates.members(rows), candidates.worth[rows])
    while True:
        allocation, level = master.solve()
        excesses = candidates.excesses(allocation)
        new = _most_violated(excesses, level, rows, candidates.players)
        if not new.size:
            # The excess that this allocation really has, so that the programme
            # of the tie-break is not empty by a rounding error.
            return rows, max(level, float(excesses.max()))
        rows = np.concatenate([rows, new])
        master.add(candidates.members(new), candidates.worth[new])


class _Master:
    """``min e`` over the coalitions added so far, warm-started between solves."""

    def __init__(self, n: int, total: float, subsidy: bool) -> None:
        self.n = n
        self.model = model = highspy.Highs()
        model.setOptionValue("output_flag", False)
        # Presolve would throw away the basis that the next solve starts from.
        model.setOptionValue("presolve", "off")
        model.setOptionValue("primal_feasibility_tolerance", 1e-10)
        model.setOptionValue("dual_feasibility_tolerance", 1e-10)
        for _ in range(n):
            model.addVar(-highspy.kHighsInf, highspy.kHighsInf)
        model.addVar(0.0 if subsidy else -highspy.kHighsInf, highspy.kHighsInf)
        model.changeColCost(n, 1.0)
        model.addRow(total, total, n, np.arange(n, dtype=np.int32), np.ones(n))

    def add(self, membership: Values, worth: Values) -> None:
        """Add ``x(S) + e >= v(S)`` for the (m, n) membership of m coalitions."""
        rows = np.hstack([membership, np.ones((len(membership), 1))])
        where, columns = np.nonzero(rows)
        starts = np.searchsorted(where, np.arange(len(rows)))
        self.model.addRows(
            len(rows),
            worth,
            np.full(len(rows), highspy.kHighsInf),
            columns.size,
            starts.astype(np.int32),
            columns.astype(np.int32),
            np.ones(columns.size),
        )

    def solve(self) -> tuple[Values, float]:
        """Return the allocation and the excess of the programme so far."""
        self.model.run()
        status = self.model.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS ended the least-core programme with {status}")
        columns = np.array(self.model.getSolution().col_value)
        return columns[: self.n], float(columns[self.n])


def _most_equal(candidates: Candidates, rows: Masks, level: float) -> tuple[Values, Masks]:
    """Return the allocation with excess ``level`` nearest to the equal split."""
    n = candidates.players
    equal = candidates.total / n
    while True:
        membership = candidates.members(rows)
        sizes = membership.sum(axis=1)
        # Rows that add up to zero keep the sum of the allocation as it is.
        balanced = membership - sizes[:, None] / n
        bounds = candidates.worth[rows] - level - sizes * equal
        allocation = equal + least_norm(balanced, bounds, TOLERANCE)
        excesses = candidates.excesses(allocation)
        new = _most_violated(excesses, level, rows, n)
        if not new.size:
            _verify(excesses, level)
            return allocation, rows
        rows = np.concatenate([rows, new])


def _verify(excesses: Values, level: float) -> None:
    """Refuse to return an allocation that is not in the least core."""
    above = float(excesses.max()) - level
    if above > 10 * TOLERANCE:
        raise RuntimeError(f"the least-core allocation misses its excess by {above:.1e}")


def _most_violated(excesses: Values, level: float, rows: Masks, n: int) -> Masks:
    """Return the coalitions furthest above ``level`` that are not rows yet."""
    violated = np.flatnonzero(excesses > level + TOLERANCE)
    violated = np.setdiff1d(violated, rows, assume_unique=True)
    most = 2 * n
    if violated.size > most:
        violated = violated[np.argpartition(excesses[violated], -most)[-most:]]
    return violated


class LeastCoreScheme(Scheme):
    """The egalitarian least core: the most equal allocation in it; see `least_core`.

    A null player gets 0 in all of the least core: what it has, or owes, could be
    shared out among the others, which would lower every coalition's excess.

    Attributes
    ----------
    subsidy : bool
        Whether the excess is bounded below by 0.
    """

    axioms = (EFFICIENCY, SYMMETRY, NULL_PLAYER)
    source = "Maschler, Peleg and Shapley 1979; Yan and Procaccia, AAAI 2021"
    exhaustive = True

    subsidy: bool = False

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact allocation."""
        solution = least_core(game, subsidy=self.subsidy)
        return Contribution("least-core", solution.allocation, 1 << game.players, solution.excess)
