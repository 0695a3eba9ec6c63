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
from fedfm_sim.core.intervals import Estimate, holm, one_sided
from fedfm_sim.experiments.measured_game import MeasuredGame
from fedfm_sim.experiments.reported import records
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.estimates import deterrence_ratio
from fedfm_sim.reporting.game_figures import draw_deterrence
from fedfm_sim.reporting.page import Section
from fedfm_sim.simulation.conditions import gathered

#: What an attack does, and how it is headed; accuracy lost is what untargeted attacks are after.
DONE = {"attack_success": "attack success", "accuracy_lost": "accuracy lost"}

#: What the intervals of gains are.
LARGEST = (
    "Gains of the best reply, with intervals over seeds for the largest of all: they cover it in "
    "95 % of cases or more, and where no attack pays at most 2.5 % of them begin above 0."
)


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

    @property
    def remarks(self) -> list[str]:
        """Which published conditions of rules and attacks failed, and in how many cells."""
        return gathered(self.cells["conditions"]) if "conditions" in self.cells else []

    def solve(self, rng: np.random.Generator | None = None) -> tuple[Intervals, ...]:
        """Return the equilibria with intervals over seeds; nothing is drawn."""
        return self.empirical.solve()

    def exploitability(self, rng: np.random.Generator | None = None) -> pd.DataFrame:
        """Return what attackers gain against each rule alone, by the best reply to it.

        Columns ``defence``, ``attack`` (the best reply), ``gain`` over contributing with its
        interval ``low`` to ``high`` (`EmpiricalGame.exploitability`), the ``server``'s payoff,
        money, and what the best reply does: ``attack_success`` and ``accuracy_lost`` against
        the same rule with all honest, means. Nothing is drawn.

        Raises
        ------
        UserError
            When contributing is not among the actions.
        """
        attacks, rules = self.actions
        if HONEST not in attacks:
            raise UserError(f"gains over '{HONEST}' need it among the attackers' actions")
        honest, rows = np.eye(len(attacks))[attacks.index(HONEST)], []
        done = self._means([*DONE])
        for d, rule in enumerate(rules):
            gain = self.empirical.exploitability([honest, np.eye(len(rules))[d]], player=0)
            best = int(self.empirical.game.payoffs[0, :, d].argmax())
            server = float(self.empirical.game.payoffs[1, best, d])
            row = {"defence": rule, "attack": attacks[best], "gain": gain.value}
            row |= {"low": gain.low, "high": gain.high, "server": server}
            rows.append(row | {name: float(done[name][attacks[best], rule]) for name in done})
        return pd.DataFrame(rows)

    def deterrence(self, rng: np.random.Generator | None = None) -> pd.DataFrame:
        """Return the attackers' cost over benefit, a row for each attack under each rule.

        Columns ``attack``, ``defence``, ``cost`` and ``benefit`` (means, money), ``ratio`` with
        its interval ``low`` to ``high`` (see `fedfm_sim.games.deterrence_ratio`), and ``pays``:
        whether the attack brings more than it costs, by Student's one-sided test at 5 % for
        all pairs together (Holm 1979). Nothing is drawn.
        """
        rows, chances = [], []
        for (attack, rule), own in self.cells.groupby(["attack", "defence"], sort=False):
            if attack == HONEST:
                continue
            ratio = deterrence_ratio(own["cost"], own["benefit"])
            means = {name: float(own[name].mean()) for name in ("cost", "benefit")}
            row = {"attack": attack, "defence": rule, **means, "ratio": ratio.value}
            rows.append(row | {"low": ratio.low, "high": ratio.high})
            chances.append(one_sided(own["benefit"].to_numpy() - own["cost"].to_numpy()))
        columns = ["attack", "defence", "cost", "benefit", "ratio", "low", "high"]
        return pd.DataFrame(rows, columns=columns).assign(pays=holm(chances))

    def _means(self, names: list[str]) -> pd.DataFrame:
        """Return means over seeds by attack and rule, of the columns that there are."""
        there = [name for name in names if name in self.cells]
        return self.cells.groupby(["attack", "defence"], sort=False)[there].mean()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per attack, defence and seed."""
        return self.cells

    def _more(self, found: Sequence[Intervals], rng: np.random.Generator) -> dict[str, Any]:
        wanted = self.empirical.most_wanted(3)
        honest = HONEST in self.actions[0]
        return {
            "exploitability": records(self.exploitability()) if honest else [],
            "deterrence": records(self.deterrence()),
            "settled": self.empirical.settled,
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
                "gains over contributing": f"{_gain(row):.2f}",
                **{DONE[name]: f"{row[name]:.1%}" for name in DONE if name in row},
                "leaves the server": f"{row['server']:.2f}",
            }
            for row in self.solution.more["exploitability"]
        ]

    def told(self) -> list[str]:
        """Return how many attacks pay, and where one more seed would change the answer most."""
        own = self.solution.more
        pays = sum(row["pays"] for row in own["deterrence"])
        return [
            f"attacks that bring more than they cost: {pays} of {len(own['deterrence'])} pairs of "
            "attack and rule (5 % for one of them to be called so by luck)",
            _wanted(own["most_wanted"], own["settled"]),
        ]

    def _sections(self) -> list[Section]:
        sections, exploited = [], self.exploited_rows()
        if exploited:
            table = pd.DataFrame(exploited)
            sections.append(Section("Against each rule alone", LARGEST, table=table))
        ratios = self.deterrence()
        if len(ratios):
            sections.append(
                Section(
                    "Deterrence ratios",
                    "With Fieller's 95 % intervals over seeds, each for itself.",
                    partial(draw_deterrence, ratios),
                    name="deterrence",
                )
            )
        return sections


def _gain(row: dict[str, Any]) -> Estimate:
    return Estimate.read(row["gain"], row["low"], row["high"])


def _wanted(places: Sequence[Sequence[str]], settled: bool) -> str:
    """Say whether more seeds would tell more, and of what."""
    if settled:
        return (
            "which actions are played is settled: no other pays, by the 95 % bounds of all of them "
            "together"
        )
    pairs = "; ".join(f"{attack} against {rule}" for attack, rule in places)
    return f"more seeds may still change what is played; most would tell: {pairs}"
