"""Named, lazily imported extension points.

A mechanism, attack, defence, policy, data set or backbone is one file and one
line in a registry. Another package adds its own through an entry point of the
registry's group, without touching this one::

    [project.entry-points."fedfm_sim.attacks"]
    my-attack = "my_package.attacks:MyAttack"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import nearest, unknown_key

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class NestedError(UserError):
    """A key of a plug-in's own parameters that is wrong; ``location`` leads to it."""

    def __init__(self, location: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.location = location

    @property
    def line(self) -> str:
        """The error in one line, the key first."""
        return ": ".join([".".join(map(str, self.location)), str(self)])


@contextmanager
def within(*location: str) -> Iterator[None]:
    """Put a section's name before the keys that are found wrong in it."""
    try:
        yield
    except NestedError as error:
        raise NestedError((*location, *error.location), str(error)) from error
    except UserError as error:
        raise NestedError(location, str(error)) from error


class Registry(Generic[T]):
    """Names mapped to objects that are imported when first asked for.

    Parameters
    ----------
    kind : str
        What the names stand for, as error messages say it ("attack").
    group : str
        The entry-point group through which other packages add entries.
    entries : mapping of str to str
        Name to "module:attribute".
    """

    def __init__(self, kind: str, group: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._entries = dict(entries)

    def _locations(self) -> dict[str, str]:
        added = {point.name: point.value for point in entry_points(group=self.group)}
        return added | self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._locations()))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._locations()

    def is_own(self, name: str) -> bool:
        """Return whether a name is of this package and of no other."""
        return name in self._entries

    def check(self, name: str) -> str:
        """Return ``name`` if it is registered.

        Raises
        ------
        UserError
            When it is not; the message lists the known names and the nearest.
        """
        self._location(name)
        return name

    def _location(self, name: str) -> str:
        # Looking through the installed packages takes milliseconds, and a
        # built-in name is asked for every round.
        if name in self._entries:
            return self._entries[name]
        locations = self._locations()
        if name in locations:
            return locations[name]
        hint = nearest(name, locations)
        raise UserError(f"unknown {self.kind} '{name}'{hint}; expected one of: {', '.join(self)}")

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self._location(name).partition(":")
        return cast(T, getattr(import_module(module), attribute))

    def build(self: Registry[type[M]], section: Mapping[str, Any]) -> M:
        """Return the plug-in that ``{"name": ..., parameter: ...}`` describes.

        Raises
        ------
        NestedError
            When the name is missing or unknown, or a parameter does not fit.
        """
        parameters = {key: value for key, value in section.items() if key != "name"}
        if "name" not in section:
            raise NestedError(("name",), f"missing; expected one of: {', '.join(self)}")
        with within("name"):
            plugin = self[section["name"]]
        try:
            return plugin.model_validate(parameters)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "extra_forbidden":
                message = unknown_key(plugin, first["loc"], also=["name"])
            else:
                message = f"{first['msg']}, got {first['input']!r}"
            raise NestedError(first["loc"], message) from error
