"""The nucleolus and the prenucleolus, exact, by a sequence of linear programmes.

References
----------
.. [1] D. Schmeidler, "The nucleolus of a characteristic function game", SIAM
   Journal on Applied Mathematics 17(6), 1969, pp. 1163-1170.
.. [2] M. Maschler, B. Peleg and L. S. Shapley, "Geometric properties of the
   kernel, nucleolus, and related solution concepts", Mathematics of Operations
   Research 4(4), 1979, pp. 303-338 (the sequence of programmes).
.. [3] J. A. M. Potters, J. H. Reijnierse and M. Ansing, "Computing the nucleolus
   by solving a prolonged simplex algorithm", Mathematics of Operations Research
   21(3), 1996, pp. 757-768 (coalitions in the span of settled ones are settled).
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from scipy.linalg import null_space

from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import (
    RELATIVE_TOLERANCE,
    members,
    subset_sums,
    without_outliers,
)
from fedfm_sim.mechanisms.contribution.result import Contribution, NoValueError
from fedfm_sim.mechanisms.contribution.scheme import EFFICIENCY, NULL_PLAYER, SYMMETRY, Scheme

#: A coalition counts as violated beyond this share of the game's largest value.
TOLERANCE = 1e-10

#: Differences of values below this share of them are the rounding of sums of floats.
ROUNDING = 1e-14

#: A multiplier or a movement above it is not a rounding error. A multiplier that
#: is missed costs a programme more: a later one settles its coalition.
POSITIVE = 1e-7


@dataclass(frozen=True, eq=False)
class Nucleolus:
    """The allocation whose largest excesses are the smallest, in lexical order.

    Attributes
    ----------
    allocation : (n,) array
        Sums to ``v(N) - v(empty)``, in the game's unit.
    levels : (k,) array
        The excess that each programme settled, largest first, k < n. The first
        is the largest excess of any coalition; empty with one player.
    constraints : int
        How many of the ``2**n - 2`` coalitions the programmes had to look at.
    """

    allocation: Values
    levels: Values
    constraints: int


def nucleolus(game: CoalitionGame) -> Nucleolus:
    """Return the nucleolus, which is over the imputations [1]_.

    Of the allocations that share out ``v(N)`` and give every player at least
    what it is worth alone, the one whose excesses ``v(S) - x(S)``, sorted
    downwards, are lexically least. It is unique, equal for interchangeable
    players, and in the core where there is one. Values are taken relative to
    ``v(empty)``.

    Parameters
    ----------
    game : CoalitionGame
        At most ``MAX_TABLE_PLAYERS`` players; all ``2**n`` coalitions are valued.

    Returns
    -------
    Nucleolus

    Raises
    ------
    UserError
        When there is no imputation, for the players alone are worth more than
        all of them together; or when the game is too large for a table.

    Notes
    -----
    Each programme finds the least largest excess of the coalitions that are not
    settled yet [2]_. Those with a positive multiplier have that excess in every
    solution of it, and are settled with all in the span of the settled ones
    [3]_, so at most n - 1 programmes are needed. The coalitions of a programme
    are generated as they are violated; each search is one array of ``2**n``
    subset sums. All settled excesses are equations in whole numbers, from which
    the allocation is solved afresh in the end.

    Examples
    --------
    >>> glove = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})
    >>> nucleolus(glove).allocation.round(9).tolist()
    [1.0, 0.0, 0.0]
    """
    return _solve(game, rational=True)


def prenucleolus(game: CoalitionGame) -> Nucleolus:
    """Return the prenucleolus: the nucleolus over all efficient allocations.

    A player may get less than it is worth alone. It always exists, lies in
    the least core, and is the nucleolus wherever it is individually rational.

    Parameters
    ----------
    game : CoalitionGame
        As for `nucleolus`.

    Returns
    -------
    Nucleolus

    Raises
    ------
    UserError
        When the game is too large for a table.
    """
    return _solve(game, rational=False)


def _solve(game: CoalitionGame, rational: bool) -> Nucleolus:
    n = game.players
    table = game.table()
    worth = table - table[0]
    alone = worth[1 << np.arange(n)]
    # What the players are worth alone moves the solution and nothing else, and
    # could drown what is left.
    surplus = worth - subset_sums(alone)
    # Compared with what it is the difference of: an outlying coalition has no part in it.
    sizes = max(float(np.abs(alone).sum()), abs(float(worth[-1])))
    noise = ROUNDING * (sizes + abs(float(table[0])))
    if rational and surplus[-1] < -RELATIVE_TOLERANCE * sizes - noise:
        raise NoValueError(
            f"the game has no imputation: its players alone are worth {alone.sum():g}, "
            f"all together {worth[-1]:g}; the prenucleolus exists"
        )
    if n == 1 or (rational and surplus[-1] <= noise):
        # Nothing but rounding is to be shared out: there is one imputation.
        shares = np.full(n, surplus[-1] / n)
        gains = (surplus - subset_sums(shares))[1:-1]
        levels = np.where(np.abs(gains) > noise, gains, 0.0).max(initial=-np.inf, keepdims=True)
        return Nucleolus(alone + shares, levels if n > 1 else np.zeros(0), 0)
    given = surplus
    surplus = _closer(surplus, float(surplus[-1])) if rational else without_outliers(surplus)
    scale = float(np.abs(surplus).max())
    if scale <= noise:
        return Nucleolus(alone + surplus[-1] / n, np.zeros(1), 0)
    sequence = _Sequence(surplus / scale, n, rational)
    allocation = scale * sequence.run()
    settled = np.array([level[0] for level in sequence.settled[1:]])
    levels = (given - subset_sums(allocation))[settled]
    levels = np.where(np.abs(levels) > noise, levels, 0.0)
    return Nucleolus(alone + allocation, levels, sequence.generated)


def _closer(surplus: Values, most: float) -> Values:
    """Return the surpluses with gaps of more than twice ``most`` cut to that.

    Imputations give every coalition from 0 to ``most``: where two surpluses are further apart
    than that, so is which of the coalitions objects more, by whatever distance. The nucleolus
    stays the same, and an outlying value can't drown the others.
    """
    values, place = np.unique(np.append(surplus[1:-1], 0.0), return_inverse=True)
    cut = np.cumsum(np.maximum(np.diff(values, prepend=values[0]) - 2 * most, 0.0))
    nearer = (values - (cut - cut[place[-1]]))[place]
    return np.concatenate([surplus[:1], nearer[:-1], surplus[-1:]])


class _Sequence:
    """The programmes over a zero-normalised game whose largest value is 1.

    The allocations that are left are ``allocation + directions @ z``.
    """

    def __init__(self, surplus: Values, n: int, rational: bool) -> None:
        self.n = n
        self.surplus = surplus
        self.rational = rational
        self.allocation: Values = np.full(n, surplus[-1] / n)
        self.directions: Values = null_space(np.ones((1, n)))
        self.open = np.ones(surplus.size, dtype=np.bool_)
        self.settled: list[Masks] = [np.array([surplus.size - 1], dtype=np.int64)]
        self.floors: list[Masks] = []
        self.known = np.zeros(surplus.size, dtype=np.bool_)

    @property
    def generated(self) -> int:
        """How many coalitions were rows of a programme."""
        return int(np.count_nonzero(self.known))

    def run(self) -> Values:
        """Settle coalitions until one allocation is left; return it."""
        while self.directions.shape[1]:
            moves = np.zeros_like(self.open)
            for direction in self.directions.T:
                moves |= np.abs(subset_sums(direction)) > POSITIVE
            self.open &= moves
            self._next_level()
            fixed = members(np.concatenate([*self.settled, *self.floors]), self.n)
            self.directions = null_space(fixed, rcond=1e-9)
        return self._equations()

    def _next_level(self) -> None:
        """Solve one programme, move to its solution and settle what it settles."""
        programme = _Programme(self.allocation, self.directions, self.rational)
        rows = self._first_rows()
        programme.add(members(rows, self.n), self.surplus[rows])
        while True:
            allocation, level = programme.solve()
            new = self._violated(self._excesses(allocation), level, rows)
            if not new.size:
                break
            rows = np.concatenate([rows, new])
            programme.add(members(new, self.n), self.surplus[new])
        self.known[rows] = True
        self.allocation = allocation
        multipliers = programme.multipliers()
        floors = self.n if self.rational else 0
        self.floors.append(np.int64(1) << np.flatnonzero(multipliers[:floors] > POSITIVE))
        self.settled.append(rows[multipliers[floors:] > POSITIVE])

    def _excesses(self, allocation: Values) -> Values:
        """Return the excesses of the open coalitions, -inf for the others."""
        return np.where(self.open, self.surplus - subset_sums(allocation), -np.inf)

    def _first_rows(self) -> Masks:
        """Return the open coalitions of the largest excess, and their complements.

        A coalition and its complement bound the programme's level from below.
        """
        gains = self._excesses(self.allocation)
        count = min(2 * self.n, int(np.count_nonzero(self.open)))
        most = np.argpartition(gains, -count)[-count:]
        return np.union1d(most, gains.size - 1 - most)

    def _violated(self, gains: Values, level: float, rows: Masks) -> Masks:
        """Return the coalitions furthest above ``level`` that are not rows yet."""
        gains[rows] = -np.inf
        violated = np.flatnonzero(gains > level + TOLERANCE)
        most = 2 * self.n
        if violated.size > most:
            violated = violated[np.argpartition(gains[violated], -most)[-most:]]
        return violated

    def _equations(self) -> Values:
        """Return the allocation that the settled coalitions determine."""
        n, (grand, *levels) = self.n, self.settled
        depth = np.repeat(np.arange(len(levels)), [level.size for level in levels])
        tight = np.concatenate([*levels, grand, *self.floors])
        unknowns = np.zeros((tight.size, n + len(levels)))
        unknowns[:, :n] = members(tight, n)
        unknowns[np.arange(depth.size), n + depth] = 1.0
        # The surplus of a player alone is 0, which is also its floor.
        solution = np.linalg.lstsq(unknowns, self.surplus[tight])[0]
        missed = float(np.abs(unknowns @ solution - self.surplus[tight]).max())
        if missed > 1e-8 or np.abs(solution[:n] - self.allocation).max() > 1e-6:
            raise RuntimeError(f"the settled excesses contradict each other by {missed:.1e}")
        return np.asarray(solution[:n])


class _Programme:
    """``min e`` over ``z`` with ``x(S) + e >= v(S)`` for ``x = start + directions @ z``.

    Written in the directions that are left, it has a solution whatever the
    rounding errors of earlier programmes: ``z = 0``.
    """

    def __init__(self, start: Values, directions: Values, rational: bool) -> None:
        self.start, self.directions = start, directions
        self.model = model = highspy.Highs()
        model.setOptionValue("output_flag", False)
        # Presolve would throw away the basis that the next solve starts from.
        model.setOptionValue("presolve", "off")
        model.setOptionValue("primal_feasibility_tolerance", TOLERANCE)
        model.setOptionValue("dual_feasibility_tolerance", TOLERANCE)
        count = directions.shape[1] + 1
        free = np.full(count, highspy.kHighsInf)
        model.addVars(count, -free, free)
        model.changeColCost(count - 1, 1.0)
        if rational:
            # A floor met but for rounding errors is met.
            self._rows(directions, 0.0, np.minimum(-start, 0.0))

    def add(self, membership: Values, worth: Values) -> None:
        """Add the (m, n) membership of m coalitions."""
        self._rows(membership @ self.directions, 1.0, worth - membership @ self.start)

    def _rows(self, coefficients: Values, slack: float, lower: Values) -> None:
        count, width = len(coefficients), coefficients.shape[1] + 1
        values = np.hstack([coefficients, np.full((count, 1), slack)])
        self.model.addRows(
            count,
            lower,
            np.full(count, highspy.kHighsInf),
            values.size,
            np.arange(0, values.size, width, dtype=np.int32),
            np.tile(np.arange(width, dtype=np.int32), count),
            values.ravel(),
        )

    def solve(self) -> tuple[Values, float]:
        """Return the allocation and the level of the programme so far."""
        self.model.run()
        status = self.model.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS ended a programme of the nucleolus with {status}")
        columns = np.array(self.model.getSolution().col_value)
        return self.start + self.directions @ columns[:-1], float(columns[-1])

    def multipliers(self) -> Values:
        """Return the multiplier of every row."""
        return np.array(self.model.getSolution().row_dual)


class NucleolusScheme(Scheme):
    """The nucleolus; see `nucleolus`."""

    axioms = (EFFICIENCY, SYMMETRY, NULL_PLAYER)
    source = "Schmeidler, SIAM Journal on Applied Mathematics 1969"
    exhaustive = True

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact nucleolus; `UserError` where there is no imputation."""
        return _contribution("nucleolus", game, nucleolus(game))


class PrenucleolusScheme(Scheme):
    """The prenucleolus; see `prenucleolus`."""

    axioms = (EFFICIENCY, SYMMETRY, NULL_PLAYER)
    source = "Sobolev 1975; Schmeidler, SIAM Journal on Applied Mathematics 1969"
    exhaustive = True

    def evaluate(self, game: CoalitionGame, rng: np.random.Generator | None) -> Contribution:
        """Return the exact prenucleolus."""
        return _contribution("prenucleolus", game, prenucleolus(game))


def _contribution(method: str, game: CoalitionGame, solution: Nucleolus) -> Contribution:
    excess = float(solution.levels[0]) if solution.levels.size else 0.0
    return Contribution(method, solution.allocation, 1 << game.players, excess)
