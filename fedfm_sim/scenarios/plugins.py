"""Plug-ins by name and parameters, and the whole name of the key that is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry

M = TypeVar("M", bound=BaseModel)


class NestedError(ValueError):
    """A key of a plug-in's own parameters that is wrong; the loader names it in full."""

    def __init__(self, location: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.location = location


def build(registry: Registry[type[M]], section: Mapping[str, Any]) -> M:
    """Return the plug-in that ``{"name": ..., parameter: ...}`` describes.

    Raises
    ------
    NestedError
        When the name is unknown or a parameter does not fit.
    """
    parameters = {key: value for key, value in section.items() if key != "name"}
    if "name" not in section:
        raise NestedError(("name",), f"missing; expected one of: {', '.join(registry)}")
    try:
        return registry[section["name"]].model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            known = ["name", *registry[section["name"]].model_fields]
            message = f"unknown key; expected one of: {', '.join(known)}"
        else:
            message = f"{first['msg']}, got {first['input']!r}"
        raise NestedError(first["loc"], message) from error
    except UserError as error:
        raise NestedError(("name",), str(error)) from error


@contextmanager
def within(*location: str) -> Iterator[None]:
    """Put a section's name before the keys that are found wrong in it."""
    try:
        yield
    except NestedError as error:
        raise NestedError((*location, *error.location), str(error)) from error
    except UserError as error:
        raise NestedError(location, str(error)) from error
