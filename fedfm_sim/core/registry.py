"""Named, lazily imported extension points.

A mechanism, attack, defence, policy, data set or backbone is one file and one
line in a registry. Another package adds its own through an entry point of the
registry's group, without touching this one::

    [project.entry-points."fedfm_sim.attacks"]
    my-attack = "my_package.attacks:MyAttack"

A notebook registers its own for as long as its process lives.
"""

from __future__ import annotations

import re
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

#: What was registered in this process, by group and name; a process that works for it is sent it.
REGISTERED: dict[tuple[str, str], Any] = {}

#: What a registered name looks like, as it stands in scenario files.
NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


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
    base : str
        "module:attribute" of the class that all entries derive from, or are instances of where
        they are not classes.
    """

    def __init__(
        self, kind: str, group: str, entries: Mapping[str, str], base: str = "builtins:object"
    ) -> None:
        self.kind = kind
        self.group = group
        self._entries = dict(entries)
        self._base = base

    def _added(self) -> dict[str, EntryPoint]:
        """Return what other packages add; nobody replaces an entry of our own."""
        points = entry_points(group=self.group)
        return {point.name: point for point in points if point.name not in self._entries}

    def _is_here(self, name: object) -> bool:
        """Return whether a name can be had without a look through the installed packages.

        That takes milliseconds, and most names are asked for every round.
        """
        return name in self._entries or (self.group, name) in REGISTERED

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._entries, *others(self.group)}))

    def __contains__(self, name: object) -> bool:
        return self._is_here(name) or name in self._added()

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
        if name not in self:
            raise UserError(f"unknown {self.kind} '{shortened(str(name))}'{choices(name, self)}")
        return name

    def __getitem__(self, name: str) -> T:
        self.check(name)
        if name in self._entries:
            return cast(T, _at(self._entries[name]))
        if (self.group, name) in REGISTERED:
            return cast(T, REGISTERED[self.group, name])
        return self._fitting(name, loaded(self.kind, self._added()[name]))

    def register(self, name: str, plugin: T) -> None:
        """Add an entry for as long as the process lives, or put another in its place.

        Raises
        ------
        UserError
            When the name is none, or of this package, or the plug-in can't be one.
        """
        if not NAME.fullmatch(name):
            raise UserError(
                f"{self.kind} '{shortened(name)}': expected a name of lower-case letters and "
                "digits, with hyphens or dots between them"
            )
        if name in self._entries:
            raise UserError(f"{self.kind} '{name}' is one of this package; choose another name")
        REGISTERED[self.group, name] = self._fitting(name, plugin)

    def name_of(self, plugin: T) -> str | None:
        """Return the name under which a plug-in can be had, if it has one."""
        return next((name for name, own in self.importable().items() if own is plugin), None)

    def _fitting(self, name: str, plugin: Any) -> T:
        """Return what a stranger gave, if it can be played."""
        base = _at(self._base)
        if issubclass(base, BaseModel):
            what, fits = "a subclass", isinstance(plugin, type) and issubclass(plugin, base)
        else:
            what, fits = "an instance", isinstance(plugin, base)
        if not fits:
            raise UserError(
                f"{self.kind} '{name}': expected {what} of {base.__module__}.{base.__qualname__}; "
                f"got {shortened(repr(plugin))}"
            )
        if missing := _missing(plugin):
            raise UserError(f"{self.kind} '{name}' lacks {', '.join(missing)}")
        return cast(T, plugin)

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
        try:
            return plugin.model_validate(parameters)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "extra_forbidden":
                message = unknown_key(plugin, first["loc"], also=["name"])
            else:
                message = unfit(first)
            raise NestedError(first["loc"], message) from error


def _at(place: str) -> Any:
    """Return what is at "module:attribute"."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def _missing(plugin: Any) -> list[str]:
    """Return what a class must say or do and does not: class attributes, and methods."""
    family = getattr(plugin, "__mro__", ())
    said = {name for own in family for name in getattr(own, "__class_vars__", ())}
    unsaid = [f"the class attribute '{name}'" for name in sorted(said) if not hasattr(plugin, name)]
    undone = sorted(getattr(plugin, "__abstractmethods__", ()))
    return unsaid + [f"the method '{name}'" for name in undone]


def others(group: str) -> set[str]:
    """Return the names that other packages and this process have added to a group."""
    return {*entry_points(group=group).names, *(name for own, name in REGISTERED if own == group)}


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
