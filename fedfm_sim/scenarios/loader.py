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
from fedfm_sim.scenarios.lock import VERSION
from fedfm_sim.scenarios.outcomes import table_at
from fedfm_sim.scenarios.schema import Scenario, backbone_at

S = TypeVar("S", bound=Scenario)

CATALOGUE = Path(__file__).parent / "catalogue"


def catalogue() -> dict[str, str]:
    """Return the catalogue's scenario names and their one-line descriptions."""
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["description"]
        for path in sorted(CATALOGUE.glob("*.toml"))
    }


def load_scenario(source: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Return the scenario of a catalogue name or a TOML path; of a lock file, without its seed.

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
    return _load(source, overrides)[0]


def load_run(
    source: str | Path, overrides: Sequence[str] = (), seed: int | None = None
) -> tuple[Scenario, int]:
    """Return a scenario, and the seed given; else the lock file's own, else 0.

    Raises
    ------
    UserError
        As `load_scenario`.
    """
    scenario, locked = _load(source, overrides)
    return scenario, next(one for one in (seed, locked, 0) if one is not None)


def load_lock(path: str | Path) -> tuple[Scenario, int]:
    """Return the scenario and the seed of a lock file.

    Raises
    ------
    UserError
        As `load_scenario`, and when the file is a scenario but no lock file.
    """
    scenario, seed = _load(path, ())
    if seed is None:
        raise UserError(f"{path}: no lock file; expected 'version' and 'seed'")
    return scenario, seed


def parse_scenario(content: Mapping[str, Any], origin: str) -> Scenario:
    """Validate a scenario's content; ``origin`` is named in the error."""
    return _parsed(Scenario, content, origin)


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


def _load(source: str | Path, overrides: Sequence[str]) -> tuple[Scenario, int | None]:
    """Return the scenario, and the seed where the file is a lock file."""
    path = _find(str(source))
    content = _read(path)
    _locate(content, path.parent)
    for override in overrides:
        _apply(content, override)
    seed = _unlocked(content, path)
    return parse_scenario(content, str(path)), seed


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


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error


def _locate(content: dict[str, Any], folder: Path) -> None:
    """Name in full what the file names by a path from its own folder."""
    if isinstance(name := content.get("backbone"), str):
        content["backbone"] = backbone_at(folder, name)
    outcomes = content.get("outcomes")
    if isinstance(outcomes, dict) and isinstance(name := outcomes.get("table"), str):
        outcomes["table"] = table_at(folder, name)


def _unlocked(content: dict[str, Any], path: Path) -> int | None:
    """Take from a lock file's content what is its own, and return its seed."""
    if "version" not in content:
        return None
    version, seed = content.pop("version"), content.pop("seed", None)
    if version != VERSION:
        raise UserError(f"{path}: version: expected {VERSION}, got {version!r}")
    if type(seed) is not int or seed < 0:
        raise UserError(f"{path}: seed: expected an integer of at least 0, got {seed!r}")
    return seed


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


def _parsed(schema: type[S], content: Mapping[str, Any], origin: str) -> S:
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: {_one_line(schema, error.errors()[0])}") from error


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
