"""Designed sanctions, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.experiments.reported import Page, Reported, records
from fedfm_sim.games.estimates import deterrence_ratio
from fedfm_sim.mechanisms.theory.deterrence import Deterrent, Temptations
from fedfm_sim.reporting.design_figures import draw_frontier, draw_temptations
from fedfm_sim.reporting.page import Section
from fedfm_sim.reporting.tables import remark_lines
from fedfm_sim.scenarios.schema import Scenario


@dataclass(frozen=True, eq=False, repr=False)
class Design(Reported):
    """What was found, and what it was found on.

    Attributes
    ----------
    objective : str
    setting : str
        Name of the alternative that is cheapest; "scenario" for the scenario itself.
    scenario : Scenario
        It, with the designed audit rate, fine and deposit.
    deterrent : Deterrent
    cost : float
        The objective at the designed point.
    settings : DataFrame
        One row per alternative: its ``rate``, ``fine``, ``cost``, ``payments`` and ``value``
        of accuracy per round, and ``why`` where nothing deters.
    temptations : DataFrame
        One row per deviation of the best alternative: ``seed``, ``path`` (what the malicious
        play), ``round``, ``participant``, ``kind``, ``action``, and `Temptations`' columns.
    frontier : DataFrame
        ``fine``, the least audit ``rate``, and the ``low``est and ``high``est that one seed
        needs: see `new_seed` for what that says of others.
    trials : DataFrame
        One row per trial: ``part`` of the designed rate, ``policy``, ``seed``, ``honest``
        share of rounds without an attack in the last third, and ``tempted``, how many measured
        deviations gain there.
    remarks : tuple of str
        What was done to make things fit, and which conditions failed, in how many runs.
    """

    objective: str
    setting: str
    scenario: Scenario
    deterrent: Deterrent
    cost: float
    settings: pd.DataFrame
    temptations: pd.DataFrame
    frontier: pd.DataFrame
    trials: pd.DataFrame
    remarks: tuple[str, ...] = ()

    json_name = "design.json"

    @property
    def binding(self) -> str:
        """The deviation that the audit rate is for, in words."""
        return in_words(self.temptations.iloc[self.deterrent.binding])

    def ratios(self, rng: np.random.Generator | None = None) -> pd.DataFrame:
        """Return the expected sanction over the benefit of deviations, at the designed point.

        One row for what the malicious play and what is deviated to: ``path``, ``action``,
        ``benefit`` and ``sanction`` (means over participants, rounds and seeds, money per
        round), and the ``ratio`` of them with its interval ``low`` to ``high`` over seeds;
        infinite where the deviation brings nothing or less. Nothing is drawn.
        """
        point, table = self.deterrent, self.temptations
        sanction = Temptations.of(table).expected_sanctions(point.rate, point.fine)
        rows = []
        grouped = table.assign(sanction=sanction).groupby(["path", "action"], sort=False)
        for (path, action), own in grouped:
            seeds = own.groupby("seed")[["benefit", "sanction"]].mean()
            ratio = deterrence_ratio(seeds["sanction"], seeds["benefit"])
            row = {"path": path, "action": action, **seeds.mean(), "ratio": ratio.value}
            rows.append(row | {"low": ratio.low, "high": ratio.high})
        return pd.DataFrame(rows)

    @property
    def new_seed(self) -> float:
        """The chance that a seed that was not measured needs more audits than any measured one.

        1 / (R + 1) for R seeds that are alike, whatever their distribution: each of R + 1 is
        as likely to need the most. The design's margin is not counted.
        """
        return 1 / (1 + self.temptations["seed"].nunique())

    @property
    def summary(self) -> dict[str, Any]:
        """The designed point, what binds it, alternatives, trials and ratios."""
        return {
            "scenario": self.scenario.name,
            "objective": self.objective,
            "setting": self.setting,
            "audit_rate": self.deterrent.rate,
            "fine": self.deterrent.fine,
            "cost": self.cost,
            "binding": self.binding,
            "deviations": len(self.temptations),
            "settings": records(self.settings),
            "trials": records(self.trials),
            "new_seed": self.new_seed,
            "ratios": records(self.ratios()),
            "remarks": list(self.remarks),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each deviation that was measured."""
        return self.temptations

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what was measured, the frontier, the trials and the alternatives."""
        return {
            "temptations": self.temptations,
            "frontier": self.frontier,
            "trials": self.trials,
            "settings": self.settings,
        }

    def page(self) -> Page:
        """Return the frontier, the temptations, and the tables behind them."""
        point = self.deterrent
        return Page(
            f"Sanctions for {self.scenario.name}",
            f"Least {self.objective}: audit rate {point.rate:.3f}, fine and deposit "
            f"{point.fine:.2f} money, {self.objective} {self.cost:.3f}. Binding: {self.binding}."
            + "".join(f" Note: {remark}." for remark in self.remarks),
            [
                Section(
                    "The deterrence frontier",
                    f"The band is the least and the most that one of the seeds needs. {self._new}",
                    figure=partial(draw_frontier, self.frontier, point, self.scenario),
                    name="frontier",
                ),
                Section(
                    "What deviations bring",
                    "Measured in trained federations: all honest, and every attack by all the "
                    "malicious; one by one, in every round.",
                    partial(draw_temptations, self.temptations, point),
                    name="temptations",
                ),
                Section(
                    "Deterrence ratios",
                    "Expected sanction over benefit, means at the designed point with Fieller's "
                    "95 % intervals over seeds, each for itself; a single deviation may be nearer "
                    "to 1 than the mean.",
                    table=self.ratios(),
                ),
                Section(
                    "Tried out",
                    "Learning participants, on seeds that nothing was measured on: the share of "
                    "rounds without an attack in the last third.",
                    table=self.trials,
                ),
                Section("Alternatives", table=self.settings),
            ],
        )

    def lines(self) -> list[str]:
        """Return the designed point and what binds it."""
        point = self.deterrent
        under = "" if self.setting == "scenario" else f", under '{self.setting}'"
        return [
            f"{self.scenario.name}, least {self.objective}: audit rate {point.rate:.3f}, fine "
            f"and deposit {point.fine:.2f}; {self.objective} {self.cost:.3f}{under}",
            f"binding of {len(self.temptations)} deviations: {self.binding}",
            self._new,
            *remark_lines({"remarks": self.remarks}),
        ]

    @property
    def _new(self) -> str:
        return (
            f"A seed that was not measured needs more audits, margin apart, with a chance of "
            f"{self.new_seed:.0%}: of {round(1 / self.new_seed)} seeds alike, each is as likely to "
            "need the most."
        )


def in_words(row: pd.Series) -> str:
    """Return a row of temptations as a phrase."""
    others = "all others are honest" if row["path"] == HONEST else f"the malicious {row['path']}"
    return (
        f"participant {row['participant']} ({row['kind']}, seed {row['seed']}): "
        f"{row['action']} in round {row['round']} while {others}"
    )
