"""How much work a scenario's run is: counted before it starts, and refused where it can't end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import MAX_PLAYERS, MAX_TABLE_PLAYERS
from fedfm_sim.mechanisms.contribution import SCHEMES, is_sampled
from fedfm_sim.mechanisms.rules.sharing import PaidByContribution
from fedfm_sim.scenarios.schema import Scenario

#: Measures by which a coalition is worth what a model made for it can do on examples.
MEASURED_BY_MODELS = ("likelihood", "accuracy")


@dataclass(frozen=True)
class Work:
    """What takes long in a run.

    Attributes
    ----------
    trainings : int
        Local trainings of one participant in one round, those for deviations included.
    coalitions : int
        Models that are made and measured to value coalitions.
    why : str
        What most coalitions are valued for, and what to set for fewer.
    """

    trainings: int = 0
    coalitions: int = 0
    why: str = ""

    def __add__(self, other: Work) -> Work:
        larger = self if self.coalitions >= other.coalitions else other
        return Work(
            self.trainings + other.trainings, self.coalitions + other.coalitions, larger.why
        )


@dataclass(frozen=True)
class _Use:
    """One use of a contribution scheme: which key names it, and how often it is asked."""

    key: str
    scheme: str
    budget: int | None
    plays: int
    instead: str

    def coalitions(self, players: int) -> int:
        """Return how many coalitions are valued each time."""
        scheme = SCHEMES[self.scheme]
        if is_sampled(self.scheme):
            budget = self.budget or int(scheme.model_fields["budget"].default)
            return min(budget, 1 << players)
        return 1 << players if scheme.exhaustive else players + 1


def work_of(scenario: Scenario) -> Work:
    """Return how much work a run of a scenario is; that of a population is next to none."""
    if scenario.outcomes.source == "measured":
        return Work()
    players, tried = scenario.participants.count, _tried(scenario)
    trainings = players * (scenario.rounds + tried * len(set(scenario.deviations.actions)))
    if scenario.contribution.measure not in MEASURED_BY_MODELS:
        return Work(trainings)
    costs = {use: use.plays * use.coalitions(players) for use in _uses(scenario)}
    if not costs:
        return Work(trainings)
    # All that is valued of one play is valued once, so that only the dearest scheme counts.
    dearest = max(costs, key=lambda use: costs[use])
    why = f"{dearest.key} = '{dearest.scheme}'; cheaper: {dearest.instead}"
    return Work(trainings, costs[dearest], why)


def check_work(scenario: Scenario) -> None:
    """Refuse valuations of more coalitions than a table can hold.

    Raises
    ------
    UserError
        Naming the scenario, the key, and what to set instead.
    """
    players = scenario.participants.count
    for use in _uses(scenario):
        said = f"{scenario.name}: {use.key}: '{use.scheme}'"
        given = f"participants.count = {players}; expected at most"
        if players > MAX_PLAYERS:
            raise UserError(
                f"{said} values coalitions, and {given} {MAX_PLAYERS}, or {_without(use)}"
            )
        if use.coalitions(players) > 1 << MAX_TABLE_PLAYERS:
            raise UserError(
                f"{said} values all 2**{players} coalitions of {given} {MAX_TABLE_PLAYERS}, "
                f"or {use.instead}"
            )


def _without(use: _Use) -> str:
    return use.instead.rpartition(" or ")[2]


def _tried(scenario: Scenario) -> int:
    """Return in how many rounds deviations are tried."""
    return min(scenario.rounds, scenario.deviations.rounds)


def _uses(scenario: Scenario) -> Iterator[_Use]:
    """Iterate over who has coalitions valued in a run, where anybody has."""
    if scenario.outcomes.source == "measured":
        return
    own, players = scenario.contribution, scenario.participants.count
    due = scenario.rounds // own.every if own.every else 0
    mechanism = scenario.mechanism.build()
    if isinstance(mechanism, PaidByContribution):
        others = len({*scenario.deviations.actions} - {HONEST})
        plays = scenario.rounds + _tried(scenario) * players * others
        instead = "mechanism.scheme = 'permutation' (sampled), deviations.rounds = 0"
        yield _Use(
            "mechanism.scheme",
            mechanism.scheme,
            mechanism.evaluations,
            plays,
            f"{instead}, or another mechanism",
        )
    if due:
        instead = "contribution.schemes = ['permutation'] (sampled), or contribution.every = 0"
        for scheme in own.schemes:
            yield _Use("contribution.schemes", scheme, own.budget, due, instead)
