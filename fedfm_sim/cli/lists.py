"""What there is to choose from; no list imports torch, and one takes a fraction of a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedfm_sim.cli.shared import Json, print_rows
from fedfm_sim.core.listing import ABOUT, listed
from fedfm_sim.reporting.terminal import terminal

#: The properties of a mechanism that hold by theorem, and how the list heads them.
PROMISES = {
    "individually_rational": "IR",
    "truthful": "IC",
    "within_budget": "budget",
    "monotone": "monotone",
}


@dataclass(frozen=True)
class Listing:
    """A registry that can be listed.

    Attributes
    ----------
    what : str
        What an entry is; the heading of the names.
    place : str
        "module:NAME" of the registry.
    facts : tuple of str
        What is shown of each entry.
    help : str
        What the list is of.
    """

    what: str
    place: str
    facts: tuple[str, ...]
    help: str

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return the entries by name."""
        module, _, name = self.place.partition(":")
        return listed(module, name, self.facts)


LISTINGS = {
    "policies": Listing(
        "policy",
        "fedfm_sim.agents.policies:POLICIES",
        (ABOUT,),
        "List the policies by which participants choose actions (policies.KIND).",
    ),
    "attacks": Listing(
        "attack",
        "fedfm_sim.security.attacks:ATTACKS",
        ("goal", "knowledge", "source"),
        "List the attacks: what each is after, and what it must know.",
    ),
    "defences": Listing(
        "defence",
        "fedfm_sim.security.defences:DEFENCES",
        ("knowledge", "source"),
        "List the aggregation rules (defence): what the server must know for each.",
    ),
    "leakage": Listing(
        "measure",
        "fedfm_sim.security.privacy:LEAKAGE",
        ("unit", "source"),
        "List the measures of leakage (P of Eq. 12): each is an attack on privacy.",
    ),
    "protections": Listing(
        "protection",
        "fedfm_sim.security.privacy:PROTECTIONS",
        ("summary", "source"),
        "List what all participants can do to an update before they send it (protection).",
    ),
    "schemes": Listing(
        "scheme",
        "fedfm_sim.mechanisms.contribution:SCHEMES",
        (ABOUT, "axioms", "source"),
        "List the schemes that value contributions (contribution.schemes).",
    ),
    "watermarks": Listing(
        "scheme",
        "fedfm_sim.security.watermarks:WATERMARKS",
        ("side", "proves", "source"),
        "List the watermarks of scenarios: who marks, and what is proven.",
    ),
    "removals": Listing(
        "removal",
        "fedfm_sim.security.watermarks.removal:REMOVALS",
        (ABOUT, "source"),
        "List what a thief can do to a mark before a copy is sold (actions.NAME.wash).",
    ),
    "executors": Listing(
        "executor",
        "fedfm_sim.security.unlearning:EXECUTORS",
        ("needs", "source"),
        "List the methods of unlearning: what each needs.",
    ),
    "populations": Listing(
        "population",
        "fedfm_sim.mechanisms.auditing.population:POPULATIONS",
        (ABOUT,),
        "List the populations that mechanisms are audited on.",
    ),
    "datasets": Listing(
        "data set",
        "fedfm_sim.learning.datasets:DATASETS",
        (ABOUT,),
        "List the data sets (data.name).",
    ),
    "backbones": Listing(
        "backbone",
        "fedfm_sim.learning.backbone:BACKBONES",
        (),
        "List the backbones that are shipped (backbone); folders and hub ids serve too.",
    ),
}

MECHANISMS = Listing(
    "mechanism",
    "fedfm_sim.mechanisms.rules:MECHANISMS",
    ("properties",),
    "List the payment mechanisms: who knows what, and what holds by theorem.",
)


def command(name: str) -> Callable[..., None]:
    """Return the command that lists a registry of `LISTINGS`."""
    listing = LISTINGS[name]

    def list_(as_json: Json = False) -> None:
        found = listing.entries()
        if as_json:
            print(json.dumps(found))
            return
        print_rows(
            terminal(),
            [
                {listing.what: entry} | {fact: _shown(value) for fact, value in facts.items()}
                for entry, facts in found.items()
            ],
        )

    list_.__name__, list_.__doc__ = name, listing.help
    return list_


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    given = text.removeprefix("Return ")  # of what a function gives
    return given[:1].upper() + given[1:] if given != text else text


def scenarios(as_json: Json = False) -> None:
    """List the scenarios of the catalogue."""
    from fedfm_sim.scenarios.names import catalogue

    _list("scenario", catalogue(), as_json)


def actions(as_json: Json = False) -> None:
    """List the actions that participants can take; a scenario can add its own (actions.NAME)."""
    from fedfm_sim.agents.actions import ACTION_SETS, ACTIONS

    found = {}
    for name, action in ACTIONS.items():
        kinds = [kind for kind, own in ACTION_SETS.items() if name in own]
        settings = action.model_dump(exclude_defaults=True)
        does = ", ".join(f"{key} = {value}" for key, value in settings.items())
        found[name] = {
            "does": does or "share = 1.0",
            "in the sets of": ", ".join(kinds) or "-",
        }
    if as_json:
        print(json.dumps(found))
        return
    print_rows(terminal(), [{"action": name} | facts for name, facts in found.items()])


def domains(as_json: Json = False) -> None:
    """List the domains that participants' images can come from (data.domains)."""
    from fedfm_sim.core.source import first_line, keys_of

    module = "fedfm_sim.learning.domains"
    _list(
        "domain", {name: first_line(module, name) for name in keys_of(module, "DOMAINS")}, as_json
    )


def mechanisms(as_json: Json = False) -> None:
    """List the payment mechanisms: who knows what, and what holds by theorem."""
    properties = {name: facts["properties"] for name, facts in MECHANISMS.entries().items()}
    found = {
        name: {key: own.get(key, "") for key in ("knows", "source")}
        | {key: bool(own.get(key)) for key in PROMISES}
        for name, own in ((name, _plain(own)) for name, own in properties.items())
    }
    if as_json:
        print(json.dumps(found))
        return
    print_rows(
        terminal(),
        [
            {"mechanism": name}
            | {heading: "yes" if own[key] else "-" for key, heading in PROMISES.items()}
            | {"who knows what; source": f"{own['knows']} ({own['source']})"}
            for name, own in found.items()
        ],
    )


def _plain(properties: Any) -> dict[str, Any]:
    """Return the properties of a mechanism, of another package perhaps, as a dictionary."""
    return properties if isinstance(properties, dict) else dict(vars(properties or object))


def _list(what: str, described: dict[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(described))
        return
    rows = [{what: name, "": _shown(text)} for name, text in described.items()]
    print_rows(terminal(), rows)


#: The commands that list something, in the order of ``--help``.
LISTS: tuple[Callable[..., None], ...] = (
    scenarios,
    actions,
    command("policies"),
    mechanisms,
    *(command(name) for name in LISTINGS if name not in ("policies", "watermarks")),
    command("watermarks"),
    domains,
)
