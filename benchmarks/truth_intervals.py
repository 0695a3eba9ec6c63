"""Whether intervals cover what they say: ``python benchmarks/truth_intervals.py``.

Every interval that a command prints is made by the code that prints it, again and again, from
replicates of something whose true value is known, at the number of replicates that the command
takes unless told otherwise. The table has how often the true value was covered, and how often
what hangs on the interval (somebody gains, an attack pays, all is settled) was said wrongly.

Synthetic replicates are normal unless a line says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import nan

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.intervals import share
from fedfm_sim.experiments.attack_result import AttackGame
from fedfm_sim.experiments.compare import MEASURES, Comparison
from fedfm_sim.experiments.design_result import Design
from fedfm_sim.experiments.federation_result import FederationGame
from fedfm_sim.games.deviation import deviation_test
from fedfm_sim.games.empirical import EmpiricalGame
from fedfm_sim.games.estimates import deterrence_ratio
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.symmetric import RoleSymmetricGame
from fedfm_sim.mechanisms.contribution import evaluate
from fedfm_sim.mechanisms.theory.deterrence import Deterrent
from fedfm_sim.mechanisms.theory.theft import theft_threshold
from fedfm_sim.scenarios.loader import load_scenario

#: What `equilibrium`, `design` and the deviations of `run` take unless told otherwise.
EQUILIBRIUM, DESIGN, ROUNDS = 5, 3, 3

#: An inspection game: its one equilibrium is mixed, 1/5 and 1/5, with payoffs 0 and -1.
INSPECTION = np.array([[[-8.0, 2.0], [0.0, 0.0]], [[-1.0, -5.0], [-1.0, 0.0]]])
MIXED = [np.array([0.2, 0.8]), np.array([0.2, 0.8])]


@dataclass(frozen=True)
class Line:
    """How often an interval covered the truth.

    Attributes
    ----------
    interval : str
        Which one, and of what.
    replicates : int
    stated : str
        Its level; "at least" where it is conservative by construction.
    covered : float
        Share of draws in which it held the true value.
    draws : int
    false_alarms : float
        Share of draws in which what hangs on it was said wrongly; NaN where nothing does.
    """

    interval: str
    replicates: int
    stated: str
    covered: float
    draws: int
    false_alarms: float = nan


#: Draws made of a generator: whether the truth was covered, and a false alarm raised.
Trial = Callable[[np.random.Generator], tuple[bool, bool | None]]


def repeated(interval: str, replicates: int, stated: str, draws: int, trial: Trial) -> Line:
    """Return the line of many independent draws."""
    found = [trial(np.random.default_rng([seed, replicates, 20])) for seed in range(draws)]
    alarms = [alarm for _, alarm in found if alarm is not None]
    covered = float(np.mean([covered for covered, _ in found]))
    return Line(
        interval, replicates, stated, covered, draws, float(np.mean(alarms)) if alarms else nan
    )


def covers(low: float, high: float, truth: float) -> bool:
    """Whether an interval holds a value, but for rounding."""
    return bool(low <= truth + 1e-12 and truth <= high + 1e-12)


def empirical(
    truth: Array, replicates: int, noise: float, rng: np.random.Generator
) -> EmpiricalGame:
    """Return a game measured with independent noise."""
    names = tuple(tuple(map(str, range(count))) for count in truth.shape[1:])
    return EmpiricalGame(truth + noise * rng.normal(size=(replicates, *truth.shape)), names)


def equilibrium_payoff(
    replicates: int, noise: float, rng: np.random.Generator
) -> tuple[bool, None]:
    """Cover 0, the first player's payoff in the inspection game's mixed equilibrium."""
    found = empirical(INSPECTION, replicates, noise, rng).solve()
    return len(found) == 1 and covers(found[0].low[0], found[0].high[0], 0.0), None


def equilibrium_regret(
    replicates: int, noise: float, rng: np.random.Generator
) -> tuple[bool, None]:
    """Cover what the strategies that were solved for truly leave to gain."""
    (found, *_) = empirical(INSPECTION, replicates, noise, rng).solve()
    regret = NormalFormGame(INSPECTION).evaluated(found.equilibrium.strategies).regret
    return covers(0.0, found.regret_high, regret), None


def exploitability(
    replicates: int, gains: Sequence[float], rng: np.random.Generator
) -> tuple[bool, bool]:
    """Cover the largest of the true gains; more is a false alarm."""
    rule = np.zeros((2, 1 + len(gains), 1))
    rule[0, 1:, 0] = gains
    found = empirical(rule, replicates, 1.0, rng).exploitability(
        [np.eye(1 + len(gains))[0], np.ones(1)], player=0
    )
    truth = max(0.0, *gains)
    return covers(found.low, found.high, truth), found.low > truth


def true_equilibrium(replicates: int, rng: np.random.Generator) -> tuple[bool, bool]:
    """Cover 0: nobody gains by leaving the inspection game's mixed equilibrium."""
    found = empirical(INSPECTION, replicates, 0.5, rng).exploitability(MIXED)
    return covers(found.low, found.high, 0.0), found.low > 0


