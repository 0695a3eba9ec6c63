"""All Nash equilibria of a bimatrix game, by enumerating supports.

nashpy enumerates supports too, but tests signs before its tolerance and so misses
equilibria (4 of 5 on one 4 x 4 game). Here all pairs of supports of a size are solved in one
batch of linear systems, and every candidate is kept or dropped by its regret.

References
----------
.. [1] N. Nisan et al. (eds.), "Algorithmic Game Theory", Cambridge University Press,
   2007, algorithm 3.4.
.. [2] R. Porter, E. Nudelman and Y. Shoham, "Simple search methods for finding a Nash
   equilibrium", Games and Economic Behavior 63(2), 2008, pp. 642-662.
"""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame

#: Pairs of supports that are looked through: 12 x 12 has 2.7 million of equal size.
MOST_PAIRS = 5_000_000
#: Probabilities and regrets below this, over the range of payoffs, are rounding.
TOLERANCE = 1e-9
#: Systems solved at once.
BATCH = 20_000


def support_enumeration(game: NormalFormGame, unequal: bool = False) -> tuple[Equilibrium, ...]:
    """Return the equilibria of a bimatrix game [1]_.

    A non-degenerate game has finitely many, all with supports of equal size, and all
    are returned. A degenerate one may have a continuum, of which extreme points are
    returned; ``unequal`` looks through supports of different sizes too, by least squares.

    Raises
    ------
    UserError
        When the game has not two players, or more than `MOST_PAIRS` pairs of supports.
    """
    if game.players != 2:
        raise UserError(f"support enumeration is for two players, and this game has {game.players}")
    rows, columns = game.payoffs.shape[1:]
    sizes = [(k, m) for k in range(1, rows + 1) for m in range(1, columns + 1) if k == m or unequal]
    pairs = sum(comb(rows, k) * comb(columns, m) for k, m in sizes)
    if pairs > MOST_PAIRS:
        raise UserError(f"{pairs} pairs of supports are too many; at most {MOST_PAIRS}")
    found: list[Equilibrium] = []
    for k, m in sizes:
        batch = []
        for pair in product(combinations(range(rows), k), combinations(range(columns), m)):
            batch.append(pair)
            if len(batch) == BATCH:
                _add(game, batch, found)
                batch = []
        if batch:
            _add(game, batch, found)
    return tuple(found)


def _add(
    game: NormalFormGame,
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]],
    found: list[Equilibrium],
) -> None:
    # In units of each player's own range, so that a small determinant means dependence.
    spans = np.array([np.ptp(own) or 1.0 for own in game.payoffs])
    first, second = (own / span for own, span in zip(game.payoffs, spans, strict=True))
    left = np.array([pair[0] for pair in pairs])
    right = np.array([pair[1] for pair in pairs])
    # The column player's mixture makes the rows in the support equal, and the other way.
    y = _indifferent(first[left[:, :, None], right[:, None, :]])
    x = _indifferent(second[left[:, :, None], right[:, None, :]].transpose(0, 2, 1))
    sound = (y >= -TOLERANCE).all(1) & (x >= -TOLERANCE).all(1)
    for at in np.flatnonzero(sound):
        strategies = np.zeros(game.payoffs.shape[1]), np.zeros(game.payoffs.shape[2])
        for whole, part, support in (
            (strategies[0], x[at], left[at]),
            (strategies[1], y[at], right[at]),
        ):
            own = np.maximum(part, 0)
            whole[support] = own / own.sum()
        candidate = game.evaluated(strategies)
        stable = (game.regrets(strategies) <= 10 * TOLERANCE * spans).all()
        if stable and not _known(candidate, found):
            found.append(candidate)


def _known(candidate: Equilibrium, found: list[Equilibrium]) -> bool:
    return any(
        all(
            np.abs(a - b).max() < 1e-7
            for a, b in zip(candidate.strategies, other.strategies, strict=True)
        )
        for other in found
    )


def _indifferent(payoffs: Array) -> Array:
    """Return mixtures (p, m) under which the rows of each (k, m) matrix pay the same.

    NaN where there is none or no single one.
    """
    count, rows, columns = payoffs.shape
    system = np.zeros((count, rows + 1, columns + 1))
    system[:, :rows, :columns] = payoffs
    system[:, :rows, columns] = -1
    system[:, rows, :columns] = 1
    target = np.zeros((count, rows + 1, 1))
    target[:, rows] = 1
    if rows == columns:
        singular = np.abs(np.linalg.det(system)) < 1e-14
        system[singular] = np.eye(rows + 1)
        solved = np.linalg.solve(system, target)[:, :columns, 0]
        solved[singular] = np.nan
        return np.asarray(solved)
    solved = np.linalg.pinv(system) @ target
    wrong = np.abs(system @ solved - target).max((1, 2)) > 1e-9 * max(1, np.abs(payoffs).max())
    solved[wrong] = np.nan
    return np.asarray(solved[:, :columns, 0])
