"""The game of whole federations: kinds of participants and the server, every profile trained.

A scenario's ``[game]`` says which kinds choose among which actions, and which rules the
server has. Every profile is a run of its own; a kind of many participants is reduced to a
few players so that deviations stay those of one participant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.pareto import pareto_front
from fedfm_sim.experiments.batch import Finished, Plan, run_all
from fedfm_sim.games.empirical import EmpiricalGame, Intervals, intervals
from fedfm_sim.games.estimates import RESAMPLES, Estimate
from fedfm_sim.games.normal_form import Equilibrium
from fedfm_sim.games.reduction import Reduction, deviation_preserving
from fedfm_sim.games.symmetric import RoleSymmetricGame
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario

Progress = Callable[[int, int], None]

#: The role of the operator, who has one player.
SERVER = "server"

#: Resamples of symmetric equilibria, which are searched for and not solved.
SEARCHED = 100


@dataclass(frozen=True, eq=False)
class FederationGame:
    """The reduced game and the runs it was measured on.

    Attributes
    ----------
    runs : DataFrame
        One row per run: ``rule``, ``profile`` (counts in words), ``seed``, and per round, money:
        ``server``'s payoff, total ``utility`` of the participants (Eq. 12) and their total
        ``cost``; with ``accuracy`` and ``attack_success`` at the end.
    replicates : tuple of RoleSymmetricGame
        One for each seed; payoffs are means over a kind's participants and rounds.
    """

    runs: pd.DataFrame
    replicates: tuple[RoleSymmetricGame, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The kinds that choose, and the server where it does."""
        return self.replicates[0].roles

    @property
    def actions(self) -> tuple[tuple[str, ...], ...]:
        """What each role chooses from."""
        return self.replicates[0].actions

    @cached_property
    def game(self) -> RoleSymmetricGame:
        """The game of mean payoffs."""
        return self._mean(np.arange(len(self.replicates)))

    @property
    def one_each(self) -> bool:
        """Whether every role moves as one player: then it is a game in normal form."""
        return all(count == 1 for count in self.game.players)

    @cached_property
    def empirical(self) -> EmpiricalGame:
        """The game of all players in normal form, with its replicates."""
        tensors = [own.expanded() for own in self.replicates]
        return EmpiricalGame(np.stack([own.payoffs for own in tensors]), tensors[0].actions)

    def solve(self, rng: np.random.Generator) -> tuple[Intervals, ...]:
        """Return the equilibria with bootstrap intervals over seeds; strategies by role.

        Where every role is one player, all that `fedfm_sim.games.solve` finds; else
        those in which players of a role play alike.
        """
        if self.one_each:
            return self.empirical.solve(rng)
        count = len(self.replicates)
        means = [self._mean(rng.integers(0, count, count)) for _ in range(SEARCHED)]
        found = [mean.symmetric_equilibria(rng, starts=4) for mean in means]
        return tuple(
            intervals(own, [mean.regret(np.concatenate(own.strategies)) for mean in means], found)
            for own in self.game.symmetric_equilibria(rng)
        )

    def epsilon_star(self, honest: Sequence[str], rng: np.random.Generator) -> Estimate:
        """Return the regret of the profile in which each role plays this action (Eq. 13).

        With its bootstrap interval over seeds.

        Raises
        ------
        UserError
            When it does not name an action of each role.
        """
        if len(honest) != len(self.roles):
            raise UserError(f"{list(honest)}: expected one action of each of {self.roles}")
        chosen = [
            [float(name == action) for name in own]
            for own, action in zip(self.actions, honest, strict=True)
        ]
        if any(sum(part) != 1 for part in chosen):
            raise UserError(f"{list(honest)}: expected one action of each of {self.roles}")
        profile, count = np.concatenate(chosen), len(self.replicates)
        means = (self._mean(rng.integers(0, count, count)) for _ in range(RESAMPLES))
        return Estimate.of(self.game.regret(profile), [mean.regret(profile) for mean in means])

    def front(self) -> pd.DataFrame:
        """Return Eq. 14: total utility against total cost of every profile, means over seeds.

        ``welfare`` is the utility of all, the server included, so that payments cancel out;
        ``best`` marks the Pareto front: no profile has more of it at no more cost.
        """
        runs = self.runs.assign(welfare=self.runs["utility"] + self.runs["server"])
        table = runs.groupby(["rule", "profile"], sort=False)[["welfare", "cost"]].mean()
        front = pareto_front(table[["cost", "welfare"]].to_numpy() * np.array([1.0, -1.0]))
        return table.assign(best=front.tolist()).reset_index()

    def anarchy(self, equilibria: Sequence[Equilibrium]) -> tuple[float, float]:
        """Return the highest total utility of a profile, and that of the worst equilibrium.

        Of the players of the reduced game, the server among them, money per round. Their
        ratio is the price of anarchy where both are positive.
        """
        worst = min(float(np.dot(self.game.players, own.payoffs)) for own in equilibria)
        return self.game.best_welfare(), worst

    def _mean(self, drawn: np.ndarray) -> RoleSymmetricGame:
        first = self.replicates[0]
        payoffs = np.mean([self.replicates[r].payoffs for r in drawn], axis=0)
        return RoleSymmetricGame(first.roles, first.players, first.actions, first.counts, payoffs)


