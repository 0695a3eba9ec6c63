"""Registries: lazy entries, plug-ins, and names that are not known."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from fedfm_sim.core import registry as module
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry


def entries() -> Registry[Any]:
    return Registry("shape", "fedfm_sim.shapes", {"square": "math:sqrt", "round": "math:pi"})


def test_names_are_sorted_and_found() -> None:
    shapes = entries()
    assert list(shapes) == ["round", "square"]
    assert "round" in shapes
    assert "oval" not in shapes
    assert shapes["square"](9) == 3
    assert shapes.check("round") == "round"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    lazy: Registry[Any] = Registry("x", "none", {"wave": "this:s", "antigravity": "nowhere:x"})
    sys.modules.pop("this", None)
    assert "wave" in lazy
    assert lazy.check("antigravity") == "antigravity"
    assert "this" not in sys.modules


def test_unknown_names_list_the_known_and_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        entries()["sqare"]
    assert str(caught.value) == (
        "unknown shape 'sqare' (did you mean 'square'?); expected one of: round, square"
    )
    with pytest.raises(UserError, match="unknown shape 'zzz'; expected one of"):
        entries().check("zzz")


@pytest.mark.parametrize("name", ["", None, 3, "Square", "square "])
def test_names_must_match_exactly(name: Any) -> None:
    with pytest.raises(UserError, match="unknown shape"):
        entries()[name]


def test_other_packages_add_entries_but_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(group: str) -> EntryPoints:
        assert group == "fedfm_sim.shapes"
        return EntryPoints(
            [
                EntryPoint("oval", "math:tau", group),
                EntryPoint("round", "math:e", group),
            ]
        )

    monkeypatch.setattr(module, "entry_points", installed)
    shapes = entries()
    assert list(shapes) == ["oval", "round", "square"]
    assert "oval" in shapes
    assert shapes["oval"] == pytest.approx(6.283185307)
    assert shapes["round"] == pytest.approx(3.141592654)
