"""The game of attackers and server, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.measured_game import MeasuredGame
from fedfm_sim.experiments.reported import records
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.estimates import Estimate, deterrence_ratio
from fedfm_sim.reporting.game_figures import draw_deterrence
from fedfm_sim.reporting.page import Section


@dataclass(frozen=True, eq=False, repr=False)
class AttackGame(MeasuredGame):
    """The game and what it was measured on.

    Attributes
    ----------
    cells : DataFrame
        One row per attack, defence and seed: the attackers' ``cost`` and ``benefit``, and the
        payoffs of ``attackers`` and ``server``, money.
    extra : int
        How many of the seeds, the last ones, are of one profile only.
    """

    cells: pd.DataFrame
    extra: int = 0

    @property
    def roles(self) -> tuple[str, ...]:
        """The attackers, and the server."""
        return ("attackers", "server")

    @property
    def actions(self) -> tuple[tuple[str, ...], ...]:
        """What each role chooses from."""
        return self.empirical.actions

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that every profile was played for."""
        every = sorted(map(int, self.cells["seed"].unique()))
        return tuple(every[: len(every) - self.extra])

    @cached_property
    def empirical(self) -> EmpiricalGame:
        """The game of attackers, who act together, and the server."""
        return EmpiricalGame.from_frame(self.cells, ("attack", "defence"), self.roles)

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

    def to_frame(self) -> pd.DataFrame:
        """Return one row per attack, defence and seed."""
        return self.cells

    def _more(self, found: Sequence[Intervals], rng: np.random.Generator) -> dict[str, Any]:
        wanted = self.empirical.most_wanted(3)
        honest = HONEST in self.actions[0]
        return {
            "exploitability": records(self.exploitability(rng)) if honest else [],
            "deterrence": records(self.deterrence(rng)),
            "most_wanted": [
                [names[a] for names, a in zip(self.actions, place, strict=True)] for place in wanted
            ],
        }

    def exploited_rows(self) -> list[dict[str, str]]:
        """Return what attackers gain against each rule as it is shown."""
        return [
            {
                "rule": row["defence"],
                "attackers' best reply": row["attack"],
                "gains over contributing": f"{Estimate(row['gain'], row['low'], row['high']):.2f}",
                "leaves the server": f"{row['server']:.2f}",
            }
            for row in self.solution.more["exploitability"]
        ]

    def told(self) -> list[str]:
        """Return how many attacks pay, and where another replicate would tell most."""
        own = self.solution.more
        highs = [row["high"] for row in own["deterrence"]]
        pays = sum(high is not None and high < 1 for high in highs)
        return [
            f"attacks that pay, cost over benefit below 1 within its interval: {pays} of "
            f"{len(highs)} pairs of attack and rule",
            f"another replicate would tell most of: {own['most_wanted']}",
        ]

    def _sections(self) -> list[Section]:
        sections, exploited = [], self.exploited_rows()
        if exploited:
            table = pd.DataFrame(exploited)
            sections.append(Section("Against each rule alone", table=table))
        if self.solution.more["deterrence"]:
            floats = dict.fromkeys(("ratio", "low", "high"), float)
            ratios = pd.DataFrame(self.solution.more["deterrence"]).astype(floats)
            sections.append(
                Section(
                    "Deterrence ratios",
                    "With 95 % intervals over seeds.",
                    partial(draw_deterrence, ratios.fillna(float("inf"))),
                    name="deterrence",
                )
            )
        return sections
