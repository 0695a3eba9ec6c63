"""``fedfm-sim explain``: what a name stands for, its parameters, units, bounds and source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedfm_sim.cli.lists import LISTINGS, MECHANISMS, Listing
from fedfm_sim.cli.shared import print_rows
from fedfm_sim.core.describe import (
    Parameter,
    attributes_of,
    parameters_of,
    references_of,
    text_of,
    values_of,
)
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import nearest, shortened
from fedfm_sim.core.listing import ABOUT
from fedfm_sim.reporting.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

#: Where each sort of name goes in a scenario file; {} stands for the name.
PLACES = {
    "policies": "policies.KIND = '{}'",
    "attacks": "actions.NAME.attack = '{}'",
    "defences": "defence = '{}'",
    "leakage": "leakage = '{}'",
    "protections": "protection = '{}'",
    "schemes": "contribution.schemes = ['{}']",
    "watermarks": "watermark = '{}'",
    "removals": "actions.NAME.wash = '{}'",
    "executors": "departure.executors = ['{}']",
    "populations": "fedfm-sim audit MECHANISM --population {}",
    "datasets": "data.name = '{}'",
    "backbones": "backbone = '{}'",
    "mechanisms": "mechanism = '{}'",
}


def _known() -> list[str]:
    return sorted({name for names, _ in _sorts() for name in names})


def explain(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from any list, or a key such as sanctions.fine.", autocompletion=_known
        ),
    ],
) -> None:
    """Explain a name or a key: what it does, its parameters, units, bounds and source."""
    console = terminal()
    found = [show for names, show in _sorts() if name in names]
    for place, show in enumerate(found):
        if place:
            console.print()
        show(name, console)
    if not found and not _explain_key(name, console):
        hint = nearest(name, [*_known(), *_keys()])
        raise UserError(
            f"nothing is called '{shortened(name)}'{hint}; expected a name from one of the lists "
            f"({', '.join([*PLACES, 'actions', 'domains', 'scenarios'])}) or a key of a scenario"
        )


def _sorts() -> Iterator[tuple[list[str], Callable[[str, Console], None]]]:
    """Iterate over all sorts of names: those of a sort, and what explains one of them."""
    from fedfm_sim.agents.actions import ACTIONS
    from fedfm_sim.core.source import keys_of
    from fedfm_sim.scenarios.names import names

    for sort, listing in {**LISTINGS, "mechanisms": MECHANISMS}.items():
        yield list(listing.entries()), _plugin(sort, listing)
    yield list(ACTIONS), _explain_action
    yield keys_of("fedfm_sim.learning.domains", "DOMAINS"), _explain_domain
    yield names(), _explain_scenario


def _plugin(sort: str, listing: Listing) -> Callable[[str, Console], None]:
    def show(name: str, console: Console) -> None:
        module, _, variable = listing.place.partition(":")
        plugin = getattr(import_module(module), variable)[name]
        _head(console, name, listing.what, PLACES[sort].format(name))
        if isinstance(plugin, type):
            console.print(text_of(plugin))
            facts = listing.entries()[name]
            properties = getattr(plugin, "properties", None)
            source = getattr(plugin, "source", "") or getattr(properties, "source", "")
            facts = {key: value for key, value in facts.items() if value and key not in LEFT_OUT}
            if properties is not None:
                facts["knows"] = properties.knows
            for key, value in facts.items():
                shown = ", ".join(value) if isinstance(value, tuple) else value
                console.print(f"{key}: {shown}")
            _print_parameters(console, parameters_of(plugin))
            if source:
                console.print(f"source: {source}")
            if references := references_of(plugin):
                console.print(references)
        elif callable(plugin):
            console.print(text_of(plugin))
        else:
            console.print(f"from {plugin}", soft_wrap=True)

    return show


#: Facts of a list that are told in another way here.
LEFT_OUT = (ABOUT, "summary", "source", "properties")


def _explain_action(name: str, console: Console) -> None:
    from fedfm_sim.agents.actions import ACTIONS
    from fedfm_sim.core.action import Action

    _head(console, name, "action", f"action_sets.KIND = ['{name}']")
    own = ACTIONS[name].model_dump()
    usual = parameters_of(Action)
    rows = [
        {"key": each.name, "value": str(own[each.name]), "meaning": each.meaning} for each in usual
    ]
    print_rows(console, rows)


def _explain_domain(name: str, console: Console) -> None:
    from fedfm_sim.core.source import first_line

    _head(console, name, "domain", f"data.domains = ['{name}']")
    console.print(first_line("fedfm_sim.learning.domains", name))


def _explain_scenario(name: str, console: Console) -> None:
    from fedfm_sim.scenarios.names import find

    _head(console, name, "scenario", f"fedfm-sim run {name}")
    console.print(find(name).read_text(encoding="utf-8"), soft_wrap=True)


def _head(console: Console, name: str, what: str, place: str) -> None:
    console.print(f"{name}: {what}", style="bold")
    console.print(f"to choose it: {place}", style="dim")


def _print_parameters(console: Console, parameters: list[Parameter]) -> None:
    rows = [
        {
            "parameter": each.name,
            "values": each.values,
            "default": each.default,
            "meaning": each.meaning,
        }
        for each in parameters
    ]
    print_rows(console, rows)


def _explain_key(name: str, console: Console) -> bool:
    """Explain a key of the scenario schema; return whether there is one of that name."""
    from fedfm_sim.core.keys import model_in
    from fedfm_sim.scenarios.schema import Scenario

    model: Any = Scenario
    *tables, last = name.split(".")
    for part in tables:
        field = model.model_fields.get(part)
        model = None if field is None else model_in(field.annotation)
        if model is None:
            return False
    if last not in model.model_fields:
        return False
    _head(console, name, "key of a scenario", f"{name} = ...")
    inner = model_in(model.model_fields[last].annotation)
    if inner is None:
        schema = model.model_json_schema()
        own = schema["properties"][last]
        meaning = own.get("description") or attributes_of(model).get(last, "")
        default = own.get("default")
        told = f"{values_of(own, schema.get('$defs', {}))}; default: {default}"
        console.print(f"{meaning}\n{told}" if meaning else told)
        return True
    console.print(text_of(inner))
    _print_parameters(console, parameters_of(inner))
    return True


def _keys() -> list[str]:
    """Return the keys of a scenario, to a depth of two."""
    from fedfm_sim.core.keys import model_in
    from fedfm_sim.scenarios.schema import Scenario

    found = []
    for name, field in Scenario.model_fields.items():
        inner = model_in(field.annotation)
        found += [name, *(f"{name}.{own}" for own in (inner.model_fields if inner else ()))]
    return found
