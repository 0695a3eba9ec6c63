"""Equilibria against an exact solver, and of real training: ``python benchmarks/games.py``.

Random bimatrix games are solved in floats here and, where pygambit is installed (it is no
dependency), in rationals there; nashpy is counted beside. Then the game of attackers
and server is trained, solved, and trained again with other seeds.
"""

from __future__ import annotations

import argparse
import warnings
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import nashpy
import numpy as np
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.core.random import Streams
from fedfm_sim.experiments.attack_game import attack_game
from fedfm_sim.games import NormalFormGame, support_enumeration

console = Console(width=130)
SIZES = (3, 4, 5, 6)


def exact_count(rows: list[list[int]], columns: list[list[int]]) -> int | None:
    """Return how many extreme equilibria pygambit finds in rationals; None without it."""
    try:
        import pygambit
    except ImportError:
        return None
    ratio = [
        np.array([[Fraction(v) for v in row] for row in part], dtype=object)
        for part in (rows, columns)
    ]
    game = pygambit.Game.from_arrays(*ratio)
    return len(pygambit.nash.enummixed_solve(game, rational=True).equilibria)


def random_games(games: int) -> None:
    """Print how many equilibria are found in random games, by solver."""
    rng = np.random.default_rng(2026)
    ours, theirs, exact, worst, seconds, different = 0, 0, 0, 0.0, 0.0, 0
    known = True
    for number in range(games):
        n = SIZES[number % len(SIZES)]
        first, second = rng.integers(0, 10**6, (2, n, n))
        game = NormalFormGame.from_bimatrix(first, second)
        started = perf_counter()
        found = support_enumeration(game)
        seconds += perf_counter() - started
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs += sum(1 for _ in nashpy.Game(first, second).support_enumeration())
        count = exact_count(first.tolist(), second.tolist())
        known = known and count is not None
        if count is not None:
            exact += count
            different += count != len(found)
        ours += len(found)
        worst = max(worst, max(own.regret for own in found) / game.scale)
    console.print(
        f"{games} random games, n = 3 to 6: {ours} equilibria in {seconds:.1f} s, largest regret "
        f"{worst:.0e} of the payoffs' range; nashpy finds {theirs}"
    )
    if known:
        console.print(f"pygambit, in rationals: {exact}; games with another count: {different}")
    else:
        console.print("pygambit is not installed: no exact count")


def attackers_and_server(seeds: list[range], jobs: int) -> None:
    """Print the equilibria of the trained game, once for each set of seeds."""
    scenario = fs.load_scenario("attack-defence-game")
    solved = []
    for own in seeds:
        started = perf_counter()
        with TemporaryDirectory() as folder:
            played = attack_game(scenario, own, out=Path(folder), jobs=jobs)
        found = played.game.solve(Streams(own[0], scenario.name).generator("bootstrap"))
        solved.append(found)
        rows, columns = played.game.actions
        console.print(
            f"{len(rows)} x {len(columns)} x {len(own)} trainings from seed {own[0]} on: "
            f"{perf_counter() - started:.0f} s"
        )
        for one in found:
            play = [
                ", ".join(f"{a} {p:.0%}" for a, p in zip(names, s, strict=True) if p > 1e-6)
                for names, s in zip((rows, columns), one.equilibrium.strategies, strict=True)
            ]
            paid = ", ".join(
                f"{p:.2f} ({a:.2f} to {b:.2f})"
                for p, a, b in zip(one.equilibrium.payoffs, one.low, one.high, strict=True)
            )
            console.print(f"  {play[0]} against {play[1]}: {paid}")
    if len(solved) > 1:
        agree = any(a.covers(b) for a in solved[0] for b in solved[1])
        console.print(f"intervals of the two sets of seeds overlap: {agree}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    random_games(arguments.games)
    count = arguments.replicates
    attackers_and_server([range(count), range(count, 2 * count)], arguments.jobs)


if __name__ == "__main__":
    main()
