"""Are all equilibria found, and is each one: ``python benchmarks/truth_equilibria.py``.

Random, degenerate and ill-conditioned games of two players are solved here and by a peer in
rationals: pygambit's ``enummixed_solve`` where it can be imported (it is no dependency), or
else the enumeration of all bases in fractions. Equilibria are compared one by one. Of games of
three players pygambit's ``enumpoly_solve`` gives all; without it, regrets are all there is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fedfm_sim.core.arrays import Array
from fedfm_sim.games import NormalFormGame, solve
from fedfm_sim.games.nash_reference import extreme_equilibria_reference

#: Mixtures that differ by less are the same.
CLOSE = 1e-9
#: Games of each kind.
GAMES = 60

#: Von Stengel's game of 75 equilibria (Discrete and Computational Geometry 21, 1999).
VON_STENGEL = np.array(
    [
        [
            [9504, -660, 19976, -20526, 1776, -8976],
            [-111771, 31680, -130944, 168124, -8514, 52764],
            [397584, -113850, 451176, -586476, 29216, -178761],
            [171204, -45936, 208626, -263076, 14124, -84436],
            [1303104, -453420, 1227336, -1718376, 72336, -461736],
            [737154, -227040, 774576, -1039236, 48081, -300036],
        ],
        [
            [72336, 48081, 29216, 14124, 1776, -8514],
            [-461736, -300036, -178761, -84436, -8976, 52764],
            [1227336, 774576, 451176, 208626, 19976, -130944],
            [-1718376, -1039236, -586476, -263076, -20526, 168124],
            [1303104, 737154, 397584, 171204, 9504, -111771],
            [-453420, -227040, -113850, -45936, -660, 31680],
        ],
    ],
    dtype=float,
)


def random(rng: np.random.Generator) -> Array:
    """Return normal payoffs of 2 to 5 actions."""
    return rng.normal(size=(2, *rng.integers(2, 6, 2)))


def degenerate(rng: np.random.Generator) -> Array:
    """Return payoffs from 0 to 2, which tie often."""
    return rng.integers(0, 3, (2, *rng.integers(2, 5, 2))).astype(float)


def outlier(rng: np.random.Generator) -> Array:
    """Return normal payoffs, and one of -1e3 to -1e8."""
    payoffs = rng.normal(size=(2, 4, 4))
    payoffs[tuple(rng.integers(0, own) for own in payoffs.shape)] = -(10.0 ** rng.integers(3, 9))
    return payoffs


def ill_conditioned(rng: np.random.Generator) -> Array:
    """Return payoffs whose last rows and columns are all but mixtures of the others."""
    first, second = rng.normal(size=(2, 4, 4))
    near = 10.0 ** -rng.integers(4, 13)
    first[3] = rng.dirichlet(np.ones(3)) @ first[:3] + near * rng.normal(size=4)
    second[:, 3] = second[:, :3] @ rng.dirichlet(np.ones(3)) + near * rng.normal(size=4)
    return np.stack([first, second])


def other_money(rng: np.random.Generator) -> Array:
    """Return games of whole payoffs in units of 1e-9 to 1e15, each player's its own."""
    payoffs = degenerate(rng)
    return payoffs * 10.0 ** rng.integers(-9, 16, 2)[:, None, None]


TWO_PLAYERS: dict[str, Callable[[np.random.Generator], Array]] = {
    "random": random,
    "degenerate": degenerate,
    "one outlying payoff": outlier,
    "ill-conditioned": ill_conditioned,
    "other units of money": other_money,
    "von Stengel's 6 x 6": lambda _: VON_STENGEL,
}


def three_players(rng: np.random.Generator) -> Array:
    """Return normal payoffs of three players with two actions, or three."""
    actions = int(rng.integers(2, 4)) if rng.random() < 0.2 else 2
    return rng.normal(size=(3, actions, 2, 2))


def pygambit() -> Any:
    """Return pygambit, or None where it cannot be imported."""
    try:
        return import_module("pygambit")
    except ImportError:
        return None


