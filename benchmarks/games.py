"""Games, audits, designs and a million clients: ``python benchmarks/games.py``.

Random bimatrix games are solved here and, where pygambit is installed (it is no
dependency), in rationals there; nashpy is counted beside. Mechanisms with a planted flaw are
audited. A million clients play against a loop over Mesa agents. Then real training: the
game of attackers and server, twice with other seeds; the games of whole federations; and
sanctions against a backdoor, designed and tried out. A quarter of an hour on two cores in all; name
parts to run only those.
"""

from __future__ import annotations

import argparse
import warnings
from fractions import Fraction
from tempfile import TemporaryDirectory
from time import perf_counter

import nashpy
import numpy as np
import population
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.core.arrays import Array
from fedfm_sim.core.random import Streams
from fedfm_sim.experiments.attack_game import attack_game
from fedfm_sim.games import NormalFormGame, support_enumeration
from fedfm_sim.games.empirical import Intervals
from fedfm_sim.mechanisms import (
    Allocation,
    Announcement,
    Delivery,
    Offers,
    ProportionalShare,
    SecondPriceAuction,
)
from fedfm_sim.mechanisms.rules.sharing import PaidAfterwards

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


def show(actions: tuple[tuple[str, ...], ...], one: Intervals) -> None:
    """Print an equilibrium and its intervals."""
    play = " against ".join(
        ", ".join(f"{a} {p:.0%}" for a, p in zip(names, shares, strict=True) if p > 1e-6)
        for names, shares in zip(actions, one.equilibrium.strategies, strict=True)
    )
    paid = ", ".join(
        f"{p:.2f} ({a:.2f} to {b:.2f})"
        for p, a, b in zip(one.equilibrium.payoffs, one.low, one.high, strict=True)
    )
    console.print(f"  {play}: {paid}; regret {one.equilibrium.regret:.0e}")


def attackers_and_server(seeds: list[range], jobs: int) -> None:
    """Print the equilibria of the trained game, once for each set of seeds."""
    scenario = fs.load_scenario("attack-defence-game")
    solved = []
    for own in seeds:
        started = perf_counter()
        with TemporaryDirectory() as folder:
            played = attack_game(scenario, own, workshop=fs.Workshop.at(folder, jobs=jobs))
        rng = Streams(own[0], scenario.name).generator("bootstrap")
        found = played.solve(rng)
        solved.append(found)
        rows, columns = played.actions
        console.print(
            f"{len(rows)} x {len(columns)} x {len(own)} trainings from seed {own[0]} on: "
            f"{perf_counter() - started:.0f} s"
        )
        for one in found:
            show((rows, columns), one)
        for _, row in played.exploitability(rng).iterrows():
            console.print("  alone, {defence} leaves {attack} {gain:.2f} ({low:.2f} to {high:.2f}) "
                          "to gain and the server {server:.2f}".format(**row))  # fmt: skip
        ratios = played.deterrence(rng)
        console.print(
            f"  deterrence ratio below 1 within its interval: {int((ratios['high'] < 1).sum())} of "
            f"{len(ratios)} pairs of attack and rule"
        )
    if len(solved) > 1:
        agree = any(a.covers(b) for a in solved[0] for b in solved[1])
        console.print(f"intervals of the two sets of seeds overlap: {agree}")


class PaysOwnAsk(SecondPriceAuction):
    """A second-price auction made untruthful: half of the pay is the own ask."""

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        fair = super().allocate(offers, announcement)
        return Allocation(fair.selected, (fair.promised + offers.asks * fair.selected) / 2)


class Leaks(ProportionalShare):
    """A budget that leaks: a tenth more is paid than there is."""

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        return 1.1 * super().pay(allocation, delivery)


class ByHeads(PaidAfterwards):
    """A share that rewards Sybils: 12 money, equally by all who work."""

    properties = ProportionalShare.properties

    def pay(self, allocation: Allocation, delivery: Delivery) -> Array:
        heads = np.asarray(allocation.selected, dtype=np.float64)
        return np.asarray(12.0 * heads / max(heads.sum(), 1.0))


def audits(_: int) -> None:
    """Print whether each planted flaw is found, and in which instance it is worst."""
    planted = {
        "incentive compatibility": PaysOwnAsk(winners=2),
        "budget balance": Leaks(budget=7.0),
        "Sybil-proofness": ByHeads(),
    }
    for name, mechanism in planted.items():
        started = perf_counter()
        found = fs.mechanisms.audit(mechanism, instances=100, properties=[name]).finding(name)
        console.print(
            f"{type(mechanism).__doc__} {found.verdict} in {found.share_violated:.0%} of "
            f"{found.instances} instances, {perf_counter() - started:.0f} s; {found.describe()}"
        )


def federations(jobs: int) -> None:
    """Print the equilibria of the scenarios with a [game]."""
    for name in ("inspection-game", "reporting-game", "collusion"):
        scenario, started = fs.load_scenario(name), perf_counter()
        game = fs.federation_game(scenario, range(3), fs.Workshop.at(jobs=jobs))
        console.print(f"{name}: {len(game.runs)} runs in {perf_counter() - started:.0f} s")
        rng = Streams(0, name).generator("bootstrap")
        found = game.solve(rng)
        for one in found:
            show(game.actions, one)
        best, worst = game.anarchy([one.equilibrium for one in found])
        honest = [names[0] for names in game.actions]
        console.print(
            f"  epsilon* of {' / '.join(honest)}: {game.epsilon_star(honest, rng)}; welfare of the "
            f"players {best:.2f} at best, {worst:.2f} in the worst equilibrium; on the front: "
            f"{int(game.front()['best'].sum())} of {len(game.front())} profiles"
        )


def deterrence(jobs: int) -> None:
    """Print the designed sanctions, and what learning participants do there and at 80 %."""
    started = perf_counter()
    made = fs.design(fs.load_scenario("backdoor-deterrence"), workshop=fs.Workshop.at(jobs=jobs))
    point = made.deterrent
    console.print(
        f"backdoor-deterrence: audit rate {point.rate:.3f}, fine {point.fine:.2f}, the server "
        f"spends {made.cost:.2f} a round; {len(made.temptations)} deviations measured, "
        f"{perf_counter() - started:.0f} s"
    )
    console.print(f"  binding: {made.binding}")
    ratios = made.ratios(Streams(0, made.scenario.name).generator("bootstrap"))
    for _, row in ratios[ratios["action"] == "backdoor"].iterrows():
        console.print("  while the malicious {path}: sanction over benefit of a backdoor "
                      "{ratio:.2f} ({low:.2f} to {high:.2f})".format(**row))  # fmt: skip
    for _, row in made.trials.iterrows():
        console.print(
            f"  {row['part']:.0%} of the audits, {row['policy']}, seed {row['seed']}: "
            f"{row['honest']:.0%} of the last third's rounds are honest; {row['tempted']} "
            "measured deviations gain"
        )


def clients(_: int) -> None:
    """Print the population's speed, memory and outcome."""
    population.report(agents=20_000, rounds=5)


def bimatrix(_: int) -> None:
    """Print the counts of 200 random games."""
    random_games(200)


def trained(jobs: int) -> None:
    """Print the game of attackers and server, for two sets of five seeds."""
    attackers_and_server([range(5), range(5, 10)], jobs)


PARTS = {
    "bimatrix": bimatrix,
    "audits": audits,
    "clients": clients,
    "trained": trained,
    "federations": federations,
    "deterrence": deterrence,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless named")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments.jobs)


if __name__ == "__main__":
    main()
