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

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.files import write_parquet
from fedfm_sim.experiments.robustness import robustness, told_attackers
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.estimates import deterrence_ratio
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

Progress = Callable[[int, int], None]

#: What the attackers choose from, and how the server aggregates, unless told otherwise.
ATTACKS = (HONEST, "label-flip", "sign-flip", "gaussian", "min-max", "backdoor")
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

        Columns ``defence``, ``attack`` (the best reply), ``gain`` over contributing with its
        interval ``low`` to ``high``, and the ``server``'s payoff, money.

        Raises
        ------
        UserError
            When contributing is not among the actions.
        """
        attacks, rules = self.actions
        if HONEST not in attacks:
            raise UserError(f"gains over '{HONEST}' need it among the attackers' actions")
        honest, rows = np.eye(len(attacks))[attacks.index(HONEST)], []
        for d, rule in enumerate(rules):
            gain = self.empirical.exploitability([honest, np.eye(len(rules))[d]], rng, player=0)
            best = int(self.empirical.game.payoffs[0, :, d].argmax())
            server = float(self.empirical.game.payoffs[1, best, d])
            row = {"defence": rule, "attack": attacks[best], "gain": gain.value}
            rows.append(row | {"low": gain.low, "high": gain.high, "server": server})
        return pd.DataFrame(rows)

    def deterrence(self, rng: np.random.Generator) -> pd.DataFrame:
        """Return the attackers' cost over benefit, a row for each attack under each rule.

        Columns ``attack``, ``defence``, ``cost`` and ``benefit`` (means, money), and the
        ``ratio`` with its interval ``low`` to ``high``: see
        `fedfm_sim.games.deterrence_ratio`.
        """
        rows = []
        for (attack, rule), own in self.cells.groupby(["attack", "defence"], sort=False):
            if attack == HONEST:
                continue
            ratio = deterrence_ratio(own["cost"], own["benefit"], rng)
            means = {name: float(own[name].mean()) for name in ("cost", "benefit")}
            row = {"attack": attack, "defence": rule, **means, "ratio": ratio.value}
            rows.append(row | {"low": ratio.low, "high": ratio.high})
        columns = ["attack", "defence", "cost", "benefit", "ratio", "low", "high"]
        return pd.DataFrame(rows, columns=columns)


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
