"""What is registered, with what each entry says of itself; nothing of our own is imported.

Nothing, that is, unless there are entries of others, which must be looked at to be described.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry, others
from fedfm_sim.core.source import UNKNOWN, attribute_of, call_of, first_line, summary_of

#: The first sentence of an entry's docstring, among its facts.
ABOUT = "about"


def listed(module: str, registry: str, facts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the entries of a registry by name, sorted, each with some of its attributes.

    Entries of this package are read from their source. Those of other packages and of this
    process are imported; one that can't be played is left out, with a warning that says why.

    Parameters
    ----------
    module, registry : str
        Where the `Registry` is bound, and to which name.
    facts : sequence of str
        Names of class attributes, or `ABOUT`.
    """
    _, group, entries = call_of(module, registry)
    found = {name: _read(location, facts) for name, location in entries.items()}
    for name in sorted(others(group) - set(found)):
        whole: Registry[Any] = getattr(import_module(module), registry)
        try:
            found[name] = _asked(whole[name], facts)
        except UserError as error:
            warnings.warn(str(error), stacklevel=2)
    return dict(sorted(found.items()))


def _read(location: str, facts: Sequence[str]) -> dict[str, Any]:
    module, _, name = location.partition(":")
    values = {
        fact: first_line(module, name) if fact == ABOUT else attribute_of(module, name, fact)
        for fact in facts
    }
    return {fact: "" if value is UNKNOWN else value for fact, value in values.items()}


def _asked(plugin: Any, facts: Sequence[str]) -> dict[str, Any]:
    return {
        fact: summary_of(plugin.__doc__ or "") if fact == ABOUT else getattr(plugin, fact, "")
        for fact in facts
    }
