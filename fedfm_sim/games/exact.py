"""Whole-number arithmetic under the solvers: payoffs without a unit, and exact pivots.

A tolerance says what counts as zero in one unit of money and no other. Here payoffs become
whole numbers in proportion to them, and every sign that a solver asks for is exact.

References
----------
.. [1] J. Edmonds, "Systems of distinct representatives and linear algebra", Journal of
   Research of the National Bureau of Standards 71B, 1967, pp. 241-245 (whole-number pivots).
.. [2] G. Dantzig, A. Orden and P. Wolfe, "The generalized simplex method for minimizing a
   linear form under linear inequality restraints", Pacific Journal of Mathematics 5(2), 1955,
   pp. 183-195 (lexicographic pivots, which never cycle).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array

#: Arrays of Python's whole numbers of any size, or of fractions.
Whole = npt.NDArray[np.object_]

#: Relative differences below this are the rounding of the numbers that were given.
ROUNDING = 16 * float(np.finfo(np.float64).eps)
#: Largest common denominator that is looked for.
MOST_PARTS = 1_000_000


def whole(values: npt.ArrayLike) -> Whole:
    """Return whole numbers, the least of them 0, in proportion to values less their least.

    Where all values are multiples of a common unit but for their rounding, as 0.1, 0.2 and 0.3
    are, they are counted in that unit, so that ties are ties in any money. Otherwise each is
    taken as the float that it is.
    """
    given = np.asarray(values, dtype=np.float64)
    counted = _counted(given.ravel())
    numbers = counted if counted is not None else integers(given.ravel())
    least = min(numbers)
    numbers = [number - least for number in numbers]
    divisor = gcd(*numbers) or 1
    return _array([number // divisor for number in numbers]).reshape(given.shape)


def exactly(values: Array) -> Whole:
    """Return floats as the fractions that they are."""
    numbers = np.empty(values.shape, dtype=object)
    numbers.ravel()[:] = [Fraction(value) for value in values.ravel().tolist()]
    return numbers


def integers(values: npt.ArrayLike) -> list[int]:
    """Return whole numbers in exact proportion to floats or fractions, by a factor above 0."""
    parts = [Fraction(value) for value in np.asarray(values).ravel().tolist()]
    denominator = 1
    for part in parts:
        denominator = denominator * part.denominator // gcd(denominator, part.denominator)
    return [part.numerator * (denominator // part.denominator) for part in parts]


def _counted(values: Array) -> list[int] | None:
    """Return values in multiples of a common unit, counted from one of them; None without."""
    distinct = np.unique(values)
    middle = float(distinct[len(distinct) // 2])
    away = distinct - middle
    noise = ROUNDING * np.maximum(np.abs(distinct), abs(middle))
    gaps = np.sort(np.abs(away[np.abs(away) > noise]))
    if not gaps.size:
        return [0] * len(values)
    # A gap of middle size: the largest could be an outlier's, and drown the others.
    span = float(gaps[len(gaps) // 2])
    ratios = away / span
    blur = (noise + ROUNDING * abs(middle) * np.abs(ratios)) / span + ROUNDING * np.abs(ratios)
    # Beyond these parts any number would do, as near as rounding can tell.
    most = min(MOST_PARTS, int(np.sqrt(1e-3 / float(np.median(blur) + 1e-300))))
    parts = 1
    for ratio, doubt in zip(ratios.tolist(), blur.tolist(), strict=True):
        left = ratio * parts
        if abs(left - round(left)) > doubt * parts:
            parts *= Fraction(left).limit_denominator(max(1, most // parts)).denominator
        left = ratio * parts
        if parts > most or not abs(left - round(left)) <= doubt * parts <= 0.01:
            return None
    numbers = (values - middle) / span * parts
    return [round(number) for number in numbers.tolist()] if abs(numbers).max() < 2**53 else None


def _array(numbers: list[int]) -> Whole:
    array = np.empty(len(numbers), dtype=object)
    array[:] = numbers
    return array


@dataclass(eq=False)
class Tableau:
    """A basis of ``{y >= 0: A y <= b}`` in whole numbers [1]_.

    Row i reads ``scale * basic_i = entries[i, -1] - sum_j entries[i, j] * free_j``.

    Attributes
    ----------
    entries : (m, n + 1) array of int
        The last column is the right-hand side.
    scale : int
        Above 0; the determinant of the basis.
    basic, free : lists of m and n int
        Names of the variables that are in the basis, and of those that are 0.
    slacks : (m,) list of int
        Names of the slack variables in the order that breaks ties [2]_.
    rows : int
        How many rows are constraints; one more may be an objective.
    """

    entries: Whole
    scale: int
    basic: list[int]
    free: list[int]
    slacks: list[int]
    rows: int

    @classmethod
    def create(cls, matrix: Whole, limits: Whole, slacks: list[int], names: list[int]) -> Tableau:
        """Return the basis of slacks of ``matrix @ y <= limits``."""
        entries = np.concatenate([matrix, limits[:, None]], axis=1)
        return cls(entries, 1, [*slacks], [*names], [*slacks], len(slacks))

    def value(self, name: int) -> int:
        """Return a variable's value, in parts of ``scale``."""
        return self.entries[self.basic.index(name), -1] if name in self.basic else 0

    def leaving(self, column: int) -> int | None:
        """Return the row that limits a free variable's growth; None where nothing does."""
        best: int | None = None
        for row in range(self.rows):
            own = self.entries[row, column]
            if own > 0 and (best is None or self._sooner(row, best, column)):
                best = row
        return best

    def _sooner(self, row: int, other: int, column: int) -> bool:
        entries = self.entries
        own, its = entries[row, column], entries[other, column]
        gap = entries[row, -1] * its - entries[other, -1] * own
        if gap:
            return bool(gap < 0)
        # A tie: as if the k-th limit were larger by e**k, for e as small as need be.
        for name in self.slacks:
            if name in self.basic:
                at = self.basic.index(name)
                first, second = self.scale * (at == row), self.scale * (at == other)
            else:
                at = self.free.index(name)
                first, second = entries[row, at], entries[other, at]
            gap = first * its - second * own
            if gap:
                return bool(gap < 0)
        return False

    def pivoted(self, row: int, column: int) -> Tableau:
        """Return the neighbouring basis, in which two variables have changed places."""
        along, down = self.entries[row], self.entries[:, column]
        pivot = along[column]
        entries = (self.entries * pivot - np.multiply.outer(down, along)) // self.scale
        entries[row] = along
        entries[:, column] = -down
        entries[row, column] = self.scale
        basic, free = [*self.basic], [*self.free]
        basic[row], free[column] = free[column], basic[row]
        if pivot < 0:
            pivot, entries = -pivot, -entries
        return Tableau(entries, pivot, basic, free, self.slacks, self.rows)


