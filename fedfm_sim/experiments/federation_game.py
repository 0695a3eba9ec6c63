"""The game of whole federations: kinds of participants and the server, every profile trained.

A scenario's ``[game]`` says which kinds choose among which actions, and which rules the
server has. Every profile is a run of its own; a kind of many participants is reduced to a
few players so that deviations stay those of one participant.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.federation_result import FederationGame
from fedfm_sim.experiments.workshop import Finished, Plan, Workshop
from fedfm_sim.games.reduction import Reduction, deviation_preserving
from fedfm_sim.games.symmetric import RoleSymmetricGame
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario

#: The role of the operator, who has one player.
SERVER = "server"


def federation_game(
    scenario: Scenario,
    seeds: Sequence[int],
    workshop: Workshop | None = None,
) -> FederationGame:
    """Play every profile of a scenario's ``[game]`` for every seed.

    The server's payoff per round is what the accuracy gained is worth at the price of
    damage, less what backdoors earn others, plus its balance: fines and buyers' money in,
    payments and audits out.

    Parameters
    ----------
    workshop : Workshop, optional
        Where the runs are made and kept.

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
    runs = (workshop or Workshop()).make(plans)
    rows: list[dict[str, Any]] = []
    known: dict[int, dict[Any, Array]] = {seed: {} for seed in seeds}
    for (rule, profile), seed, run in zip(
        [key for key in keys for _ in seeds], [*seeds] * len(keys), runs, strict=True
    ):
        paid = _payoffs(run, kinds, actions)
        own = _totals(run)
        named = {"rule": rule, "profile": _in_words(profile, actions), "seed": seed}
        rows.append({**named, **own, "remarks": run.remarks})
        known[seed][rule, profile] = np.append(paid, own["server"])
    replicates = tuple(
        _assembled(reduction, roles, actions, tuple(rules), known[seed]) for seed in seeds
    )
    return FederationGame(scenario, pd.DataFrame(rows), replicates)


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
        "accuracy_lost": summary["accuracy_lost"],
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
