"""The lock file: a scenario with every default written out, and its seed; it runs again."""

from __future__ import annotations

import tomli_w

from fedfm_sim.scenarios.schema import Scenario

#: Of the format; a lock file is told from other scenario files by having one.
VERSION = 1

_HEAD = "# Every value of this run; again with: fedfm-sim run THIS_FILE\n"


def to_toml(scenario: Scenario, seed: int) -> str:
    """Return TOML that `load_lock` reads back to an equal scenario and the seed."""
    return _HEAD + tomli_w.dumps({"version": VERSION, "seed": seed, **scenario.whole()})
