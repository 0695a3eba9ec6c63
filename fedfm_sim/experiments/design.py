"""The cheapest sanctions under which honesty is everybody's best reply, on measured outcomes.

Federations are trained with all honest, and once with every attack carried out by all the
malicious; in every round everybody's deviations are played out. What a deviation brings is
then linear in the audit rate and in rate times fine, so that the cheapest deterrent is solved
for exactly (`fedfm_sim.mechanisms.theory.deterrence`). Whether it deters is then tried out, with
learning participants and other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices
from fedfm_sim.experiments.design_result import Design, in_words
from fedfm_sim.experiments.workshop import Finished, Plan, Workshop
from fedfm_sim.mechanisms.theory.deterrence import (
    Deterrent,
    Temptations,
    cheapest_deterrent,
    frontier,
)
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.conditions import gathered

#: What is least: money that the server spends in a round (on payments, audits and interest for
#: deposits), that less what the accuracy gained is worth, the audit rate, or the fine.
OBJECTIVES = ("budget", "surplus", "audits", "fines")

#: Parts of the designed audit rate at which the design is tried.
TRIED = (1.0, 0.8)

_MEASURES = ["benefit", "confiscated", "convicted"]


def design(
    scenario: Scenario,
    objective: str = "budget",
    seeds: Sequence[int] = (0, 1, 2),
    workshop: Workshop | None = None,
    trials: int = 1,
) -> Design:
    """Return the cheapest sanctions that make honesty a best reply.

    They make it one for everybody, whether the others are honest or the malicious attack
    together, by ``scenario.design.margin``.

    Parameters
    ----------
    objective : str
        One of `OBJECTIVES`.
    seeds : sequence of int
        Of the trainings that are measured.
    workshop : Workshop, optional
        Where the runs are made and kept.
    trials : int
        New seeds of the trials, after the measured ones, besides that of the binding
        deviation; 0 for no trial.

    Raises
    ------
    UserError
        When the objective is unknown, somebody's honesty or audit cannot be measured, or no
        sanction within the bounds deters under any setting.
    """
    if objective not in OBJECTIVES:
        raise UserError(f"unknown objective '{objective}'{choices(objective, OBJECTIVES)}")
    if not seeds:
        raise UserError("a design needs at least one seed to measure")
    alternatives = _alternatives(scenario)
    plans = [
        plan
        for name, alternative in alternatives.items()
        for plan in _measurements(name, alternative, seeds)
    ]
    workshop = workshop or Workshop()
    runs = workshop.make(plans)
    of = {
        name: [run for run in runs if run.plan.name.startswith(f"{name},")] for name in alternatives
    }
    solved = {name: _solved(alternatives[name], own, objective) for name, own in of.items()}
    settings = pd.DataFrame([{"setting": name, **row} for name, (row, _, _) in solved.items()])
    best = str(settings["setting"].iloc[int(settings["cost"].fillna(np.inf).argmin())])
    row, table, deterrent = solved[best]
    if deterrent is None:
        raise UserError(f"{scenario.name}: {row['why']}")
    chosen = _sanctioned(alternatives[best], deterrent.rate, deterrent.fine)
    new = range(max(seeds) + 1, max(seeds) + 1 + trials)
    tried = [int(table["seed"].iloc[deterrent.binding]), *new] if trials else []
    return Design(
        objective,
        best,
        chosen,
        deterrent,
        float(row["cost"]),
        settings,
        table,
        _frontier(table, scenario),
        _trials(chosen, table, tried, workshop),
        tuple(gathered(run.remarks for run in runs)),
    )


def temptations_of(runs: Sequence[Finished]) -> pd.DataFrame:
    """Return what every deviation brought over honesty in every round, from runs' tables.

    Honesty has to be the best reply in each round, as participants choose anew in each.
    """
    keys, parts = ["round", "participant", "kind"], []
    for run in runs:
        table = run.deviations[[*keys, "action", *_MEASURES]]
        played = run.deviations[[*keys, "played"]].drop_duplicates()
        own = played.rename(columns={"played": "action"}).assign(**dict.fromkeys(_MEASURES, 0.0))
        table = pd.concat([table, own], ignore_index=True).set_index([*keys, "action"])
        honest = table.xs(HONEST, level="action")
        over = table.drop(HONEST, level="action").sort_index() - honest
        path = run.plan.name.split(",")[1]
        parts.append(over.reset_index().assign(seed=run.plan.seed, path=path))
    return pd.concat(parts, ignore_index=True)[["seed", "path", *keys, "action", *_MEASURES]]


def _alternatives(scenario: Scenario) -> dict[str, Scenario]:
    if HONEST not in scenario.deviations.actions:
        raise UserError(f"{scenario.name}: deviations.actions: expected '{HONEST}' among them")
    if scenario.sanctions.audit_focus:
        raise UserError(f"{scenario.name}: sanctions.audit_focus: a design needs 0, equal chances")
    named = scenario.design.settings or {"scenario": {}}
    return {
        name: overridden(scenario, values, f"{scenario.name}: design.settings.{name}")
        for name, values in named.items()
    }


def _measurements(name: str, scenario: Scenario, seeds: Sequence[int]) -> list[Plan]:
    """Return runs without sanctions: all honest, and every attack by all the malicious."""
    table, able = scenario.action_table, scenario.action_set("malicious")
    attacks = [
        action
        for action in scenario.deviations.actions
        if action in able and (table[action].attack is not None or table[action].sell)
    ]
    paths = [HONEST, *(attacks if scenario.participants.malicious else [])]
    free = {f"sanctions.{key}": 0.0 for key in ("audit_rate", "fine", "deposit", "bounty")}
    return [
        Plan(
            f"{name},{path},seed={seed}",
            overridden(
                scenario.to_play(),
                free
                | {
                    "deviations.rounds": scenario.rounds,
                    "policies.honest": {"name": "fixed", "action": HONEST},
                    "policies.semi-honest": {"name": "fixed", "action": HONEST},
                    "policies.malicious": {"name": "fixed", "action": path},
                },
            ),
            seed,
        )
        for path in paths
        for seed in seeds
    ]


def _solved(
    scenario: Scenario, runs: Sequence[Finished], objective: str
) -> tuple[dict[str, Any], pd.DataFrame, Deterrent | None]:
    table = temptations_of(runs)
    honest = [run for run in runs if run.plan.name.split(",")[1] == HONEST]
    payments = float(np.mean([run.rounds["payments"].mean() for run in honest]))
    gained = [run.summary["accuracy_after"] - run.summary["accuracy_before"] for run in honest]
    value = scenario.prices.damage * float(np.mean(gained)) / scenario.rounds
    row: dict[str, Any] = {"payments": payments, "value": value}
    weights, spent = _weights(scenario, objective, payments, value)
    own = scenario.design
    try:
        found = cheapest_deterrent(
            Temptations.of(table), *weights, largest_fine=own.largest_fine, margin=own.margin
        )
    except UserError:
        worst = int(Temptations.of(table).gains(1.0, own.largest_fine).argmax())
        why = (
            f"no audit rate up to 1 and fine up to {own.largest_fine:g} keeps honest "
            f"{in_words(table.iloc[worst])} (brings {table['benefit'].iloc[worst]:.3f}, "
            f"convicted {table['convicted'].iloc[worst]:.0%})"
        )
        return row | {"rate": np.nan, "fine": np.nan, "cost": np.nan, "why": why}, table, None
    cost = found.cost + spent
    return row | {"rate": found.rate, "fine": found.fine, "cost": cost, "why": ""}, table, found


def _weights(
    scenario: Scenario, objective: str, payments: float, value: float
) -> tuple[tuple[float, float], float]:
    """Return what a rate and a fine of 1 cost, and what is spent whatever they are."""
    if objective == "audits":
        return (1.0, 0.0), 0.0
    if objective == "fines":
        return (0.0, 1.0), 0.0
    count = scenario.participants.count
    weights = count * scenario.sanctions.audit_cost, count * scenario.design.capital
    return weights, payments - (value if objective == "surplus" else 0.0)


def _sanctioned(scenario: Scenario, rate: float, fine: float) -> Scenario:
    """Return a scenario with these audits, and a fine that a deposit secures."""
    values = {"audit_rate": rate, "fine": fine, "deposit": fine}
    return overridden(scenario, {f"sanctions.{key}": value for key, value in values.items()})


def _frontier(table: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    own = scenario.design
    line = frontier(Temptations.of(table), own.largest_fine, own.margin)
    fines = line["fine"].to_numpy()
    by_seed = np.array(
        [
            Temptations.of(part).least_rates(fines, own.margin)
            for _, part in table.groupby("seed", sort=True)
        ]
    )
    return line.assign(low=by_seed.min(axis=0), high=by_seed.max(axis=0))


def _trials(
    scenario: Scenario,
    table: pd.DataFrame,
    seeds: Sequence[int],
    workshop: Workshop,
) -> pd.DataFrame:
    """Return what learning participants do at the designed point, and with fewer audits."""
    if not scenario.participants.malicious or not seeds:
        return pd.DataFrame(columns=["part", "policy", "seed", "honest", "tempted"])
    rate, fine = scenario.sanctions.audit_rate, scenario.sanctions.fine
    plans: list[Plan] = []
    tried: list[tuple[float, str, int]] = []
    for part in TRIED:
        for policy in scenario.design.policies:
            values = {
                "rounds": scenario.design.check_rounds,
                "deviations.rounds": 0,
                "policies.malicious": {"name": policy},
            }
            trial = overridden(_sanctioned(scenario.to_play(), part * rate, fine), values)
            for seed in seeds:
                plans.append(Plan(f"trial,{part:g},{policy},seed={seed}", trial, seed))
                tried.append((part, policy, seed))
    runs = workshop.make(plans)
    return pd.DataFrame(
        [
            {
                "part": part,
                "policy": policy,
                "seed": seed,
                "honest": honest_share(run, scenario),
                "tempted": int((Temptations.of(table).gains(part * rate, fine) > 0).sum()),
            }
            for (part, policy, seed), run in zip(tried, runs, strict=True)
        ]
    )


def honest_share(run: Finished, scenario: Scenario) -> float:
    """Return the share of the last third's rounds in which nobody attacks or sells the model."""
    table = scenario.action_table
    bad = {name for name, action in table.items() if action.attack is not None or action.sell}
    rows = run.participants
    last = rows[rows["round"] > rows["round"].max() * 2 / 3]
    return float((~last["action"].isin(bad)).groupby(last["round"]).all().mean())
