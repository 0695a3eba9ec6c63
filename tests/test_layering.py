"""The structure of the package: which rooms import which, and what exists only once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fedfm_sim

ROOT = Path(fedfm_sim.__file__).parent

#: Every arrow between rooms, and no other: who imports whom, at any depth of the code.
ARROWS: dict[str, set[str]] = {
    "core": set(),
    "mechanisms": {"core"},
    "games": {"core"},
    "learning": {"core"},
    "security": {"core", "learning"},
    "agents": {"core", "mechanisms"},
    "scenarios": {"core", "learning", "security", "mechanisms", "agents"},
    "reporting": {"core", "mechanisms", "games", "agents", "scenarios"},
    "simulation": {
        *("core", "learning", "security", "mechanisms", "games", "agents"),
        *("scenarios", "reporting"),
    },
    "experiments": {
        *("core", "learning", "security", "mechanisms", "games", "agents"),
        *("scenarios", "reporting", "simulation"),
    },
    "cli": {
        *("core", "learning", "security", "agents"),
        *("scenarios", "reporting", "simulation", "experiments"),
    },
}

#: The parts of a round, and the one module that may call each.
PARTS = {
    ("mechanism", "announce"): "agents/server.py",
    ("mechanism", "allocate"): "simulation/play.py",
    ("mechanism", "pay"): "simulation/play.py",
    ("mechanism", "collect"): "simulation/play.py",
    ("mechanism", "learn"): "simulation/round.py",
    ("defence", "aggregate"): "simulation/play.py",
    ("defence", "learn"): "simulation/round.py",
    ("watermark", "copies"): "simulation/updates.py",
    ("watermark", "mark_shared"): "simulation/play.py",
    ("watermark", "take_note"): "simulation/round.py",
    ("federation", "advance"): "simulation/round.py",
    ("reputation", "update"): "simulation/model.py",
    ("", "Play"): "simulation/round.py",
    ("", "RoundUpdates"): "simulation/round.py",
    ("Settlement", "draw"): "simulation/round.py",
    ("", "round_evidence"): "simulation/settlement.py simulation/population/arrays.py",
}

#: Who may have Eq. 12 added up: live play, expectations, and the million as arrays.
LEDGER = {"simulation/play.py", "agents/participant.py", "simulation/population/arrays.py"}

#: Rooms that play rounds; the others have mechanisms and rules of their own to look at.
PLAYING = ("agents", "scenarios", "simulation", "experiments", "cli", "reporting")


def modules() -> dict[str, Path]:
    """Return every module by its dotted name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def place(module: str) -> str:
    return str(MODULES[module].relative_to(ROOT))


def imported(module: str) -> Iterator[str]:
    """Iterate over the package's modules that one imports, TYPE_CHECKING or not."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from members & set(MODULES)
            if node.module in MODULES and members - set(MODULES):
                yield node.module


def calls(module: str) -> Iterator[tuple[str, str]]:
    """Iterate over what is called: the last name before the dot, and the name called."""
    for node in ast.walk(TREES[module]):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name):
            yield "", function.id
        elif isinstance(function, ast.Attribute):
            owner = function.value
            yield (
                owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "?"),
                function.attr,
            )


def test_every_room_is_listed() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(ARROWS)


@pytest.mark.parametrize("name", sorted(ARROWS))
def test_exactly_the_arrows_that_exist(name: str) -> None:
    found = {room(other) for own in MODULES if room(own) == name for other in imported(own)}
    assert found - {name, ""} == ARROWS[name]


def test_rooms_and_modules_are_imported_in_no_circle() -> None:
    TopologicalSorter(ARROWS).prepare()
    arrows = {own: {other for other in imported(own) if other != own} for own in MODULES}
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("layer", ["core", "mechanisms", "games"])
def test_the_economics_needs_no_model(layer: str) -> None:
    heavy = {"torch", "transformers", "peft", "mesa"}
    for own in (name for name in MODULES if room(name) == layer):
        for node in ast.walk(TREES[own]):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            names.append(getattr(node, "module", None) or "")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not heavy & {name.split(".")[0] for name in names}, own


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_of_a_round_has_one_caller(part: tuple[str, str]) -> None:
    callers = {place(own) for own in MODULES if room(own) in PLAYING and part in set(calls(own))}
    assert callers == set(PARTS[part].split())


def test_equation_12_is_added_up_in_one_place() -> None:
    callers = {
        place(own)
        for own in MODULES
        if room(own) in PLAYING and ("ledger", "settle") in set(calls(own))
    }
    assert callers == LEDGER
    # Nobody else makes money of trust; the scalar reference of the population does by design.
    priced = {
        place(own)
        for own in MODULES
        for node in ast.walk(TREES[own])
        if isinstance(node, ast.Attribute)
        and node.attr == "reputation"
        and getattr(node.value, "id", getattr(node.value, "attr", "")) == "prices"
    }
    assert priced == {"simulation/population/clients.py"}


def texts(module: str) -> Iterator[str]:
    """Iterate over the texts in a module's code, docstrings left out."""
    for node in ast.walk(TREES[module]):
        for child in ast.iter_child_nodes(node):
            text = child.value if isinstance(child, ast.Constant) else None
            if isinstance(text, str) and not isinstance(node, ast.Expr):
                yield text


def test_one_module_names_the_files_of_a_runs_folder() -> None:
    from fedfm_sim.experiments import folder

    files = [folder.LOCK, folder.SUMMARY, folder.STATE, folder.UNLEARNED, folder.IN_USE]
    files += [f"{name}.parquet" for name in folder.TABLES]
    files += ["round-", folder.WITHOUT]
    named = {place(own): [t for t in texts(own) if any(f in t for f in files)] for own in MODULES}
    assert {own for own, found in named.items() if found} == {"experiments/folder.py"}


def test_agents_see_their_world_through_its_protocol_alone() -> None:
    """Nothing of the simulation is reached through mesa's untyped ``model``."""
    for own in (name for name in MODULES if room(name) == "agents"):
        reached = [
            node
            for node in ast.walk(TREES[own])
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "model"
        ]
        assert not reached, own


def test_no_product_file_is_named_like_a_test() -> None:
    assert not [p for p in ROOT.rglob("*.py") if p.stem.startswith("test") or "_test" in p.stem]


SHARED = {
    "Array": "core/arrays.py",
    "Mask": "core/arrays.py",
    "Index": "core/arrays.py",
    "Progress": "core/progress.py",
}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_all_share_is_defined_once(name: str) -> None:
    found = {
        place(own)
        for own in MODULES
        for node in TREES[own].body
        if isinstance(node, ast.Assign) and name in [getattr(t, "id", "") for t in node.targets]
    }
    assert found == {SHARED[name]}


def test_frozen_settings_and_whole_files_are_made_in_one_place() -> None:
    made = {own for own in MODULES if "ConfigDict" in {name for _, name in calls(own)}}
    assert {place(own) for own in made} <= {
        "core/settings.py",
        "security/watermarks/protocol.py",  # schemes are not frozen
    }
    moved = {place(own) for own in MODULES if ".part" in set(texts(own))}
    assert moved == {"core/files.py"}
