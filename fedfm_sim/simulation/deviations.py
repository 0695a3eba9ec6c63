"""What other actions would have brought: the deviations of Eq. 13."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fedfm_sim.agents.participant import Participant
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.scenarios.sections import DeviationSettings
from fedfm_sim.simulation.play import Play

#: What `deviation_rows` tells of each; a deviation's ``gain`` is at the scenario's sanctions,
#: and an audit of chance p and a fine F would make it
#: ``benefit - p (confiscated + F convicted)``.
COLUMNS = [
    *("round", "participant", "kind", "played", "action"),
    *("gain", "benefit", "confiscated", "convicted"),
]


def tried(settings: DeviationSettings, agent: Participant) -> list[str]:
    """Return the actions that a participant's own is measured against."""
    return [a for a in settings.actions if not settings.within_sets or a in agent.actions]


def to_train(
    settings: DeviationSettings, agents: Iterable[Participant]
) -> Iterator[tuple[int, str]]:
    """Iterate over what has to be trained to try all deviations: participants and actions."""
    return ((agent.index, name) for agent in agents for name in tried(settings, agent))


def rounds_tried(scenario: Scenario, done: int) -> int:
    """Return in how many of the rounds that are done deviations were tried."""
    return max(0, done - max(0, scenario.rounds - scenario.deviations.rounds))


def deviation_rows(
    settings: DeviationSettings, agents: Sequence[Participant], play: Play
) -> list[dict[str, Any]]:
    """Return a row for each action that a participant could have taken instead.

    Everything else stays as it was: what others do, and every random draw.
    """
    return [
        {
            "round": play.updates.number + 1,
            "participant": agent.index,
            "kind": agent.kind,
            "played": play.names[agent.index],
            "action": name,
            **_gains(play, agent.index, name),
        }
        for agent in agents
        for name in tried(settings, agent)
        if name != play.names[agent.index]
    ]


def _gains(play: Play, k: int, name: str) -> dict[str, float]:
    """Return what one participant gains by another action, and what of it sanctions could take."""
    other = replace(play, names=(*play.names[:k], name, *play.names[k + 1 :]))
    ours, theirs = _parts(play, k), _parts(other, k)
    return {key: theirs[key] - ours[key] for key in ours}


def _parts(play: Play, k: int) -> dict[str, float]:
    guilty = float(play.guilty_of(k))
    return {
        "gain": float(play.expected(k).total),
        "benefit": float(play.expected(k, unaudited=True).total),
        "confiscated": guilty * float(play.payments[k]),
        "convicted": guilty,
    }
