"""The papers that the rules of a scenario come from, as reports cite them."""

from __future__ import annotations

import pandas as pd

from fedfm_sim.agents.actions import KINDS
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.scenarios.schema import Scenario


def sources_of(scenario: Scenario) -> pd.DataFrame:
    """Return where the plug-ins that a scenario uses were published.

    Columns ``part`` (what it is for), ``name`` and ``source``; what has no source is left out.
    """
    mechanism = scenario.mechanism.build()
    rows = [("mechanism", scenario.mechanism.name, mechanism.properties.source)]
    for part in ("defence", "leakage", "protection", "watermark"):
        chosen = getattr(scenario, part)
        rows.append((part, chosen.name, _source(chosen.build())))
    if scenario.contribution.every:
        schemes = scenario.contribution.schemes
        rows += [("contribution", name, _source(SCHEMES[name])) for name in schemes]
    names = {name for kind in KINDS for name in scenario.action_set(kind)}
    for name in sorted(names | {*scenario.deviations.actions}):
        action = scenario.action_table[name]
        attack = attack_of(action)
        if attack is not None:
            rows.append(("attack", str(action.attack), _source(attack)))
    table = pd.DataFrame(rows, columns=["part", "name", "source"]).drop_duplicates()
    return table[table["source"] != ""].reset_index(drop=True)


def _source(plugin: object) -> str:
    """Return where a plug-in was published; one of another package need not say it."""
    return str(getattr(plugin, "source", ""))
