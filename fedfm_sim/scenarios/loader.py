"""Find a scenario, apply overrides, and say in one line what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import unknown_key
from fedfm_sim.core.registry import NestedError
from fedfm_sim.scenarios.schema import Scenario

S = TypeVar("S", bound=Scenario)

CATALOGUE = Path(__file__).parent / "catalogue"


def catalogue() -> dict[str, str]:
    """Return the catalogue's scenario names and their one-line descriptions."""
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["description"]
        for path in sorted(CATALOGUE.glob("*.toml"))
    }


def load_scenario(source: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Return the scenario of a catalogue name or a TOML path.

    Parameters
    ----------
    source : str or Path
        A catalogue name ("quickstart") or the path of a TOML file.
    overrides : sequence of str
        Such as "participants.malicious=3" or "mechanism.name=posted-price";
        the value is read as TOML, or as text where it is not TOML.

    Raises
    ------
    UserError
        Naming the file, the key and what was expected.
    """
    path = _find(str(source))
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error
    for override in overrides:
        _apply(content, override)
    return parse_scenario(content, str(path))


def parse_scenario(content: Mapping[str, Any], origin: str) -> Scenario:
    """Validate a scenario's content; ``origin`` is named in the error."""
    return _parsed(Scenario, content, origin)


def _parsed(schema: type[S], content: Mapping[str, Any], origin: str) -> S:
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: {_one_line(schema, error.errors()[0])}") from error


def _find(source: str) -> Path:
    named = CATALOGUE / f"{source}.toml"
    if "/" not in source and named.is_file():
        return named
    path = Path(source)
    if path.is_file():
        return path
    raise UserError(
        f"{source}: no such scenario; expected a TOML file or one of: {', '.join(catalogue())}"
    )


def overridden(scenario: S, values: Mapping[str, Any], origin: str = "") -> S:
    """Return a scenario with other values under dotted keys ("sanctions.fine").

    Raises
    ------
    UserError
        Naming ``origin``, by default the scenario, the key and what was expected.
    """
    content = scenario.model_dump(mode="json", exclude_none=True)
    for key, value in values.items():
        _put(content, key.split("."), value, f"{origin or scenario.name}: {key}")
    return _parsed(type(scenario), content, origin or scenario.name)


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {override}: expected key=value, such as participants.malicious=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    _put(content, parts, value, f"--set {override}")


def _put(content: dict[str, Any], parts: Sequence[str], value: Any, said: str) -> None:
    *sections, last = parts
    for part in sections:
        inner = content.setdefault(part, {})
        if isinstance(inner, str):  # a plug-in that is only named
            inner = content[part] = {"name": inner}
        if not isinstance(inner, dict):
            raise UserError(f"{said}: '{part}' holds a value, not a table")
        content = inner
    content[last] = value


def _one_line(schema: type[BaseModel], error: ErrorDetails) -> str:
    location, message = list(error["loc"]), f"{error['msg']}, got {error['input']!r}"
    if error["type"] == "extra_forbidden":
        message = unknown_key(schema, location)
    elif error["type"] == "value_error":
        cause = error["ctx"]["error"]
        location += cause.location if isinstance(cause, NestedError) else ()
        message = str(cause)
    key = ".".join(str(part) for part in location if part != "[key]")
    return f"{key}: {message}".removeprefix(": ").replace("\n", " ")
