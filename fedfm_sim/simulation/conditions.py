"""Whether the published conditions of the rules in play hold, and what is said where they do not.

A rule says by itself which condition fails (its ``condition``). It is asked in each round, of
those who are really aggregated; what it says stands in the table of rounds and is told with
the result. A rule below its conditions is played all the same, as studies of that are made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Index, Mask
from fedfm_sim.simulation.setting import Setting

#: What stands between two lines in the table of rounds.
BETWEEN = " | "


def conditions_of(
    setting: Setting, names: Sequence[str], selected: Mask, attacking: Mask, accepted: Index
) -> Iterator[str]:
    """Yield which conditions of defence, protection and attacks failed in a round, a line each.

    Parameters
    ----------
    setting : Setting
    names : sequence of n str
        The action of each participant.
    selected, attacking : (n,) bool array
        Who took part, and who of them broke the protocol.
    accepted : array of int
        Whose updates were sound and so aggregated.
    """
    scenario = setting.scenario
    malicious = int(np.count_nonzero(attacking[accepted]))
    if (why := setting.defence.condition(len(accepted), malicious)) is not None:
        yield f"defence '{scenario.defence.name}': {why}"
    if (why := setting.protection.condition(len(accepted) - malicious)) is not None:
        yield f"protection '{scenario.protection.name}': {why}"
    attackers = int(np.count_nonzero(attacking))
    honest = int(np.count_nonzero(selected)) - attackers
    for name in dict.fromkeys(names[k] for k in np.flatnonzero(attacking).tolist()):
        if (why := setting.attacks[name].condition(honest, attackers)) is not None:
            yield f"action '{name}': {why}"


def remarks_of(remarks: Sequence[str], rounds: pd.DataFrame) -> list[str]:
    """Return all that is to be said with a run's result: of its setting, and of its rounds."""
    said: dict[str, list[int]] = {}
    for _, row in rounds.iterrows():
        for line in filter(None, str(row["conditions"]).split(BETWEEN)):
            said.setdefault(line, []).append(int(row["round"]))
    return [*remarks, *(f"{line} ({_when(own)})" for line, own in said.items())]


def gathered(remarks: Iterable[str]) -> list[str]:
    """Return what several runs are told, each line once and without its rounds.

    Parameters
    ----------
    remarks : iterable of str
        Of each run, its lines with `BETWEEN` between them.
    """
    each = [{_plain(line) for line in filter(None, own.split(BETWEEN))} for own in remarks]
    counts = Counter(line for own in each for line in sorted(own))
    return [f"{line} (in {count} of {len(each)} runs)" for line, count in counts.items()]


def _plain(line: str) -> str:
    return re.sub(r" \(rounds? [^()]*\)$", "", line)


def _when(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    first, last = numbers[0], numbers[-1]
    through = len(numbers) == last - first + 1
    return f"rounds {first} to {last}" + ("" if through else f", {len(numbers)} of them")