def maximised(tableau: Tableau) -> Tableau | None:
    """Return the basis that maximises a last row, by the simplex method; None if unbounded.

    The last row reads like the others: ``scale * objective = entry - sum_j entries_j free_j``.
    """
    while True:
        prices = tableau.entries[-1, :-1]
        column = int(np.argmin(prices))
        if prices[column] >= 0:
            return tableau
        row = tableau.leaving(column)
        if row is None:
            return None
        tableau = tableau.pivoted(row, column)


def programme(
    cost: Whole, matrix: Whole, limits: Whole, guess: list[int] | None = None
) -> list[Fraction] | None:
    """Minimise ``cost @ y`` with ``matrix @ y <= limits`` and ``y >= 0``; None if infeasible.

    Parameters
    ----------
    cost : (n,) array of int
    matrix : (m, n) array of int
    limits : (m,) array of int
    guess : list of m int, optional
        Which variables, the m slacks counted from n on, the best basis may have.

    Returns
    -------
    list of n fractions, or None
        A vertex of least cost, exact.
    """
    count = len(cost)
    tableau = _guessed(matrix, limits, guess) or _feasible(matrix, limits)
    if tableau is None:
        return None
    price = _array([0] * (count + 1))
    for column, name in enumerate(tableau.free):
        if name < count:
            price[column] += cost[name] * tableau.scale
    for row, name in enumerate(tableau.basic):
        if name < count:
            price = price - cost[name] * tableau.entries[row]
    tableau.entries = np.concatenate([tableau.entries, price[None]])
    tableau.basic.append(-1)
    best = maximised(tableau)
    return None if best is None else [Fraction(best.value(k), best.scale) for k in range(count)]


def _guessed(matrix: Whole, limits: Whole, guess: list[int] | None) -> Tableau | None:
    """Return the basis of these variables; None where it is none, or not feasible."""
    rows, count = matrix.shape
    tableau = Tableau.create(matrix, limits, [*range(count, count + rows)], [*range(count)])
    for name in set(guess or []) - set(tableau.basic):
        column = tableau.free.index(name)
        leaving = [row for row, own in enumerate(tableau.basic)
                   if own not in (guess or []) and tableau.entries[row, column]]  # fmt: skip
        if not leaving:
            return None
        tableau = tableau.pivoted(leaving[0], column)
    tableau.slacks = [*tableau.basic]  # from here on, ties are broken as if these were slacks
    return None if (tableau.entries[:, -1] < 0).any() else tableau


def _feasible(matrix: Whole, limits: Whole) -> Tableau | None:
    """Return a feasible basis of ``matrix @ y <= limits, y >= 0``; None where there is none."""
    rows, count = matrix.shape
    slacks, names = [*range(count, count + rows)], [*range(count)]
    worst = min(range(rows), key=lambda row: (limits[row], -row))
    if limits[worst] >= 0:
        return Tableau.create(matrix, limits, slacks, names)
    # One more variable makes all limits hold; it is made as small as can be.
    extra = count + rows
    entries = np.concatenate([matrix, _array([-1] * rows)[:, None], limits[:, None]], axis=1)
    entries = np.concatenate([entries, _array([0] * count + [1, 0])[None]])
    start = Tableau(entries, 1, [*slacks, -1], [*names, extra], slacks, rows)
    solved = maximised(start.pivoted(worst, count))
    if solved is None or extra in solved.basic:
        return None
    kept = np.delete(solved.entries[:rows], solved.free.index(extra), axis=1)
    free = [name for name in solved.free if name != extra]
    return Tableau(kept, solved.scale, solved.basic[:rows], free, slacks, rows)
