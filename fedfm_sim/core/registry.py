"""Named, lazily imported extension points.

A mechanism, attack, defence, policy, data set or backbone is one file and one
line in a registry. Another package adds its own through an entry point of the
registry's group, without touching this one::

    [project.entry-points."fedfm_sim.attacks"]
    my-attack = "my_package.attacks:MyAttack"
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices, shortened, unfit, unknown_key

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class NestedError(UserError):
    """A key of a plug-in's own parameters that is wrong; ``location`` leads to it."""

    def __init__(self, location: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.location = location

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.location, str(self))  # so that it comes back from a worker

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

    def _added(self) -> dict[str, EntryPoint]:
        """Return what other packages add; nobody replaces an entry of our own."""
        points = entry_points(group=self.group)
        return {point.name: point for point in points if point.name not in self._entries}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._entries, *self._added()}))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._added()

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
        # Looking through the installed packages takes milliseconds, and a
        # built-in name is asked for every round.
        if name not in self._entries and name not in self._added():
            raise UserError(f"unknown {self.kind} '{shortened(str(name))}'{choices(name, self)}")
        return name

    def __getitem__(self, name: str) -> T:
        self.check(name)
        if name in self._entries:
            module, _, attribute = self._entries[name].partition(":")
            return cast(T, getattr(import_module(module), attribute))
        return cast(T, loaded(self.kind, self._added()[name]))

    def importable(self) -> dict[str, T]:
        """Return all entries by name, sorted, without those of other packages that are broken.

        Each of these is named in a warning.
        """
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except UserError as error:
                warnings.warn(str(error), stacklevel=2)
        return found

    def build(self: Registry[type[M]], section: Mapping[str, Any]) -> M:
        """Return the plug-in that ``{"name": ..., parameter: ...}`` describes.

        Raises
        ------
        NestedError
            When the name is missing or unknown, or a parameter does not fit.
        """
        parameters = {key: value for key, value in section.items() if key != "name"}
        if "name" not in section:
            raise NestedError(("name",), f"missing{choices('', self)}")
        with within("name"):
            plugin = self[section["name"]]
            if not (isinstance(plugin, type) and issubclass(plugin, BaseModel)):
                raise UserError(f"{self.kind} '{section['name']}' is no pydantic model: {plugin!r}")
        try:
            return plugin.model_validate(parameters)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "extra_forbidden":
                message = unknown_key(plugin, first["loc"], also=["name"])
            else:
                message = unfit(first)
            raise NestedError(first["loc"], message) from error


def loaded(kind: str, point: EntryPoint) -> Any:
    """Return what another package's entry point names.

    Raises
    ------
    UserError
        When it can't be had, for whatever reason; the line names the entry and the reason.
    """
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{kind} '{point.name}' of another package ({point.value}) can't be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
