"""The attackers against the server, as a game whose payoffs come from real training.

The malicious participants of a scenario choose together what to play, and the server
chooses how to aggregate. Every profile is a federation that was trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.attack_result import AttackGame
from fedfm_sim.experiments.robustness import (
    accuracy_lost,
    cell_scenarios,
    robustness,
    told_attackers,
)
from fedfm_sim.experiments.workshop import Cells, Workshop
from fedfm_sim.scenarios.schema import Scenario

#: What the attackers choose from, and how the server aggregates, unless told otherwise.
ATTACKS = (HONEST, "label-flip", "sign-flip", "gaussian", "min-max", "backdoor")
RULES = ("fedavg", "median", "norm-clipping", "multi-krum", "divide-and-conquer", "foolsgold")


def attack_game(
    scenario: Scenario,
    seeds: Sequence[int],
    attacks: Sequence[str] = ATTACKS,
    defences: Sequence[str] = RULES,
    workshop: Workshop | None = None,
    extra: int = 0,
) -> AttackGame:
    """Play every attack against every defence for every seed, and price the outcomes.

    Payoffs are those of the whole training, in the money of Eq. 12's prices:

    - attackers: ``backdoor * success + damage * accuracy lost - effort`` of all attackers
      in all rounds; accuracy lost is against the same federation under the same rule with
      all honest, at least 0, so that nobody earns by what a rule costs;
    - server: ``damage * accuracy gained over the base model - backdoor * success``: it values
      accuracy at what losing it earns an attacker, and is liable for backdoors.

    Parameters
    ----------
    workshop : Workshop, optional
        Where the cells are played, and kept as each seed is finished.
    extra : int
        Profiles to play once more, one after the other and each with a seed of its own: that
        where another replicate would change the answer most (`EmpiricalGame.most_wanted`).

    Raises
    ------
    UserError
        When nobody is malicious, a name is unknown, or there is no seed.
    """
    if not seeds or len(attacks) < 1 or len(defences) < 1:
        raise UserError("a game needs at least one seed, one attack and one defence")
    # What does not fit is found before anything is trained.
    cell_scenarios(
        scenario, {name: (name,) for name in attacks}, told_attackers(scenario, defences)
    )
    workshop = workshop or Workshop()
    jobs = [_job(scenario, seed, tuple(attacks), tuple(defences)) for seed in seeds]
    parts = workshop.make(jobs)
    played = _played(scenario, parts)
    for number in range(extra):
        place = played.empirical.most_wanted()[0]
        attack, defence = ((names[at],) for names, at in zip(played.actions, place, strict=True))
        parts += workshop.make([_job(scenario, max(seeds) + 1 + number, attack, defence)])
        played = _played(scenario, parts, number + 1)
    return played


def _played(scenario: Scenario, parts: Sequence[pd.DataFrame], extra: int = 0) -> AttackGame:
    return AttackGame(scenario, pd.concat(parts, ignore_index=True), extra)


def _job(
    scenario: Scenario, seed: int, attacks: tuple[str, ...], defences: tuple[str, ...]
) -> Cells:
    name = f"seed-{seed:05d}"
    return Cells(name, scenario.to_play(), seed, (attacks, defences), priced_cells)


def priced_cells(job: Cells) -> pd.DataFrame:
    """Return one seed's cells of some attacks and defences, priced."""
    attacks, defences = job.what
    played = {name: (name,) for name in dict.fromkeys([HONEST, *attacks])}
    rules = told_attackers(job.scenario, defences)
    cells = priced(robustness(job.scenario, played, rules, job.seed), job.scenario)
    return cells[cells["attack"].isin(attacks)].reset_index(drop=True)


def priced(frame: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return cells of `robustness`, honest ones among them, with what `AttackGame` has of them."""
    prices, table = scenario.prices, scenario.action_table
    efforts = np.array([table[name].effort for name in frame["attack"]])
    # A trigger may work on a model that nobody attacked; that earns nobody anything.
    stolen = prices.backdoor * frame["attack_success"] * (frame["attack"] != HONEST)
    lost = accuracy_lost(frame, HONEST)
    work = efforts * scenario.participants.malicious * scenario.rounds
    gained = prices.damage * (frame["accuracy"] - frame["base_accuracy"])
    benefit = stolen + prices.damage * lost.clip(lower=0)
    return frame.assign(
        accuracy_lost=lost,
        cost=work,
        benefit=benefit,
        attackers=benefit - work,
        server=gained - stolen,
    )
