"""The attackers against the server, as a game whose payoffs come from real training.

The malicious participants of a scenario choose together what to play, and the server
chooses how to aggregate. Every profile is a federation that was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.files import write_parquet
from fedfm_sim.experiments.robustness import robustness, told_attackers
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.estimates import deterrence_ratio
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

Progress = Callable[[int, int], None]

#: What the attackers choose from, and how the server aggregates, unless told otherwise.
ATTACKS = ("contribute", "label-flip", "sign-flip", "gaussian", "min-max", "backdoor")
RULES = ("fedavg", "median", "norm-clipping", "multi-krum", "divide-and-conquer", "foolsgold")


@dataclass(frozen=True, eq=False)
class AttackGame:
    """The game and what it was measured on.

    Attributes
    ----------
    cells : DataFrame
        One row per attack, defence and seed: the attackers' ``cost`` and ``benefit``, and the
        payoffs of ``attackers`` and ``server``, money.
    empirical : EmpiricalGame
        Players: attackers, server.
    """

    cells: pd.DataFrame
    empirical: EmpiricalGame

    roles: ClassVar[tuple[str, str]] = ("attackers", "server")

    @property
    def actions(self) -> tuple[tuple[str, ...], ...]:
        """What each role chooses from."""
        return self.empirical.actions

    def solve(self, rng: np.random.Generator) -> tuple[Intervals, ...]:
        """Return the equilibria with bootstrap intervals over seeds."""
        return self.empirical.solve(rng)

    def exploitability(self, rng: np.random.Generator) -> pd.DataFrame:
        """Return what attackers gain against each rule alone, by the best reply to it.

        Columns ``defence``, ``attack`` (the best reply), ``gain`` over the attackers' first
        action with its interval ``low`` to ``high``, and the ``server``'s payoff, money.
        """
        attacks, rules = self.actions
        rows = []
        for d, rule in enumerate(rules):
            first = [np.eye(len(attacks))[0], np.eye(len(rules))[d]]
            gain = self.empirical.exploitability(first, rng, player=0)
            best = int(self.empirical.game.payoffs[0, :, d].argmax())
            server = float(self.empirical.game.payoffs[1, best, d])
            row = {"defence": rule, "attack": attacks[best], "gain": gain.value}
            rows.append(row | {"low": gain.low, "high": gain.high, "server": server})
        return pd.DataFrame(rows)

    def deterrence(self, rng: np.random.Generator) -> pd.DataFrame:
        """Return the attackers' cost over benefit under every rule, of all that costs or brings.

        Columns ``attack``, ``defence``, ``cost`` and ``benefit`` (means, money), and the
        ``ratio`` with its interval ``low`` to ``high``: see
        `fedfm_sim.games.deterrence_ratio`.
        """
        rows = []
        for (attack, rule), own in self.cells.groupby(["attack", "defence"], sort=False):
            if not own[["cost", "benefit"]].any(axis=None):
                continue
            ratio = deterrence_ratio(own["cost"], own["benefit"], rng)
            means = {name: float(own[name].mean()) for name in ("cost", "benefit")}
            row = {"attack": attack, "defence": rule, **means, "ratio": ratio.value}
            rows.append(row | {"low": ratio.low, "high": ratio.high})
        return pd.DataFrame(rows)


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
      in all rounds; accuracy lost is against the same federation under fedavg with all
      honest, at least 0;
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
    played = _played(parts)
    for number in range(extra):
        place = played.empirical.most_wanted()[0]
        attack, defence = ((names[at],) for names, at in zip(played.actions, place, strict=True))
        parts.append(_cells(scenario, max(seeds) + 1 + number, attack, defence, out, resume))
        played = _played(parts)
        if progress is not None:
            progress(len(parts), len(seeds) + extra)
    return played


def _played(parts: Sequence[pd.DataFrame]) -> AttackGame:
    cells = pd.concat(parts, ignore_index=True)
    players = ("attack", "defence")
    return AttackGame(cells, EmpiricalGame.from_frame(cells, players, ("attackers", "server")))


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
    named = list(dict.fromkeys(["fedavg", *defences]))
    played = dict.fromkeys(["contribute", *attacks])
    frame = robustness(
        scenario, {name: (name,) for name in played}, told_attackers(scenario, named), seed
    )
    honest = frame[(frame["attack"] == "contribute") & (frame["defence"] == "fedavg")]
    cells = priced(frame, scenario, float(honest["accuracy"].iloc[0]))
    wanted = cells["attack"].isin(attacks) & cells["defence"].isin(defences)
    cells = cells[wanted].reset_index(drop=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, cells.assign(scenario=lock))
    return cells


def priced(frame: pd.DataFrame, scenario: Scenario, honest: float) -> pd.DataFrame:
    """Return cells of `robustness` priced, see `AttackGame`; ``honest`` accuracy is the norm."""
    prices, table = scenario.prices, scenario.action_table
    efforts = np.array([table[name].effort for name in frame["attack"]])
    stolen = prices.backdoor * frame["attack_success"]
    stolen *= [float(name != "contribute") for name in frame["attack"]]
    lost = prices.damage * np.maximum(0.0, honest - frame["accuracy"])
    # Who contributes honestly earns nothing by what a rule costs.
    lost *= [float(name != "contribute") for name in frame["attack"]]
    work = efforts * scenario.participants.malicious * scenario.rounds
    gained = prices.damage * (frame["accuracy"] - frame["base_accuracy"])
    benefit = stolen + lost
    return frame.assign(
        cost=work, benefit=benefit, attackers=benefit - work, server=gained - stolen
    )