def peer(payoffs: Array, gambit: Any) -> list[Array]:
    """Return the peer's equilibria of a game, each as all players' mixtures side by side."""
    if gambit is None:
        found = extreme_equilibria_reference(NormalFormGame(payoffs))
        return [np.array([float(p) for own in pair for p in own]) for pair in found]
    # Over their largest, exactly: given 2e9 and more, pygambit 16.7 finds no equilibrium.
    exact = []
    for own in payoffs:
        largest = Fraction(float(np.abs(own).max()) or 1.0)
        ratios = [Fraction(v) / largest for v in own.ravel().tolist()]
        exact.append(
            np.array([gambit.Rational(v.numerator, v.denominator) for v in ratios], dtype=object)
        )
    game = gambit.Game.from_arrays(*(own.reshape(payoffs.shape[1:]) for own in exact))
    solver = gambit.nash.enummixed_solve if len(payoffs) == 2 else gambit.nash.enumpoly_solve
    found: list[Array] = []
    for one in solver(game).equilibria:
        mixtures = [float(one[s]) for player in game.players for s in player.strategies]
        if unmatched([np.array(mixtures)], found, CLOSE):
            found.append(np.array(mixtures))
    return found


def unmatched(ours: list[Array], theirs: list[Array], close: float) -> int:
    """Return how many equilibria of one list are not in the other."""
    return sum(not any(np.abs(a - b).max() < close for b in theirs) for a in ours)


def compared(kind: str, games: Iterator[Array], gambit: Any) -> dict[str, object]:
    """Return the table's row of one kind of games."""
    row: dict[str, Any] = {"kind": kind, "games": 0, "equilibria": 0, "peer's": 0, "differing": 0}
    worst = 0.0
    for payoffs in games:
        game = NormalFormGame(payoffs)
        found = solve(game)
        ours = [np.concatenate(own.strategies) for own in found]
        row["games"] += 1
        row["equilibria"] += len(ours)
        for own in found:
            worst = max(worst, float((game.regrets(own.strategies) / game.units).max()))
        if game.players == 2 or gambit is not None:
            theirs = peer(payoffs, gambit)
            row["peer's"] += len(theirs)
            if game.players == 2:
                wrong = unmatched(theirs, ours, CLOSE) + unmatched(ours, theirs, CLOSE)
            else:  # one mixed equilibrium or all pure ones; the peer finds none now and then
                wrong = unmatched(ours, theirs, 1e-5) if theirs else not ours
            row["differing"] += bool(wrong)
    return {**row, "largest relative regret": worst}


def equilibria_table(games: int = GAMES, seed: int = 0) -> pd.DataFrame:
    """Return how equilibria found compare with a peer's, one row for each kind of games.

    Columns: the kind, the number of games, of equilibria found, of the peer's, of games in
    which the two differ, and the largest regret over what a wrong action costs.
    """
    gambit, rows = pygambit(), []
    kinds = {**TWO_PLAYERS, "three players": three_players}
    for number, (kind, draw) in enumerate(track(kinds.items(), "equilibria", transient=True)):
        rng = np.random.default_rng([seed, number])
        count = 1 if kind.startswith("von") else games
        if kind.startswith("von") and gambit is None:
            rows.append(compared(kind, iter([]), None) | _published())
        else:
            rows.append(compared(kind, (draw(rng) for _ in range(count)), gambit))
    return pd.DataFrame(rows)


def _published() -> dict[str, object]:
    """Return the row of von Stengel's game, of which 75 equilibria are published."""
    game = NormalFormGame(VON_STENGEL)
    found = solve(game)
    regret = max(float((game.regrets(own.strategies) / game.units).max()) for own in found)
    return {"games": 1, "equilibria": len(found), "peer's": 75, "differing": int(len(found) != 75),
            "largest relative regret": regret}  # fmt: skip


def main() -> None:
    table = equilibria_table(int(sys.argv[1]) if len(sys.argv) > 1 else GAMES)
    name = "pygambit, in rationals" if pygambit() else "all bases, in fractions"
    shown = Table(title=f"equilibria, compared with {name}")
    for column in table:
        shown.add_column(str(column), justify="left" if column == "kind" else "right")
    for row in table.itertuples(index=False):
        shown.add_row(*(f"{v:.0e}" if isinstance(v, float) else str(v) for v in row))
    Console(width=110).print(shown)


if __name__ == "__main__":
    main()
