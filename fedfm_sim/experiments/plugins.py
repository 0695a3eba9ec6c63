"""Plug-ins of a notebook or a script: registered by name, or given as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from fedfm_sim.agents.policies import POLICIES
from fedfm_sim.core.chosen import Slot
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices, shortened
from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.backbone import BACKBONES
from fedfm_sim.learning.datasets import DATASETS
from fedfm_sim.learning.pretraining import PRETRAINING
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.auditing.population import POPULATIONS
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.attacks import ATTACKS
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS
from fedfm_sim.security.unlearning import EXECUTORS
from fedfm_sim.security.watermarks import WATERMARKS
from fedfm_sim.security.watermarks.removal import REMOVALS

P = TypeVar("P")

#: All that can be registered, by what it is.
REGISTRIES: dict[str, Registry[Any]] = {
    own.kind: own
    for own in (
        *(ATTACKS, BACKBONES, DATASETS, DEFENCES, EXECUTORS, LEAKAGE, MECHANISMS, POLICIES),
        *(POPULATIONS, PRETRAINING, PROTECTIONS, REMOVALS, SCHEMES, WATERMARKS),
    )
}

#: What a scenario has one of, and a run can be given as an object.
SLOTS: dict[str, Registry[Any]] = {
    name: slot.registry
    for name, field in Scenario.model_fields.items()
    for slot in field.metadata
    if isinstance(slot, Slot)
}


@overload
def register(kind: str, name: str, plugin: P) -> P: ...
@overload
def register(kind: str, name: str) -> Callable[[P], P]: ...
def register(kind: str, name: str, plugin: Any = None) -> Any:
    """Make a plug-in known by a name, for as long as this process lives.

    Then scenarios choose it by that name, lists show it, and processes that train for this one
    know it. Without a plug-in it is a decorator::

        @fs.register("attack", "silence")
        class Silence(Attack): ...

    Registered again, the name stands for the new one: a notebook's cell can be run again. A
    package registers for good, by an entry point (`fedfm_sim.core.registry`).

    Parameters
    ----------
    kind : str
        "attack", "defence", "mechanism", "policy", "data set", ...; see `REGISTRIES`.
    name : str
        Lower case, with hyphens; none of this package's.
    plugin : type or object
        What it stands for.

    Returns
    -------
    type or object
        The plug-in.

    Raises
    ------
    UserError
        When kind or name don't fit, or the plug-in lacks something without which it can't be
        played; the line says what.
    """
    if kind not in REGISTRIES:
        raise UserError(f"nothing of kind '{kind}' can be registered{choices(kind, REGISTRIES)}")
    if plugin is None:
        return lambda given: register(kind, name, given)
    REGISTRIES[kind].register(name, plugin)
    return plugin


def with_plugins(scenario: Scenario, plugins: Mapping[str, BaseModel]) -> Scenario:
    """Return a scenario with plug-ins given as objects in place of its own.

    A class that has no name yet is registered under its own in lower case, with hyphens, so
    that lock and identity can name it.

    Raises
    ------
    UserError
        When a key stands for no plug-in of scenarios, or the object is of another kind.
    """
    values = {slot: _chosen(slot, plugin) for slot, plugin in plugins.items()}
    return overridden(scenario, values) if values else scenario


def _chosen(slot: str, plugin: object) -> dict[str, Any]:
    """Return the table by which a scenario chooses a plug-in."""
    if slot not in SLOTS:
        raise UserError(f"a run can't be given '{slot}'{choices(slot, SLOTS)}")
    if not isinstance(plugin, BaseModel):
        given = f"the class {plugin.__name__}" if isinstance(plugin, type) else repr(plugin)
        example = plugin.__name__ if isinstance(plugin, type) else "PostedPrice"
        raise UserError(f"{slot}: expected an object, as {example}(); got {shortened(given)}")
    own = type(plugin)
    name = SLOTS[slot].name_of(own)
    if name is None:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", own.__name__).lower().strip("_")
        register(SLOTS[slot].kind, name, own)
    return {"name": name, **plugin.model_dump(mode="json", exclude_none=True)}
