"""The catalogue's scenarios by name; looking them up loads no schema and no model."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices, shortened

CATALOGUE = Path(__file__).parent / "catalogue"


def names() -> list[str]:
    """Return the names of the catalogue's scenarios, sorted."""
    return sorted(path.stem for path in CATALOGUE.glob("*.toml"))


def catalogue() -> dict[str, str]:
    """Return the catalogue's scenario names and their one-line descriptions."""
    return {
        name: tomllib.loads((CATALOGUE / f"{name}.toml").read_text(encoding="utf-8"))["description"]
        for name in names()
    }


def find(source: str) -> Path:
    """Return the file of a catalogue name or a path.

    Raises
    ------
    UserError
        When there is none; the nearest name of the catalogue is suggested.
    """
    if source in names():
        return CATALOGUE / f"{source}.toml"
    path = Path(source)
    try:
        if path.is_file():
            return path
        said = "a folder, not a scenario" if path.is_dir() else "no such scenario"
    except OSError as error:  # a name that no file can have
        said = f"no such scenario ({error.strerror})"
    expected = choices(source, names()).replace("one of", "a TOML file or one of", 1)
    raise UserError(f"{shortened(source)}: {said}{expected}")
