"""``fedfm-sim schema``: what a scenario file may say, for editors that complete and check."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of scenario files, for editors.

    Save it, and name it in the first line of a scenario file, as in: #:schema ./scenario.json
    """
    from fedfm_sim.scenarios.schema import Scenario

    found = Scenario.model_json_schema()
    # What a lock file has beside what a scenario says.
    found["properties"] |= {"version": {"type": "integer"}, "seed": {"type": "integer"}}
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    typer.echo(json.dumps(found, indent=2))
