"""Find a scenario, apply overrides, and say in one line what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import shortened, unfit, unknown_key
from fedfm_sim.core.registry import NestedError
from fedfm_sim.scenarios.lock import VERSION
from fedfm_sim.scenarios.names import CATALOGUE, catalogue, find
from fedfm_sim.scenarios.outcomes import table_at
from fedfm_sim.scenarios.overrides import Override, blamed
from fedfm_sim.scenarios.schema import Scenario, backbone_at
from fedfm_sim.scenarios.work import check_work

__all__ = ["CATALOGUE", "catalogue", "load_lock", "load_run", "load_scenario", "overridden",
           "parse_scenario"]  # fmt: skip

S = TypeVar("S", bound=Scenario)


def load_scenario(source: str | Path, overrides: Sequence[str | Override] = ()) -> Scenario:
    """Return the scenario of a catalogue name or a TOML path; of a lock file, without its seed.

    Parameters
    ----------
    source : str or Path
        A catalogue name ("quickstart") or the path of a TOML file.
    overrides : sequence of str or Override
        Such as "participants.malicious=3" or "mechanism.name=posted-price";
        the value is read as TOML, or as text where it is not TOML.

    Raises
    ------
    UserError
        Naming the file, or the override that is to blame, the key and what was expected.
    """
    return _load(source, overrides)[0]


def load_run(
    source: str | Path, overrides: Sequence[str | Override] = (), seed: int | None = None
) -> tuple[Scenario, int]:
    """Return a scenario, and the seed given; else the lock file's own, else 0.

    Raises
    ------
    UserError
        As `load_scenario`, when the seed is negative, and when more coalitions would be valued
        than can be.
    """
    scenario, locked = _load(source, overrides)
    check_work(scenario)
    chosen = next(one for one in (seed, locked, 0) if one is not None)
    if chosen < 0:
        raise UserError(f"--seed {chosen}: expected an integer of at least 0")
    return scenario, chosen


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
        Override(key, value, f"{origin or scenario.name}: {key}").apply(content)
    return _parsed(type(scenario), content, origin or scenario.name)


def _load(source: str | Path, overrides: Sequence[str | Override]) -> tuple[Scenario, int | None]:
    """Return the scenario, and the seed where the file is a lock file."""
    path = find(str(source))
    content = _read(path)
    _locate(content, path.parent)
    own = [Override.parse(one) if isinstance(one, str) else one for one in overrides]
    changed = deepcopy(content)
    for override in own:
        override.apply(changed)
    seed = _unlocked(changed, path)
    try:
        return Scenario.model_validate(changed), seed
    except ValidationError as error:
        location, message = _wrong(Scenario, error)
        _unlocked(content, path)
        guilty = blamed(own, location) if own and _is_valid(content) else path
        raise UserError(f"{guilty}: {_line(location, message)}") from error


def _is_valid(content: Mapping[str, Any]) -> bool:
    try:
        Scenario.model_validate(content)
    except ValidationError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error
    except (ValueError, RecursionError) as error:  # of numbers and nesting beyond measure, too
        raise UserError(f"{path}: not valid TOML: {error}") from error


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


def _parsed(schema: type[S], content: Mapping[str, Any], origin: str) -> S:
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: {_line(*_wrong(schema, error))}") from error


def _wrong(schema: type[BaseModel], errors: ValidationError) -> tuple[list[str], str]:
    """Return where the first thing that is wrong is, and what is wrong with it."""
    error = errors.errors()[0]
    location, message = list(error["loc"]), unfit(error)
    if error["type"] == "extra_forbidden":
        message = unknown_key(schema, location)
    elif error["type"] == "value_error":
        cause = error["ctx"]["error"]
        location += cause.location if isinstance(cause, NestedError) else ()
        message = str(cause)
    return [str(part) for part in location if part != "[key]"], message


def _line(location: Sequence[str], message: str) -> str:
    key = shortened(".".join(location))
    return " ".join(f"{key}: {message}".removeprefix(": ").split())
