"""A million participants against a loop over Mesa agents: ``python benchmarks/population.py``.

Both play the same rule on the same surface, and leave the same bits behind; the ratio is
of one run. Then the cost by participants, and the catalogue's scenario as a user runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import mesa
import numpy as np
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.core.random import Streams
from fedfm_sim.mechanisms.reputation import AUDIT_EVIDENCE, FADING
from fedfm_sim.scenarios.outcomes import SHIPPED
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import Measurements
from fedfm_sim.simulation.population.arrays import Population
from fedfm_sim.simulation.population.clients import ScalarPopulation
from fedfm_sim.simulation.population.faced import Faced

console = Console(width=120)


class PlainClient(mesa.Agent):
    """A participant as one would write it first: its numbers are its own attributes."""

    def __init__(self, model: PlainModel, source: Population, k: int) -> None:
        super().__init__(model)
        self.index, count = k, len(source.actions)
        self.units, self.cost, self.burden = (
            [float(own[a, k]) for a in range(count)]
            for own in (source.units, source.cost, source.burden)
        )
        self.regrets = [0.0] * count
        self.positive = self.negative = self.account = self.utility = 0.0
        self.action = 0

    def choose(self) -> None:
        weights = [max(own, 0.0) for own in self.regrets]
        total = sum(weights)
        if total == 0:
            weights, total = [1.0] * len(weights), float(len(weights))
        level, passed, self.action = self.model.choice[self.index] * total, 0.0, 0
        for weight in weights[:-1]:
            passed += weight
            self.action += passed <= level

    def play(self) -> None:
        faced, prices = self.model.faced, self.model.prices
        audit, played = self.model.audit[self.index], self.action
        utilities, moneys = [], []
        for a, units in enumerate(self.units):
            caught = audit < faced.conviction[a]
            money = 0.0 if caught else faced.price * units
            money += faced.proceeds[a]
            money -= faced.fine if caught else 0.0
            money -= self.cost[a]
            moneys.append(money)
            utility = money - prices.privacy * faced.leakage[a]
            utilities.append(utility - prices.efficiency * self.burden[a])
        for a, utility in enumerate(utilities):
            self.regrets[a] += utility - utilities[played]
        audited, convicted = audit < faced.audit_rate, audit < faced.conviction[played]
        trust = (self.positive + 1.0) / (self.positive + self.negative + 2.0)
        sound = 0.0 if convicted else audited * AUDIT_EVIDENCE + 1.0
        self.positive = FADING * self.positive + sound
        self.negative = FADING * self.negative + convicted * AUDIT_EVIDENCE
        self.account += moneys[played]
        self.utility = moneys[played] + prices.reputation * trust
        self.utility -= prices.privacy * faced.leakage[played]
        self.utility -= prices.efficiency * self.burden[played]


class PlainModel(mesa.Model):
    """The plain loop over Mesa agents."""

    def __init__(self, source: Population) -> None:
        super().__init__(rng=0)
        self.source, self.prices, self.round = source, source.scenario.prices, 0
        self.clients = [PlainClient(self, source, k) for k in range(source.size)]

    def play_round(self, source: MeasuredOutcomes) -> None:
        draw = self.source.streams.generator
        self.choice = draw("choice", self.round).random(self.source.size).tolist()
        self.audit = draw("audit", self.round).random(self.source.size).tolist()
        self.agents.do("choose")
        counts = np.bincount([own.action for own in self.clients], minlength=len(source.actions))
        self.faced = Faced.at(self.source.scenario, source.outcome(counts / self.source.size))
        self.agents.do("play")
        self.round += 1


def population(size: int, table: Measurements) -> Population:
    scenario = fs.load_scenario("million-clients", [f"participants.count={size}"])
    return Population(scenario, table.actions, table.workload, Streams(0, scenario.name))


def seconds(
    one: Population | ScalarPopulation | PlainModel, source: MeasuredOutcomes, rounds: int
) -> float:
    """Return the seconds of some rounds after a first one, in which memory is touched."""
    one.play_round(source)
    started = perf_counter()
    for _ in range(rounds):
        one.play_round(source)
    return perf_counter() - started


def against_mesa(source: MeasuredOutcomes, agents: int, size: int, rounds: int) -> None:
    """Print participant-rounds a second of the arrays and of both loops, and the ratios."""
    slow, check = population(agents, source.table), population(agents, source.table)
    plain = PlainModel(population(agents, source.table))
    own = agents * rounds / seconds(plain, source, rounds)
    views = agents * rounds / seconds(ScalarPopulation(slow), source, rounds)
    seconds(check, source, rounds)
    names = ("regrets", "account", "utility", "trust", "action")
    same = all(np.array_equal(getattr(slow, name), getattr(check, name)) for name in names)
    same &= [own.account for own in plain.clients] == check.account.tolist()
    fast = size * rounds / seconds(population(size, source.table), source, rounds)
    console.print(
        f"arrays, {size} participants: {fast / 1e6:.1f} million participant-rounds a second"
    )
    for what, loop in (("plain Mesa agents", own), ("Mesa agents as views of the arrays", views)):
        console.print(
            f"{what}, {agents}: {loop / 1e6:.3f} million; the arrays {fast / loop:.0f} times that"
        )
    console.print(f"all bit-equal after {rounds + 1} rounds: {same}")


def as_a_user_runs_it() -> None:
    """Print wall time and peak memory of the command."""
    command = [sys.executable, "-m", "fedfm_sim", "run", "million-clients", "--json"]
    with TemporaryDirectory() as folder:
        started = perf_counter()
        done = subprocess.run(
            [*command, "--out", str(Path(folder) / "run")],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    elapsed = perf_counter() - started
    summary = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    console.print(
        f"fedfm-sim run million-clients: {summary['participants']} participants, "
        f"{summary['rounds']} rounds in {elapsed:.1f} s, peak {peak:.2f} GiB, "
        f"{summary['participants'] * summary['rounds'] / elapsed / 1e6:.1f} million "
        f"participant-rounds a second; relative money error {summary['money_error']:.0e}"
    )
    shares = ", ".join(f"{name} {share:.1%}" for name, share in summary["shares"].items())
    console.print(f"  in the last round: {shares}; accuracy {summary['accuracy_after']:.1%}")


def report(agents: int, rounds: int) -> None:
    """Print all figures."""
    source = MeasuredOutcomes.fit(Measurements.load(SHIPPED / "million-clients.parquet"))
    against_mesa(source, agents, 1_000_000, rounds)
    for size in (10**4, 10**5, 10**6):
        spent = seconds(population(size, source.table), source, rounds)
        each = spent / rounds
        console.print(
            f"{size:>9} participants: {each:.4f} s a round, {1e9 * each / size:.0f} ns each"
        )
    as_a_user_runs_it()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    report(arguments.agents, arguments.rounds)


if __name__ == "__main__":
    main()
