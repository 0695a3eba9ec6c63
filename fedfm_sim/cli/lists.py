"""What there is to choose from: scenarios, and everything that is registered."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from fedfm_sim.cli.shared import Json, list_registered

#: How the properties of a mechanism are headed in the list of them.
PROMISES = {
    "IR": "individually_rational",
    "IC": "truthful",
    "budget": "within_budget",
    "monotone": "monotone",
}


def scenarios() -> None:
    """List the scenarios of the catalogue."""
    from fedfm_sim.scenarios.loader import catalogue

    table = Table(box=None, show_header=False)
    for name, description in catalogue().items():
        table.add_row(name, description)
    Console().print(table)


def mechanisms(
    as_json: Json = False,
) -> None:
    """List the payment mechanisms: who knows what, and what holds by theorem."""
    from fedfm_sim.mechanisms import MECHANISMS

    listed = {name: asdict(MECHANISMS[name].properties) for name in MECHANISMS}
    if as_json:
        print(json.dumps(listed))
        return
    table = Table("mechanism", *PROMISES, "who knows what; source", box=None)
    for name, properties in listed.items():
        ticks = ("yes" if properties[key] else "-" for key in PROMISES.values())
        table.add_row(name, *ticks, f"{properties['knows']} [dim]({properties['source']})[/dim]")
    Console().print(table)


def attacks(
    as_json: Json = False,
) -> None:
    """List the attacks: what each is after, and what it must know."""
    from fedfm_sim.security.attacks import ATTACKS

    list_registered("attack", ATTACKS, ("goal", "knowledge", "source"), as_json)


def defences(
    as_json: Json = False,
) -> None:
    """List the aggregation rules: what the server must know for each."""
    from fedfm_sim.security.defences import DEFENCES

    list_registered("defence", DEFENCES, ("knowledge", "source"), as_json)


def leakage(
    as_json: Json = False,
) -> None:
    """List the measures of leakage, P of Eq. 12: each an attack on privacy, with its unit."""
    from fedfm_sim.security.privacy import LEAKAGE

    list_registered("measure", LEAKAGE, ("unit", "source"), as_json)


def protections(
    as_json: Json = False,
) -> None:
    """List what the protocol can have everybody do to its update before it is sent."""
    from fedfm_sim.security.privacy import PROTECTIONS

    list_registered("protection", PROTECTIONS, ("summary", "source"), as_json)


def executors(
    as_json: Json = False,
) -> None:
    """List the unlearning executors: what each needs."""
    from fedfm_sim.security.unlearning import EXECUTORS

    list_registered("executor", EXECUTORS, ("needs", "source"), as_json)