def settled(replicates: int, rng: np.random.Generator) -> tuple[bool, bool]:
    """Leave a game of two equal actions, and four others, open."""
    rule = np.zeros((2, 6, 1))
    rule[0, 2:, 0] = -1.0
    wrong = empirical(rule, replicates, 0.5, rng).settled
    return not wrong, wrong


def ratio(replicates: int, fixed: bool, rng: np.random.Generator) -> tuple[bool, bool]:
    """Cover a cost of 3 over a benefit of 4; over one of 3, below 1 is a false alarm."""
    cost = np.full(replicates, 3.0) if fixed else rng.normal(3, 0.6, replicates)
    found = deterrence_ratio(cost, rng.normal(4, 1.0, replicates))
    even = deterrence_ratio(cost, rng.normal(3, 1.0, replicates))
    return covers(found.low, found.high, 0.75), even.high < 1


def attacks_that_pay(replicates: int, rng: np.random.Generator) -> tuple[bool, bool]:
    """Call none of thirty attacks paying, each of which brings just what it costs."""
    rows = [
        {"seed": seed, "attack": attack, "defence": rule, "cost": 3.0 * (attack != "contribute"),
         "benefit": rng.normal(3, 1) * (attack != "contribute")}
        for seed in range(replicates)
        for attack in ("contribute", "a", "b", "c", "d", "e")
        for rule in "uvwxyz"
    ]  # fmt: skip
    table = AttackGame(load_scenario("attack-defence-game"), pd.DataFrame(rows)).deterrence()
    return covers(*table.loc[0, ["low", "high"]].astype(float), 1.0), bool(table["pays"].any())


def federation(replicates: int, temptation: float, rng: np.random.Generator) -> FederationGame:
    """Return a game of four players who share two actions, the second of which is tempting."""

    def payoff(profile: Array, extra: Array) -> Array:
        return np.array([1.0, 1.0 + temptation - 0.5 * max(profile[1] - 1, 0)]) + extra

    def game() -> RoleSymmetricGame:
        return RoleSymmetricGame.from_function(
            ("honest",), (4,), (("contribute", "ride"),),
            lambda profile: payoff(profile, rng.normal(0, 0.2, 2)),
        )  # fmt: skip

    runs = pd.DataFrame({"seed": range(replicates)})
    return FederationGame(
        load_scenario("inspection-game"), runs, tuple(game() for _ in range(replicates))
    )


def federation_epsilon(
    replicates: int, temptation: float, rng: np.random.Generator
) -> tuple[bool, bool]:
    """Cover what one of four gains by riding free where the others don't."""
    found = federation(replicates, temptation, rng).epsilon_star(["contribute"])
    truth = max(0.0, temptation)
    return covers(found.low, found.high, truth), found.low > truth


def federation_payoff(replicates: int, rng: np.random.Generator) -> tuple[bool, None]:
    """Cover 1, what contributing pays, and so everybody gets in the equilibrium."""
    found = [
        own
        for own in federation(replicates, 0.5, rng).solve(np.random.default_rng(0))
        if (own.equilibrium.strategies[0] > 1e-6).all()
    ]
    return bool(found) and covers(found[0].low[0], found[0].high[0], 1.0), None


