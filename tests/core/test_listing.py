"""Lists read from source say what the imported classes say, and a broken plug-in breaks none."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from fedfm_sim.cli.lists import LISTINGS, MECHANISMS
from fedfm_sim.core import registry
from fedfm_sim.core.listing import ABOUT
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.source import attribute_of, call_of, summary_of, value_of

ALL = {**LISTINGS, "mechanisms": MECHANISMS}


def registered(place: str) -> Registry[Any]:
    module, _, name = place.partition(":")
    found: Registry[Any] = getattr(import_module(module), name)
    return found


@pytest.mark.parametrize("name", sorted(ALL))
def test_source_and_classes_say_the_same(name: str) -> None:
    own = ALL[name]
    entries, known = own.entries(), registered(own.place)
    assert list(entries) == list(known)
    for entry, facts in entries.items():
        plugin = known[entry]
        for fact, value in facts.items():
            if fact == ABOUT:
                assert value == summary_of(plugin.__doc__ or "")
                assert value
            elif fact == "properties":
                said = {key: getattr(plugin.properties, key) for key in value}
                assert value == said
            else:
                assert value == getattr(plugin, fact)


def test_what_is_worked_out_is_not_guessed() -> None:
    module = "fedfm_sim.core.source"
    with pytest.raises(LookupError, match="not bound to a call"):
        call_of(module, "nothing")
    with pytest.raises(LookupError, match="no source of module"):
        value_of("fedfm_sim.core.nowhere", "x")
    assert not isinstance(attribute_of(module, "nothing", "x"), str)


def points(group: str) -> EntryPoints:
    return EntryPoints(
        [
            EntryPoint("fine", "fedfm_sim.security.attacks.sign_flip:SignFlip", group),
            EntryPoint("broken", "no_such_package:Attack", group),
            EntryPoint("no-class", "math:pi", group),
            EntryPoint("no-attribute", "math:tauu", group),
        ]
    )


def test_a_plug_in_that_fails_to_import_breaks_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "entry_points", points)
    with pytest.warns(UserWarning, match="^attack '") as caught:
        found = LISTINGS["attacks"].entries()
    assert {"fine", "backdoor"} <= set(found)
    assert "no-class" not in found
    assert found["fine"]["goal"] == "damage"
    said = [str(each.message) for each in caught]
    assert len(said) == 3
    assert said[0].startswith(
        "attack 'broken' of another package (no_such_package:Attack) can't be loaded: "
        "ModuleNotFoundError: No module named 'no_such_package'"
    )
    assert "'no-attribute'" in said[1]
    assert said[2].startswith("attack 'no-class': expected a subclass of")


def test_who_names_a_broken_plug_in_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    attacks = registered("fedfm_sim.security.attacks:ATTACKS")
    monkeypatch.setattr(registry, "entry_points", points)
    assert attacks.build({"name": "fine"})
    for name, why in (
        ("broken", "No module named 'no_such_package'"),
        ("no-class", "expected a subclass of fedfm_sim.security.attacks.protocol.Attack; got 3.14"),
        ("no-attribute", "has no attribute 'tauu'"),
    ):
        with pytest.raises(registry.NestedError, match=why):
            attacks.build({"name": name})
    with pytest.warns(UserWarning, match="^attack '"):
        assert "broken" not in attacks.importable()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "broken" in attacks
