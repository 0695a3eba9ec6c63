"""All extreme equilibria of a bimatrix game, in whole numbers.

The replies of each player that are best against some mixture of the other's bound a polytope.
An extreme equilibrium is a pair of its vertices at which every action is unused or a best reply
[1]_. Vertices are walked from one to the next by exact pivots, so no determinant, tolerance or
unit of money decides what is one.

References
----------
.. [1] D. Avis, G. Rosenberg, R. Savani and B. von Stengel, "Enumeration of Nash equilibria for
   two-player games", Economic Theory 42(1), 2010, pp. 9-37.
.. [2] C. Lemke and J. Howson, "Equilibrium points of bimatrix games", Journal of the Society for
   Industrial and Applied Mathematics 12(2), 1964, pp. 413-423.
.. [3] O. Mangasarian, "Equilibrium points of bimatrix games", Journal of the Society for
   Industrial and Applied Mathematics 12(4), 1964, pp. 778-780 (extreme equilibria).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.exact import Tableau, Whole, whole
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame

#: Entries of tableaux that a walk over vertices computes: 12 x 12 has half, in a few seconds.
MOST_ENTRIES = 3_000_000
#: Extreme equilibria that are listed.
MOST_EQUILIBRIA = 100_000


class Equilibria(tuple[Equilibrium, ...]):
    """Equilibria that were found, and whether these are known to be all.

    Attributes
    ----------
    complete : bool
        Whether every extreme equilibrium is among them. Where there is a continuum of
        equilibria its extreme points are listed, and mixtures of those are equilibria too as
        far as each strategy of one is a best reply to each of the other.
    note : str
        Why they are not known to be all; empty where they are.
    """

    complete: bool
    note: str

    def __new__(cls, found: Iterable[Equilibrium], note: str = "") -> Equilibria:
        """Return the equilibria; a note says why there may be others."""
        own = super().__new__(cls, found)
        own.complete, own.note = not note, note
        return own


def extreme_equilibria(game: NormalFormGame) -> Equilibria:
    """Return the extreme equilibria of a bimatrix game, degenerate or not [3]_.

    A non-degenerate game has finitely many equilibria, and all are extreme. The search is
    exact: payoffs are taken as the fractions that they are (see `whole`), and equilibria are
    rounded to floats in the end alone. They come in the order of the sizes of their supports.

    Returns
    -------
    Equilibria
        All of them where the walk ends within `MOST_ENTRIES`. Beyond, those that are pure or
        that Lemke and Howson's paths lead to [2]_, at least one, and ``complete`` is False.

    Raises
    ------
    UserError
        When the game has not two players.

    Examples
    --------
    >>> game = NormalFormGame.from_bimatrix([[0, 2], [0, 2]], [[2, 1], [0, 2]])
    >>> len(extreme_equilibria(game)), extreme_equilibria(game).complete
    (4, True)
    """
    if game.players != 2:
        raise UserError(f"extreme equilibria are of two players, and this game has {game.players}")
    first, second = (whole(own) + 1 for own in game.payoffs)
    if len(first) > len(first[0]):  # the polytope of fewer dimensions is walked first
        pairs = _all_pairs(second.T, first.T)
        swapped = None if pairs is None else [(x, y) for y, x in pairs]
    else:
        swapped = _all_pairs(first, second)
    if swapped is not None:
        return Equilibria(_listed(game, swapped))
    paths = [_path(first, second, label) for label in range(sum(first.shape))]
    pure = [own.strategies for own in game.pure_equilibria()[:MOST_EQUILIBRIA]]
    return Equilibria(
        _listed(game, [*pure, *paths]),
        f"a game of {len(first)} x {len(first[0])} has too many vertices to walk; these are pure "
        "or were found along Lemke and Howson's paths, and there may be others",
    )


def support_enumeration(game: NormalFormGame, unequal: bool = True) -> Equilibria:
    """Return `extreme_equilibria`; without ``unequal``, those with supports of one size.

    In a non-degenerate game both are all equilibria.

    Raises
    ------
    UserError
        As `extreme_equilibria`.
    """
    found = extreme_equilibria(game)
    if unequal:
        return found
    sizes = [[np.count_nonzero(own) for own in one.strategies] for one in found]
    return Equilibria((one for one, (k, m) in zip(found, sizes, strict=True) if k == m), found.note)


@dataclass(frozen=True, eq=False)
class _Vertices:
    """Vertices of a best-reply polytope but the origin.

    ``shares`` (V, n) are mixtures, and ``tight`` (V, m + n) whether each action is a best
    reply (the other player's, m of them) or unused (one's own, n).
    """

    shares: Array
    tight: Mask


def _all_pairs(first: Whole, second: Whole) -> list[tuple[Array, Array]] | None:
    """Return all extreme equilibria, the first player having no more actions; None if too many."""
    columns = first.shape[1]
    of_rows = _walked(second.T)
    if of_rows is None:
        return None
    # What is best against no mixture is in no equilibrium.
    useful = np.flatnonzero(of_rows.tight[:, :columns].any(axis=0))
    of_columns = _walked(first[:, useful])
    if of_columns is None:
        return None
    loose_x = ~np.c_[of_rows.tight[:, columns:], of_rows.tight[:, useful]]
    loose_y = ~of_columns.tight
    pairs: list[tuple[Array, Array]] = []
    for x, loose in zip(of_rows.shares, loose_x, strict=True):
        for at in np.flatnonzero(~(loose_y & loose).any(axis=1)):
            y = np.zeros(columns)
            y[useful] = of_columns.shares[at]
            pairs.append((x, y))
        if len(pairs) > MOST_EQUILIBRIA:
            return None
    return pairs


def _walked(matrix: Whole) -> _Vertices | None:
    """Return the vertices of ``{y >= 0: matrix @ y <= 1}``; None beyond `MOST_ENTRIES`.

    Limits that differ by as good as nothing make every vertex simple [1]_, and bases that are
    the same vertex without that are one.
    """
    rows, count = matrix.shape
    start = _corner(matrix, [*range(rows)], [*range(rows, rows + count)])
    seen = {frozenset(start.basic)}
    waiting: list[tuple[Tableau, int, int] | Tableau] = [start]
    shares: dict[bytes, Array] = {}
    while waiting:
        if len(seen) * start.entries.size > MOST_ENTRIES:
            return None
        now = waiting.pop()
        basis = now if isinstance(now, Tableau) else now[0].pivoted(now[1], now[2])
        tight, own = _vertex(basis, rows, count)
        if own is not None:
            shares[tight.tobytes()] = own
        names = frozenset(basis.basic)
        for column, entering in enumerate(basis.free):
            row = basis.leaving(column)
            assert row is not None  # with payoffs above 0 the polytope is bounded
            neighbour = names - {basis.basic[row]} | {entering}
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append((basis, row, column))
    marks = np.array([np.frombuffer(key, dtype=np.bool_) for key in shares])
    return _Vertices(np.array([*shares.values()]), marks)


def _corner(matrix: Whole, slacks: list[int], names: list[int]) -> Tableau:
    """Return the basis at the origin of ``{y >= 0: matrix @ y <= 1}``."""
    return Tableau.create(matrix, np.ones(len(slacks), dtype=object), slacks, names)


def _vertex(basis: Tableau, rows: int, count: int) -> tuple[Mask, Array | None]:
    """Return which inequalities are tight, and the mixture; None at the origin."""
    tight = np.ones(rows + count, dtype=np.bool_)
    numbers = [0] * count
    for name, number in zip(basis.basic, basis.entries[:, -1], strict=True):
        tight[name] = number == 0
        if name >= rows:
            numbers[name - rows] = number
    return tight, _mixture(numbers) if any(numbers) else None


def _mixture(numbers: Sequence[int]) -> Array:
    total = sum(numbers)
    return np.array([number / total for number in numbers])


def _path(first: Whole, second: Whole, label: int) -> tuple[Array, Array]:
    """Return the equilibrium at the end of the path that drops a label, an action [2]_.

    The row player's actions are labels from 0 on, the column player's after them.
    """
    rows, columns = first.shape
    own, others = [*range(rows)], [*range(rows, rows + columns)]
    # Of either polytope a variable has the name of its label: an action unused, or a best reply.
    sides = [_corner(second.T, others, own), _corner(first, own, others)]
    at, entering = int(label >= rows), label
    while True:
        column = sides[at].free.index(entering)
        row = sides[at].leaving(column)
        assert row is not None  # as above
        entering = sides[at].basic[row]
        sides[at] = sides[at].pivoted(row, column)
        if entering == label:
            break
        at = 1 - at
    x = _mixture([sides[0].value(name) for name in range(rows)])
    return x, _mixture([sides[1].value(rows + name) for name in range(columns)])


def _listed(game: NormalFormGame, pairs: Sequence[Sequence[Array]]) -> Iterator[Equilibrium]:
    """Yield each pair of mixtures once, evaluated, in the order of their supports."""
    distinct = {tuple(own.tobytes() for own in pair): pair for pair in pairs}

    def order(pair: Sequence[Array]) -> tuple[object, ...]:
        supports = [tuple(np.flatnonzero(own).tolist()) for own in pair]
        return (*map(len, supports), *supports, *(own.tolist() for own in pair))

    for pair in sorted(distinct.values(), key=order):
        yield game.evaluated(pair)
