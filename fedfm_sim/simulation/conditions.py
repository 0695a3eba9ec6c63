"""Whether the published conditions of the rules in play hold, and what is said where they do not.

A rule says by itself which condition fails (its ``condition``). What can never hold is
refused with the scenario; what depends on who takes part is asked anew in each round, of
those who are really aggregated, stands in the table of rounds and is told with the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from fedfm_sim.simulation.play import Play
    from fedfm_sim.simulation.setting import Setting

#: What stands between two lines in the table of rounds.
BETWEEN = " | "


def conditions_of(play: Play) -> tuple[str, ...]:
    """Return which conditions of defence, attacks and protection failed in a round, a line each."""
    return tuple(_failed(play))


def _failed(play: Play) -> Iterator[str]:
    scenario, setting = play.setting.scenario, play.setting
    accepted, attacking = len(play.accepted), play.attacking
    malicious = int(np.count_nonzero(attacking[play.accepted]))
    if (why := setting.defence.condition(accepted, malicious)) is not None:
        yield f"defence '{scenario.defence.name}': {why}"
    sending = accepted - malicious
    if (why := setting.protection.condition(sending)) is not None:
        yield f"protection '{scenario.protection.name}': {why}"
    attackers = int(np.count_nonzero(attacking))
    honest = int(np.count_nonzero(play.allocation.selected)) - attackers
    for name in dict.fromkeys(play.names[k] for k in np.flatnonzero(attacking)):
        if (why := setting.attacks[name].condition(honest, attackers)) is not None:
            yield f"action '{name}': {why}"


def remarks_of(setting: Setting, rounds: pd.DataFrame) -> list[str]:
    """Return all that is to be said with a run's result: of its setting, and of its rounds."""
    said: dict[str, list[int]] = {}
    for _, row in rounds.iterrows():
        for line in filter(None, str(row["conditions"]).split(BETWEEN)):
            said.setdefault(line, []).append(int(row["round"]))
    return [*setting.remarks, *(f"{line} ({_when(own)})" for line, own in said.items())]


def _when(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    first, last = numbers[0], numbers[-1]
    through = len(numbers) == last - first + 1
    return f"rounds {first} to {last}" + ("" if through else f", {len(numbers)} of them")
