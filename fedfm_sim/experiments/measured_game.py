"""What games whose payoffs were measured have in common: solved, learnt, told and drawn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.intervals import Estimate
from fedfm_sim.core.random import Streams
from fedfm_sim.experiments.reported import Page, Reported
from fedfm_sim.games import dynamics
from fedfm_sim.games.dynamics import Trajectory
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.reporting.game_figures import draw_best_replies, draw_payoffs, draw_trajectories
from fedfm_sim.reporting.page import Section
from fedfm_sim.reporting.tables import remark_lines
from fedfm_sim.scenarios.schema import Scenario

#: What the intervals of games are.
INTERVALS = (
    "Intervals are Student's over seeds, 95 % each, of the equilibrium in which the same actions "
    "are played; the true regret of the strategies is at most what is said, at 95 % or more. "
    "What happens on one seed of twenty, a few seeds can't know."
)

#: Steps of the learning that is drawn.
STEPS = 3000


@dataclass(frozen=True, eq=False)
class Solution:
    """A measured game's equilibria, and what follows.

    Attributes
    ----------
    found : tuple of Intervals
    more : dict
        What is said of this sort of game beside its equilibria; plain values.
    paths : mapping of str to Trajectory
        Of each learning rule, from uniform play.
    """

    found: tuple[Intervals, ...]
    more: dict[str, Any]
    paths: Mapping[str, Trajectory]


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredGame(Reported):
    """A game whose payoffs come from training, with a replicate for every seed.

    Attributes
    ----------
    scenario : Scenario
        What was trained.
    """

    scenario: Scenario

    json_name = "equilibrium.json"

    @property
    @abstractmethod
    def roles(self) -> tuple[str, ...]:
        """Who chooses."""

    @property
    @abstractmethod
    def actions(self) -> tuple[tuple[str, ...], ...]:
        """What each role chooses from."""

    @property
    @abstractmethod
    def seeds(self) -> tuple[int, ...]:
        """Those that every profile was played for."""

    @property
    @abstractmethod
    def empirical(self) -> EmpiricalGame:
        """The game of all players in normal form, with its replicates."""

    @abstractmethod
    def solve(self, rng: np.random.Generator) -> tuple[Intervals, ...]:
        """Return the equilibria with intervals over seeds."""

    @abstractmethod
    def _more(self, found: Sequence[Intervals], rng: np.random.Generator) -> dict[str, Any]:
        """Return what is said of this sort of game beside its equilibria."""

    @abstractmethod
    def told(self) -> list[str]:
        """Return the same in a few lines."""

    @abstractmethod
    def _sections(self) -> list[Section]:
        """Return the sections of the report that only this sort of game has."""

    @property
    @abstractmethod
    def remarks(self) -> list[str]:
        """What was done to make things fit, and which conditions failed, in how many runs."""

    @cached_property
    def solution(self) -> Solution:
        """What is found, with searches that start alike for the same scenario and seeds."""
        rng = Streams(min(self.seeds), self.scenario.name).generator("solution")
        found = self.solve(rng)
        return Solution(found, self._more(found, rng), learning(self.empirical, rng))

    @property
    def summary(self) -> dict[str, Any]:
        """The equilibria, and what else is said of the game; None stands for infinite."""
        own = self.solution
        return {
            "scenario": self.scenario.name,
            "replicates": len(self.seeds),
            "equilibria": [self._equilibrium(each) for each in own.found],
            **own.more,
            "remarks": self.remarks,
        }

    def _equilibrium(self, own: Intervals) -> dict[str, Any]:
        found = own.equilibrium
        plays = zip(self.roles, self.actions, found.strategies, strict=True)
        return {
            **{role: _mixture(names, strategy) for role, names, strategy in plays},
            "payoffs": found.payoffs.tolist(),
            "low": [each.plain()["low"] for each in _money(own)],
            "high": [each.plain()["high"] for each in _money(own)],
            "regret": found.regret,
            "regret_high": None if isnan(own.regret_high) else own.regret_high,
        }

    def rows(self) -> list[dict[str, str]]:
        """Return the equilibria as they are shown."""
        return [self._row(own) for own in self.solution.found]

    def _row(self, own: Intervals) -> dict[str, str]:
        told, found = self._equilibrium(own), own.equilibrium
        most = "" if isnan(own.regret_high) else f", truly at most {own.regret_high:.2f}"
        return {
            **{
                f"{role}: play": ", ".join(
                    f"{name} {part:.0%}" for name, part in told[role].items()
                )
                for role in self.roles
            },
            **{
                f"{role}: money": f"{paid:.2f}"
                for role, paid in zip(self.roles, _money(own), strict=True)
            },
            "regret": f"{found.regret:.1e}{most}",
        }

    def lines(self) -> list[str]:
        """Return the game in a few lines."""
        count = len(self.solution.found)
        head = f"{self.scenario.name}: {count} equilibria on {len(self.seeds)} seeds"
        return [head, *self.told(), *self.notes()]

    def notes(self) -> list[str]:
        """Return the remarks as they are shown."""
        return remark_lines({"remarks": self.remarks})

    def page(self) -> Page:
        """Return equilibria, pictures of payoffs, replies and learning, and what else there is."""
        game, found = self.empirical, self.solution.found
        sections = [Section("Equilibria", INTERVALS, table=pd.DataFrame(self.rows()))]
        if len(game.actions) == 2:
            pair = (self.roles[0], self.roles[-1])
            sections += [
                Section(
                    "Payoffs",
                    "Means and standard errors over seeds; framed: best replies.",
                    partial(draw_payoffs, game, found, pair),
                    name="payoffs",
                ),
                Section(
                    "Best replies",
                    "Filled: nobody leaves; ringed: the equilibrium.",
                    partial(draw_best_replies, game.game, found, pair),
                    name="best-replies",
                ),
            ]
        # Equilibria of roles are not drawn among single players.
        single = all(len(game.actions) == len(own.equilibrium.strategies) for own in found)
        sections.append(
            Section(
                "Learning",
                "Averages of play where a rule learns by averages.",
                partial(draw_trajectories, game.game, self.solution.paths, found if single else ()),
                name="learning",
            )
        )
        lead = (
            f"{self.scenario.description} Payoffs are money, measured on {game.replicates} seeds."
        )
        lead = " ".join([lead, *(f"Note: {remark}." for remark in self.remarks)])
        return Page(self.scenario.name, lead, [*sections, *self._sections()])


def learning(game: EmpiricalGame, rng: np.random.Generator) -> dict[str, Trajectory]:
    """Return the paths of the learning rules from uniform play."""
    own = game.game
    start = [np.full(len(names), 1 / len(names)) for names in own.actions]
    return {
        "best response": dynamics.best_response(own, start, STEPS, rate=0.1),
        "logit": dynamics.logit(own, start, STEPS, precision=20 / own.scales),
        "replicator": dynamics.replicator(own, start, STEPS, rate=2),
        "fictitious play": dynamics.fictitious_play(own, start, STEPS),
        "regret matching": dynamics.regret_matching(own, STEPS),
        "Exp3": dynamics.exp3(own, STEPS, rng),
        "Q-learning": dynamics.q_learning(own, STEPS, rng),
    }


def _money(own: Intervals) -> list[Estimate]:
    """Return each role's payoff with its interval."""
    ends = zip(own.equilibrium.payoffs.tolist(), own.low.tolist(), own.high.tolist(), strict=True)
    return [Estimate(*each) for each in ends]


def _mixture(names: Sequence[str], shares: Array) -> dict[str, float]:
    pairs = zip(names, shares, strict=True)
    return {name: round(float(share), 6) for name, share in pairs if share > 1e-6}
