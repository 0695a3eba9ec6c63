"""Named, lazily imported extension points.

A mechanism, attack, defence, policy, data set or backbone is one file and one
line in a registry. Another package adds its own through an entry point of the
registry's group, without touching this one::

    [project.entry-points."fedfm_sim.attacks"]
    my-attack = "my_package.attacks:MyAttack"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from fedfm_sim.core.errors import UserError

T = TypeVar("T")


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
        near = difflib.get_close_matches(str(name), locations, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise UserError(f"unknown {self.kind} '{name}'{hint}; expected one of: {', '.join(self)}")

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self._location(name).partition(":")
        return cast(T, getattr(import_module(module), attribute))
