"""Dependencies point one way; this is the whole list of who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fedfm_sim

ROOT = Path(fedfm_sim.__file__).parent
RESULTS = {"core", "learning", "security", "mechanisms", "games", "agents", "scenarios"}
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "mechanisms": {"core"},
    "games": {"core", "mechanisms"},
    "learning": {"core"},
    "security": {"core", "learning"},
    "agents": {"core", "learning", "security", "mechanisms", "games"},
    "scenarios": RESULTS - {"scenarios"},
    "reporting": {"core", "mechanisms", "games", "scenarios"},
    "simulation": RESULTS | {"reporting"},
    "experiments": RESULTS | {"simulation", "reporting"},
    "cli": RESULTS | {"simulation", "reporting", "experiments"},
}


def imported(path: Path) -> set[str]:
    """Return the dotted names that a module imports, at any depth of the code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_layer_is_listed() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(ALLOWED)


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_imports_only_what_lies_below(layer: str) -> None:
    for path in (ROOT / layer).rglob("*.py"):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != "fedfm_sim" or len(parts) == 1 or parts[1] not in ALLOWED:
                continue
            assert parts[1] in ALLOWED[layer] | {layer}, f"{path} imports {name}"


@pytest.mark.parametrize("layer", ["core", "mechanisms", "games"])
def test_the_economics_needs_no_model(layer: str) -> None:
    for path in (ROOT / layer).rglob("*.py"):
        top = {name.split(".")[0] for name in imported(path)}
        assert not top & {"torch", "transformers", "peft", "mesa"}, path