def federation_game(
    scenario: Scenario,
    seeds: Sequence[int],
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    jobs: int = 1,
) -> FederationGame:
    """Play every profile of a scenario's ``[game]`` for every seed.

    The server's payoff per round is what the accuracy gained is worth at the price of
    damage, less what backdoors earn others, plus its balance: fines and buyers' money in,
    payments and audits out.

    Parameters
    ----------
    out, resume, progress, jobs
        As for `run_all`; every run is kept.

    Raises
    ------
    UserError
        When the scenario has no game, a kind that is to choose has nobody, or a rule does
        not fit.
    """
    roles, full, reduced, actions = _roles(scenario)
    if not seeds:
        raise UserError("a game needs at least one seed")
    settings = scenario.game
    assert settings is not None  # or there would be no roles
    rules = {
        name: overridden(scenario, values, f"{scenario.name}: game.rules.{name}")
        for name, values in (settings.rules or {"scenario": {}}).items()
    }
    kinds = roles[: len(settings.actions)]
    reduction = deviation_preserving(full, reduced, tuple(map(len, actions)))
    profiles = np.unique(reduction.profiles[:, : sum(len(actions[i]) for i in range(len(kinds)))],
                         axis=0)  # fmt: skip
    keys = [(rule, tuple(map(int, profile))) for rule, profile in product(rules, profiles)]
    plans = [
        Plan(f"{rule},{_in_words(profile, actions)},seed={seed}", played, seed)
        for rule, profile in keys
        for played in [_fixed(rules[rule], kinds, actions, profile)]
        for seed in seeds
    ]
    runs = run_all(plans, out, resume, progress, jobs)
    rows: list[dict[str, Any]] = []
    known: dict[int, dict[Any, Array]] = {seed: {} for seed in seeds}
    for (rule, profile), seed, run in zip(
        [key for key in keys for _ in seeds], [*seeds] * len(keys), runs, strict=True
    ):
        paid = _payoffs(run, kinds, actions)
        own = _totals(run)
        named = {"rule": rule, "profile": _in_words(profile, actions), "seed": seed}
        rows.append({**named, **own})
        known[seed][rule, profile] = np.append(paid, own["server"])
    replicates = tuple(
        _assembled(reduction, roles, actions, tuple(rules), known[seed]) for seed in seeds
    )
    return FederationGame(pd.DataFrame(rows), replicates)


def _roles(
    scenario: Scenario,
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """Return roles, their participants, their players in the reduced game, and actions."""
    settings = scenario.game
    if settings is None:
        raise UserError(f"{scenario.name}: no [game]; expected game.actions and game.rules")
    there = scenario.participants.kinds
    roles: list[str] = list(settings.actions)
    full = [there.count(kind) for kind in settings.actions]
    for kind, count in zip(settings.actions, full, strict=True):
        if not count or len(set(settings.actions[kind])) != len(settings.actions[kind]):
            raise UserError(
                f"{scenario.name}: game.actions.{kind}: {count} participants of the kind choose "
                "from it; expected at least 1, and different actions"
            )
    reduced = [settings.players.get(kind, 1) for kind in settings.actions]
    actions = list(settings.actions.values())
    if len(settings.rules) > 1:
        roles, full, reduced = [*roles, SERVER], [*full, 1], [*reduced, 1]
        actions.append(tuple(settings.rules))
    return tuple(roles), tuple(full), tuple(reduced), tuple(actions)


def _fixed(
    scenario: Scenario,
    kinds: Sequence[str],
    actions: Sequence[tuple[str, ...]],
    profile: Sequence[int],
) -> Scenario:
    """Return the scenario in which so many of each kind play each action."""
    values, at = {}, 0
    for kind, own in zip(kinds, actions, strict=False):
        counts = profile[at : at + len(own)]
        at += len(own)
        each = [name for name, count in zip(own, counts, strict=True) for _ in range(count)]
        values[f"policies.{kind}"] = {"name": "fixed", "action": each}
    return overridden(scenario.to_play(), values | {"deviations.rounds": 0})


def _payoffs(run: Finished, kinds: Sequence[str], actions: Sequence[tuple[str, ...]]) -> Array:
    """Return the mean utility of each kind's participants by action, NaN where nobody plays."""
    means = run.participants.groupby(["kind", "action"])["utility"].mean()
    found = [
        float(means.get((kind, name), np.nan))
        for kind, own in zip(kinds, actions, strict=False)
        for name in own
    ]
    return np.array(found)


def _totals(run: Finished) -> dict[str, float]:
    prices, rounds = run.plan.scenario.prices, len(run.rounds)
    summary = run.summary
    gained = prices.damage * (summary["accuracy_after"] - summary["accuracy_before"]) / rounds
    stolen = prices.backdoor * float(run.rounds["attack_success"].mean())
    people = run.participants
    return {
        "server": gained - stolen + summary["server_balance"] / rounds,
        "utility": float(people["utility"].sum()) / rounds,
        "cost": float(people["cost"].sum()) / rounds,
        "accuracy": summary["accuracy_after"],
        "attack_success": summary["attack_success"],
    }


def _assembled(
    reduction: Reduction,
    roles: tuple[str, ...],
    actions: tuple[tuple[str, ...], ...],
    rules: tuple[str, ...],
    known: dict[Any, Array],
) -> RoleSymmetricGame:
    """Return one seed's reduced game."""
    plays = roles[-1] == SERVER

    def payoffs(profile: np.ndarray) -> Array:
        if not plays:
            return known[rules[0], tuple(map(int, profile))][:-1]
        people, rule = profile[: -len(rules)], int(np.argmax(profile[-len(rules) :]))
        own = known[rules[rule], tuple(map(int, people))]
        return np.asarray(np.r_[own[:-1], np.full(len(rules), own[-1])])

    return reduction.assemble(roles, actions, payoffs)


def _in_words(profile: Sequence[int], actions: Sequence[tuple[str, ...]]) -> str:
    names = [name for own in actions for name in own]
    return " + ".join(
        f"{count} {name}" for count, name in zip(profile, names, strict=False) if count
    )
