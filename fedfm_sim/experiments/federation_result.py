"""The game of whole federations, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import Estimate, moves
from fedfm_sim.core.pareto import pareto_front
from fedfm_sim.experiments.measured_game import MeasuredGame
from fedfm_sim.experiments.reported import records
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.normal_form import Equilibrium
from fedfm_sim.games.sensitivity import payoff_changes
from fedfm_sim.games.symmetric import RoleSymmetricGame
from fedfm_sim.reporting.game_figures import draw_front
from fedfm_sim.reporting.page import Section
from fedfm_sim.simulation.conditions import gathered


@dataclass(frozen=True, eq=False, repr=False)
class FederationGame(MeasuredGame):
    """The reduced game and the runs it was measured on.

    Attributes
    ----------
    runs : DataFrame
        One row per run: ``rule``, ``profile`` (counts in words), ``seed``, and per round, money:
        ``server``'s payoff, total ``utility`` of the participants (Eq. 12) and their total
        ``cost``; with ``accuracy`` and ``attack_success`` at the end, and the ``accuracy_lost``
        to attackers per round, and the ``remarks`` that stand with the run.
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
        payoffs = np.mean([own.payoffs for own in self.replicates], axis=0)
        return replace(self.replicates[0], payoffs=payoffs)

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
        """Return the equilibria with intervals over seeds; strategies by role.

        Where every role is one player, all that `fedfm_sim.games.solve` finds; else
        those in which players of a role play alike.

        Parameters
        ----------
        rng : Generator
            Where the search for equilibria in which players play alike starts.
        """
        if self.one_each:
            return self.empirical.solve()
        return tuple(self._intervals(own) for own in self.game.symmetric_equilibria(rng))

    def _intervals(self, own: Equilibrium) -> Intervals:
        changes = np.full((1, len(own.payoffs)), np.nan)
        if self._degrees:
            each = [move.population.values for move in self._moves]
            changes = payoff_changes(self.game.population.values, each, own.strategies)
        gains, errors = self._gains(np.concatenate(own.strategies))
        return Intervals.of(own, changes, gains, errors, self._degrees)

    def epsilon_star(
        self, honest: Sequence[str], rng: np.random.Generator | None = None
    ) -> Estimate:
        """Return the regret of the profile in which each role plays this action (Eq. 13).

        The most that one player gains, in the mean over seeds, by playing another action in
        the whole run, the others' policies being fixed. With an interval over seeds of the
        truly largest gain: see `fedfm_sim.core.intervals.Estimate.of_largest`.

        Parameters
        ----------
        honest : sequence of str
            An action of each role.
        rng : Generator, optional
            No notice is taken of it: nothing is drawn.

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
        return Estimate.of_largest(*self._gains(np.concatenate(chosen)), self._degrees)

    @property
    def remarks(self) -> list[str]:
        """What was done to make things fit, and which conditions failed, in how many runs."""
        return gathered(self.runs["remarks"]) if "remarks" in self.runs else []

    @property
    def _degrees(self) -> int:
        return len(self.replicates) - 1

    @cached_property
    def _moves(self) -> list[RoleSymmetricGame]:
        """What each replicate moves the game by: see `fedfm_sim.core.intervals.moves`."""
        payoffs = np.array([own.payoffs for own in self.replicates])
        return [replace(self.game, payoffs=move) for move in moves(payoffs)]

    def _gains(self, shares: Array) -> tuple[Array, Array]:
        """Return what every action gains over shares (A,) that all play, and the errors."""

        def gains(game: RoleSymmetricGame) -> Array:
            values = game.population.split(game.population.values(shares))
            own = zip(values, game.population.split(shares), strict=True)
            return np.concatenate([value - value @ part for value, part in own])

        if not self._degrees:
            return gains(self.game), np.full(len(shares), np.nan)
        moved = np.array([gains(move) for move in self._moves])
        return gains(self.game), np.asarray(np.sqrt((moved**2).sum(axis=0)))

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
            "epsilon_star": {" / ".join(honest): self.epsilon_star(honest).plain()},
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
            f"epsilon* of {profile}: {Estimate.read(**epsilon)} money per round (Eq. 13)",
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
