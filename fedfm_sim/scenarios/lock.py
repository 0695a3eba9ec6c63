"""The lock file: a scenario with every default written out, which runs again as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fedfm_sim.core.chosen import FULL
from fedfm_sim.scenarios.schema import Scenario


def to_toml(scenario: Scenario, seed: int) -> str:
    """Return TOML that `load_scenario` reads back to an equal scenario."""
    content = scenario.model_dump(mode="json", exclude_none=True, context=FULL)
    lines = [f"# Every value of this run; again with: fedfm-sim run THIS_FILE --seed {seed}"]
    return "\n".join(lines + _table(content, ())) + "\n"


def _table(content: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = [f"{_key(k)} = {_value(v)}" for k, v in content.items() if not isinstance(v, dict)]
    header = ["", f"[{'.'.join(_key(part) for part in path)}]"] if path and plain else []
    nested = [
        line for k, v in content.items() if isinstance(v, dict) for line in _table(v, (*path, k))
    ]
    return header + plain + nested


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if bare else json.dumps(name)


def _value(value: Any) -> str:
    # JSON's strings, numbers, booleans and arrays are TOML's too.
    return json.dumps(value)
