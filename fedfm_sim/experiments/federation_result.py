"""The game of whole federations, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.pareto import pareto_front
from fedfm_sim.experiments.measured_game import MeasuredGame
from fedfm_sim.experiments.reported import records
from fedfm_sim.games.empirical import EmpiricalGame, Intervals, intervals
from fedfm_sim.games.estimates import RESAMPLES, Estimate
from fedfm_sim.games.normal_form import Equilibrium
from fedfm_sim.games.symmetric import RoleSymmetricGame
from fedfm_sim.reporting.game_figures import draw_front
from fedfm_sim.reporting.page import Section

#: Resamples of symmetric equilibria, which are searched for and not solved.
SEARCHED = 100


@dataclass(frozen=True, eq=False, repr=False)
class FederationGame(MeasuredGame):
    """The reduced game and the runs it was measured on.

    Attributes
    ----------
    runs : DataFrame
        One row per run: ``rule``, ``profile`` (counts in words), ``seed``, and per round, money:
        ``server``'s payoff, total ``utility`` of the participants (Eq. 12) and their total
        ``cost``; with ``accuracy`` and ``attack_success`` at the end.
    replicates : tuple of RoleSymmetricGame
        One for each seed; payoffs are means over a kind's participants and rounds.
    """

    runs: pd.DataFrame
    replicates: tuple[RoleSymmetricGame, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The kinds that choose, and the server where it does."""
        return self.replicates[0].roles

    @property
    def actions(self) -> tuple[tuple[str, ...], ...]:
        """What each role chooses from."""
        return self.replicates[0].actions

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that every profile was played for."""
        return tuple(map(int, self.runs["seed"].unique()))

    @cached_property
    def game(self) -> RoleSymmetricGame:
        """The game of mean payoffs."""
        return self._mean(np.arange(len(self.replicates)))

    @property
    def one_each(self) -> bool:
        """Whether every role moves as one player: then it is a game in normal form."""
        return all(count == 1 for count in self.game.players)

    @cached_property
    def empirical(self) -> EmpiricalGame:
        """The game of all players in normal form, with its replicates."""
        tensors = [own.expanded() for own in self.replicates]
        return EmpiricalGame(np.stack([own.payoffs for own in tensors]), tensors[0].actions)

    def solve(self, rng: np.random.Generator) -> tuple[Intervals, ...]:
        """Return the equilibria with bootstrap intervals over seeds; strategies by role.

        Where every role is one player, all that `fedfm_sim.games.solve` finds; else
        those in which players of a role play alike.
        """
        if self.one_each:
            return self.empirical.solve(rng)
        count = len(self.replicates)
        means = [self._mean(rng.integers(0, count, count)) for _ in range(SEARCHED)]
        found = [mean.symmetric_equilibria(rng, starts=4) for mean in means]
        return tuple(
            intervals(own, [mean.regret(np.concatenate(own.strategies)) for mean in means], found)
            for own in self.game.symmetric_equilibria(rng)
        )

    def epsilon_star(self, honest: Sequence[str], rng: np.random.Generator) -> Estimate:
        """Return the regret of the profile in which each role plays this action (Eq. 13).

        With its bootstrap interval over seeds.

        Raises
        ------
        UserError
            When it does not name an action of each role.
        """
        if len(honest) != len(self.roles):
            raise UserError(f"{list(honest)}: expected one action of each of {self.roles}")
        chosen = [
            [float(name == action) for name in own]
            for own, action in zip(self.actions, honest, strict=True)
        ]
        if any(sum(part) != 1 for part in chosen):
            raise UserError(f"{list(honest)}: expected one action of each of {self.roles}")
        profile, count = np.concatenate(chosen), len(self.replicates)
        means = (self._mean(rng.integers(0, count, count)) for _ in range(RESAMPLES))
        return Estimate.of(self.game.regret(profile), [mean.regret(profile) for mean in means])

    def front(self) -> pd.DataFrame:
        """Return Eq. 14: total utility against total cost of every profile, means over seeds.

        ``welfare`` is the utility of all, the server included, so that payments cancel out;
        ``best`` marks the Pareto front: no profile has more of it at no more cost.
        """
        runs = self.runs.assign(welfare=self.runs["utility"] + self.runs["server"])
        table = runs.groupby(["rule", "profile"], sort=False)[["welfare", "cost"]].mean()
        front = pareto_front(table[["cost", "welfare"]].to_numpy() * np.array([1.0, -1.0]))
        return table.assign(best=front.tolist()).reset_index()

    def anarchy(self, equilibria: Sequence[Equilibrium]) -> tuple[float, float]:
        """Return the highest total utility of a profile, and that of the worst equilibrium.

        Of the players of the reduced game, the server among them, money per round. Their
        ratio is the price of anarchy where both are positive.
        """
        worst = min(float(np.dot(self.game.players, own.payoffs)) for own in equilibria)
        return self.game.best_welfare(), worst

    def to_frame(self) -> pd.DataFrame:
        """Return one row per run."""
        return self.runs

    def _more(self, found: Sequence[Intervals], rng: np.random.Generator) -> dict[str, Any]:
        best, worst = self.anarchy([own.equilibrium for own in found])
        honest = [names[0] for names in self.actions]
        return {
            "players": list(self.game.players),
            "epsilon_star": {" / ".join(honest): asdict(self.epsilon_star(honest, rng))},
            "best_welfare": best,
            "worst_equilibrium_welfare": worst,
            "front": records(self.front()),
        }

    def told(self) -> list[str]:
        """Return epsilon* of honesty, the welfare and how long the front is."""
        own = self.solution.more
        ((profile, epsilon),) = own["epsilon_star"].items()
        best, worst = own["best_welfare"], own["worst_equilibrium_welfare"]
        ratio = f"; price of anarchy {best / worst:.3f}" if worst > 0 else ""
        count = sum(row["best"] for row in own["front"])
        return [
            f"epsilon* of {profile}: {Estimate(**epsilon)} money per round (Eq. 13)",
            f"welfare of the reduced game's players: {best:.2f} at best, {worst:.2f} in the worst "
            f"equilibrium{ratio}",
            f"profiles on the front of utility and cost (Eq. 14): {count} of {len(own['front'])}",
        ]

    def _sections(self) -> list[Section]:
        return [
            Section(
                "Utility against cost (Eq. 14)",
                "Totals over participants.",
                partial(draw_front, self.front()),
                name="front",
            ),
            Section("Runs", table=self.runs),
        ]

    def _mean(self, drawn: np.ndarray) -> RoleSymmetricGame:
        first = self.replicates[0]
        payoffs = np.mean([self.replicates[r].payoffs for r in drawn], axis=0)
        return RoleSymmetricGame(first.roles, first.players, first.actions, first.counts, payoffs)