def deviations(rounds: int, gains: Sequence[float], rng: np.random.Generator) -> tuple[bool, bool]:
    """Cover the largest true gain of deviations by ten participants."""
    rows = [
        {"round": number, "participant": k % 10, "kind": "honest", "action": str(k // 10),
         "gain": rng.normal(gain, 0.5)}
        for number in range(rounds)
        for k, gain in enumerate(gains)
    ]  # fmt: skip
    found = deviation_test(pd.DataFrame(rows)).epsilon
    truth = max(0.0, *gains)
    return covers(found.low, found.high, truth), found.low > truth


def comparison(seeds: int, name: str, rng: np.random.Generator) -> tuple[bool, bool]:
    """Cover a measure's mean, and epsilon* over seeds of 50 deviations that cost 0.2."""
    runs = pd.DataFrame({"key": "1", "seed": range(seeds), **dict.fromkeys(MEASURES, 0.0)})
    runs["accuracy_after"], runs["epsilon_star"] = rng.normal(0.8, 0.02, seeds), 1.0
    tried = pd.DataFrame(
        {"key": "1", "seed": seed, "participant": k, "kind": "honest", "action": "a",
         "gain": rng.normal(-0.2, 0.3), "error": 0.3, "rounds": ROUNDS}
        for seed in range(seeds)
        for k in range(50)
    )  # fmt: skip
    low, high = Comparison("planted", ("key",), runs, tried).ends
    truth = {"accuracy_after": 0.8, "epsilon_star": 0.0}[name]
    return covers(low[name].item(), high[name].item(), truth), bool(low[name].item() > truth)


def new_seed(seeds: int, rng: np.random.Generator) -> tuple[bool, None]:
    """Deter on a new seed by the most that one of the measured seeds needs."""
    needed = rng.gamma(3.0, 0.1, seeds + 1)
    return bool(needed[-1] <= needed[:-1].max()), None


def theft(sales: int, rng: np.random.Generator) -> tuple[bool, None]:
    """Cover 0.25: gains of mean 2 (gamma), four of five sales traced, a fine of 10."""
    found = theft_threshold(rng.gamma(8, 0.25, sales), rng.random(sales) < 0.8, 10.0, rng)
    return covers(found.low, found.high, 0.25), None


def violations(instances: int, rng: np.random.Generator) -> tuple[bool, None]:
    """Cover the share of populations in which a property is violated, 3 %."""
    return covers(*share(int(rng.binomial(instances, 0.03)), instances), 0.03), None


def coalition_game(players: int, rng: np.random.Generator, kind: str) -> CoalitionGame:
    """Return a game as federations are: more data helps less and less, with some noise.

    "vote" is one of winning and losing coalitions, where a player is rarely pivotal.
    """
    weights = rng.uniform(0.1, 1, players)
    masks = np.arange(1 << players)
    part = (masks[:, None] >> np.arange(players) & 1) @ weights / weights.sum()
    noise = 0.02 * rng.normal(size=masks.size) * (masks > 0)
    worth = {"saturating": 1 - np.exp(-4.5 * part) + noise, "root": np.sqrt(part) + noise,
             "vote": (part > 0.5).astype(float)}[kind]  # fmt: skip
    return CoalitionGame.from_table(worth)


def contribution(method: str, players: int, budget: int, kind: str, games: int, draws: int) -> Line:
    """Return how often sampled values cover the exact ones, over games, players and draws."""
    exact, inside = "banzhaf" if method.startswith("banzhaf") else "shapley", []
    for number in range(games):
        game = coalition_game(players, np.random.default_rng(number), kind)
        truth = evaluate(game, exact).values
        for draw in range(draws):
            rng = np.random.default_rng([number, draw])
            ends = evaluate(game, method, budget=budget, rng=rng).intervals()
            assert ends is not None  # they are sampled
            inside.append((ends[0] <= truth + 1e-12) & (truth <= ends[1] + 1e-12))
    name = f"{method}, {players} players, {kind}"
    return Line(name, budget, "95 %", float(np.mean(inside)), games * draws)


def _games(draws: int) -> Iterator[Line]:
    for count in (3, EQUILIBRIUM, 10):
        many = partial(repeated, replicates=count, draws=draws)
        yield many(
            "equilibrium payoff", stated="95 %", trial=partial(equilibrium_payoff, count, 0.5)
        )
        yield many("equilibrium payoff, four times the noise", stated="95 %",
                   trial=partial(equilibrium_payoff, count, 2.0))  # fmt: skip
        yield many("regret of what was solved", stated="at least 95 %",
                   trial=partial(equilibrium_regret, count, 0.5))  # fmt: skip
        for name, gains in (
            ("exploitability, one attack gains 2", (2.0, -3.0, -3.0, -3.0, -3.0)),
            ("exploitability, five gain 2", (2.0,) * 5),
            ("exploitability, five gain 0", (0.0,) * 5),
        ):
            yield many(name, stated="at least 95 %", trial=partial(exploitability, count, gains))
        yield many("a true equilibrium is exploitable", stated="at least 95 %",
                   trial=partial(true_equilibrium, count))  # fmt: skip
        yield many(
            "settled, of two equal actions", stated="at least 97.5 %", trial=partial(settled, count)
        )
        yield many("deterrence ratio, of effort", stated="95 %", trial=partial(ratio, count, True))
        yield many("deterrence ratio, of fines", stated="95 %", trial=partial(ratio, count, False))
        yield many("epsilon* of a federation's game, 0.5", stated="95 %",
                   trial=partial(federation_epsilon, count, 0.5))  # fmt: skip
        yield many("epsilon* of a federation's game, 0", stated="at least 95 %",
                   trial=partial(federation_epsilon, count, 0.0))  # fmt: skip
    few = max(1, draws // 10)
    yield repeated("an attack pays, of 30", EQUILIBRIUM, "95 %", few,
                   partial(attacks_that_pay, EQUILIBRIUM))  # fmt: skip
    yield repeated("symmetric equilibrium payoff", EQUILIBRIUM, "95 %", few,
                   partial(federation_payoff, EQUILIBRIUM))  # fmt: skip


def _runs(draws: int) -> Iterator[Line]:
    least = "at least 95 %"
    for name, gains in (
        ("epsilon* of a run, all cost 0.2", (-0.2,) * 50),
        ("epsilon* of a run, all gain 0", (0.0,) * 50),
        ("epsilon* of a run, one gains 2", (2.0, *(-0.2,) * 49)),
    ):
        yield repeated(name, ROUNDS, least, draws // 2, partial(deviations, ROUNDS, gains))
    few = max(1, draws // 5)
    for name, stated in (("accuracy_after", "95 %"), ("epsilon_star", least)):
        yield repeated(f"compare: {name}", 3, stated, few, partial(comparison, 3, name))
    chance = _design(DESIGN).new_seed
    yield repeated("design: enough for a new seed", DESIGN,
                   f"{1 - chance:.0%}", draws, partial(new_seed, DESIGN))  # fmt: skip
    yield repeated("theft: watch rate that deters", 6, least, draws, partial(theft, 6))
    yield repeated("audit: share violated", 200, least, draws, partial(violations, 200))


def _design(seeds: int) -> Design:
    """Return a design on so many seeds; the rest of it does not matter."""
    scenario, none = load_scenario("backdoor-deterrence"), pd.DataFrame()
    measured = pd.DataFrame({"seed": range(seeds)})
    point = Deterrent(0.5, 10.0, 7.0, 0)
    return Design("budget", "scenario", scenario, point, 7.0, none, measured, none, none)


def _contributions(games: int, draws: int) -> Iterator[Line]:
    methods = ("permutation", "truncated", "gtg", "stratified", "kernel-shap", "banzhaf-sampled")
    for method in methods:
        for kind in ("saturating", "root", "vote"):
            yield contribution(method, 10, 200, kind, games, draws)
            if method != "stratified":  # which needs 41
                yield contribution(method, 8, 40, kind, games, draws)


def intervals(draws: int = 1000, games: int = 3) -> list[Line]:
    """Return a line for each interval.

    Parameters
    ----------
    draws : int
        Of each of the quick ones; the others take a part of it.
    games : int
        Coalition games of each kind.
    """
    per_game = max(2, draws // 50)
    return [*_games(draws), *_runs(draws), *_contributions(games, per_game)]


def table(lines: Sequence[Line]) -> pd.DataFrame:
    """Return interval, replicates, stated, covered, draws and false alarms."""
    return pd.DataFrame([asdict(line) for line in lines])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    shown = Table("interval", "replicates", "stated", "covered", "false alarms", "draws", box=None)
    for line in intervals(parser.parse_args().draws):
        alarms = "" if np.isnan(line.false_alarms) else f"{line.false_alarms:.1%}"
        cells = str(line.replicates), line.stated, f"{line.covered:.1%}", alarms, str(line.draws)
        shown.add_row(line.interval, *cells)
    Console(width=110).print(shown)


if __name__ == "__main__":
    main()
