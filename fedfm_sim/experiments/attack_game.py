"""The attackers against the server, as a game whose payoffs come from real training.

The malicious participants of a scenario choose together what to play, and the server
chooses how to aggregate. Every profile is a federation that was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.progress import Progress
from fedfm_sim.experiments.attack_result import AttackGame
from fedfm_sim.experiments.files import write_parquet
from fedfm_sim.experiments.robustness import robustness, told_attackers
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

#: What the attackers choose from, and how the server aggregates, unless told otherwise.
ATTACKS = (HONEST, "label-flip", "sign-flip", "gaussian", "min-max", "backdoor")
RULES = ("fedavg", "median", "norm-clipping", "multi-krum", "divide-and-conquer", "foolsgold")


def attack_game(
    scenario: Scenario,
    seeds: Sequence[int],
    attacks: Sequence[str] = ATTACKS,
    defences: Sequence[str] = RULES,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    jobs: int = 1,
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
    out : str or Path, optional
        Folder in which each seed's cells are kept as they are finished.
    resume : bool
        Take the seeds whose cells are there.
    progress : callable, optional
        Called with (seeds finished, seeds).
    jobs : int
        Processes; each takes whole seeds, and the outcome is the same for any number.
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
    work = [delayed(_cells)(scenario, seed, attacks, defences, out, resume) for seed in seeds]
    parts: list[pd.DataFrame] = []
    # A process for each core is faster than threads; results come in the seeds' order.
    with parallel_config(backend="loky", inner_max_num_threads=1):
        for part in Parallel(n_jobs=jobs, return_as="generator")(work):
            parts.append(part)
            if progress is not None:
                progress(len(parts), len(seeds) + extra)
    played = _played(scenario, parts)
    for number in range(extra):
        place = played.empirical.most_wanted()[0]
        attack, defence = ((names[at],) for names, at in zip(played.actions, place, strict=True))
        parts.append(_cells(scenario, max(seeds) + 1 + number, attack, defence, out, resume))
        played = _played(scenario, parts, number + 1)
        if progress is not None:
            progress(len(parts), len(seeds) + extra)
    return played


def _played(scenario: Scenario, parts: Sequence[pd.DataFrame], extra: int = 0) -> AttackGame:
    return AttackGame(scenario, pd.concat(parts, ignore_index=True), extra)


def _cells(
    scenario: Scenario,
    seed: int,
    attacks: Sequence[str],
    defences: Sequence[str],
    out: str | Path | None,
    resume: bool,
) -> pd.DataFrame:
    """Return one seed's priced cells, from the folder where they are to be found there."""
    path = None if out is None else Path(out) / f"seed-{seed:05d}.parquet"
    lock = to_toml(scenario.to_play(), seed)
    if resume and path is not None and path.is_file():
        stored = pd.read_parquet(path)
        same = stored.pop("scenario").eq(lock).all() and "benefit" in stored
        if (
            same
            and set(stored["attack"]) == set(attacks)
            and set(stored["defence"]) == set(defences)
        ):
            return stored
    played = dict.fromkeys([HONEST, *attacks])
    frame = robustness(
        scenario, {name: (name,) for name in played}, told_attackers(scenario, defences), seed
    )
    cells = priced(frame, scenario)
    cells = cells[cells["attack"].isin(attacks)].reset_index(drop=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, cells.assign(scenario=lock))
    return cells


def priced(frame: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return cells of `robustness`, honest ones among them, with what `AttackGame` has of them."""
    prices, table = scenario.prices, scenario.action_table
    honest = frame[frame["attack"] == HONEST].set_index("defence")["accuracy"]
    efforts = np.array([table[name].effort for name in frame["attack"]])
    # A trigger may work on a model that nobody attacked; that earns nobody anything.
    stolen = prices.backdoor * frame["attack_success"] * (frame["attack"] != HONEST)
    lost = prices.damage * (frame["defence"].map(honest) - frame["accuracy"]).clip(lower=0)
    work = efforts * scenario.participants.malicious * scenario.rounds
    gained = prices.damage * (frame["accuracy"] - frame["base_accuracy"])
    benefit = stolen + lost
    return frame.assign(
        cost=work, benefit=benefit, attackers=benefit - work, server=gained - stolen
    )
