"""Values that are put over those of a scenario file, and who is to blame for one that is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import shortened


@dataclass(frozen=True)
class Override:
    """A value under a dotted key.

    Attributes
    ----------
    key : str
        Such as "participants.malicious".
    value : object
        As TOML has it.
    said : str
        What the user wrote, as errors name it: "--set participants.malicious=3".
    """

    key: str
    value: Any
    said: str

    @classmethod
    def parse(cls, text: str, option: str = "--set") -> Self:
        """Return the override that ``key=value`` is; the value is TOML, or else text.

        Raises
        ------
        UserError
            When it is not of this form.
        """
        key, equals, value = text.partition("=")
        said = f"{option} {shortened(text)}"
        if not equals or not all(key.strip().split(".")):
            raise UserError(f"{said}: expected key=value, such as participants.malicious=3")
        return cls(key.strip(), toml_or_text(value), said)

    @property
    def parts(self) -> list[str]:
        """The tables that lead to the key, and the key."""
        return self.key.split(".")

    def apply(self, content: dict[str, Any]) -> None:
        """Put the value into a scenario's content.

        Raises
        ------
        UserError
            When the key leads through something that is no table.
        """
        *sections, last = self.parts
        for part in sections:
            inner = content.setdefault(part, {})
            if isinstance(inner, str):  # a plug-in that is only named
                inner = content[part] = {"name": inner}
            if not isinstance(inner, dict):
                raise UserError(f"{self.said}: '{part}' holds a value, not a table")
            content = inner
        content[last] = self.value

    def concerns(self, location: Sequence[str]) -> bool:
        """Return whether an error at a place in the content is about this key or its table."""
        pairs = zip(self.parts, location, strict=False)
        return bool(location) and all(own == other for own, other in pairs)


def blamed(overrides: Sequence[Override], location: Sequence[str]) -> str:
    """Return which of some overrides, without which all is well, an error is put down to."""
    about = [own for own in overrides if own.concerns(location)]
    return about[-1].said if about else shortened(" ".join(own.said for own in overrides))


def alternatives(text: str) -> tuple[str, list[Any]]:
    """Return the key and the values of ``key=value,value,...``; each is TOML, or else text.

    Examples
    --------
    >>> alternatives("sanctions.fine=0,2.5")
    ('sanctions.fine', [0, 2.5])
    >>> alternatives("mechanism=vcg,fmore")
    ('mechanism', ['vcg', 'fmore'])

    Raises
    ------
    UserError
        When it is not of this form.
    """
    key, equals, values = text.partition("=")
    found = toml_or_text(f"[{values}]")
    if not isinstance(found, list):
        found = [toml_or_text(value) for value in values.split(",")]
    if not (key and equals and found) or "" in found:
        raise UserError(
            f"--over {shortened(text)}: expected key=value,value such as mechanism=fmore,vcg"
        )
    return key.strip(), found


def toml_or_text(text: str) -> Any:
    """Return the value that TOML reads from a text, or the text."""
    try:
        content = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return content["value"] if len(content) == 1 else text.strip()


def same_type(values: Iterable[Any]) -> bool:
    """Return whether a table can hold the values in one column as they are."""
    kinds = {type(value) for value in values}
    return len(kinds) == 1 or kinds == {int, float}
