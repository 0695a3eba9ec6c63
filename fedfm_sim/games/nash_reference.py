"""Extreme equilibria the slow and obvious way: to read, and to test `nash` against.

References
----------
.. [1] O. Mangasarian, "Equilibrium points of bimatrix games", Journal of the Society for
   Industrial and Applied Mathematics 12(4), 1964, pp. 778-780.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from fedfm_sim.games.normal_form import NormalFormGame

Row = list[Fraction]
Vertex = tuple[tuple[Fraction, ...], frozenset[int]]


def extreme_equilibria_reference(
    game: NormalFormGame,
) -> set[tuple[tuple[Fraction, ...], tuple[Fraction, ...]]]:
    """Return the extreme equilibria of a bimatrix game as fractions [1]_.

    Every choice of as many inequalities as unknowns is made into equations and solved in
    fractions; the payoffs are the floats that they are. A 5 x 5 game takes a second.
    """
    first, second = ([[Fraction(v) for v in row] for row in own.tolist()] for own in game.payoffs)
    rows, columns = len(first), len(first[0])
    across = [[row[j] for row in second] for j in range(columns)]
    every = set(range(rows + columns))
    found = set()
    # Labels: rows from 0 on, then columns; unused, or a best reply.
    for x, tight_x in _vertices(across, [*range(rows, rows + columns)], [*range(rows)]):
        for y, tight_y in _vertices(first, [*range(rows)], [*range(rows, rows + columns)]):
            if tight_x | tight_y == every:
                found.add((x, y))
    return found


def _vertices(matrix: list[Row], replies: list[int], own: list[int]) -> set[Vertex]:
    """Return the mixtures y of the vertices of ``{y >= 0: matrix @ y <= 1}`` with their labels."""
    least = min(min(row) for row in matrix)
    rows = [[value - least + 1 for value in row] for row in matrix]
    count = len(own)
    units = [[Fraction(i == j) for j in range(count)] for i in range(count)]
    planes = [(row, Fraction(1), label) for row, label in zip(rows, replies, strict=True)]
    planes += [(unit, Fraction(0), label) for unit, label in zip(units, own, strict=True)]
    found = set()
    for chosen in combinations(planes, count):
        point = _solved([row for row, _, _ in chosen], [limit for _, limit, _ in chosen])
        if point is None or not any(point) or min(point) < 0:
            continue
        paid = [sum(a * b for a, b in zip(row, point, strict=True)) for row in rows]
        if max(paid) > 1:
            continue
        tight = {label for pay, label in zip(paid, replies, strict=True) if pay == 1}
        tight |= {label for value, label in zip(point, own, strict=True) if value == 0}
        total = sum(point)
        found.add((tuple(value / total for value in point), frozenset(tight)))
    return found


def _solved(rows: Sequence[Row], limits: Sequence[Fraction]) -> Row | None:
    """Solve equations by elimination; None where they have not one solution."""
    table = [[*row, limit] for row, limit in zip(rows, limits, strict=True)]
    for at in range(len(table)):
        pivot = next((i for i in range(at, len(table)) if table[i][at]), None)
        if pivot is None:
            return None
        table[at], table[pivot] = table[pivot], table[at]
        table[at] = [value / table[at][at] for value in table[at]]
        for i in _others(at, len(table)):
            if table[i][at]:
                factor = table[i][at]
                table[i] = [a - factor * b for a, b in zip(table[i], table[at], strict=True)]
    return [row[-1] for row in table]


def _others(at: int, count: int) -> Iterator[int]:
    return (i for i in range(count) if i != at)
