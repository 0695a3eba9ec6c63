"""What names a run: everything that its result depends on, in 128 bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b, file_digest
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

#: Of the format of a run's files; a folder of another version is not read.
VERSION = 1

_BITS = 128


def identity_of(scenario: Scenario, seed: int, *more: object) -> str:
    """Return a hexadecimal name of a run.

    It covers the settings, but for what no run depends on (description, game, design); the
    seed; what else is given; what is in the files and folders that the scenario names; the
    version of this package, and the modules of plug-ins that others registered. It does not
    cover what a hub has under a name, nor what a plug-in reads or imports itself.
    """
    played = scenario.to_play().model_copy(update={"description": ""})
    settings = to_toml(played, seed)
    told = [f"files {VERSION}, package {version('fedfm-sim')}", settings, *map(repr, more)]
    told += [line for path in played.files for line in _contents(path)]
    told += _plugins(settings)
    return blake2b("\n".join(told).encode(), digest_size=_BITS // 8).hexdigest()


def _contents(path: Path) -> Iterator[str]:
    """Iterate over names and contents of a file, or of all files in a folder."""
    inside = sorted(own for own in path.rglob("*") if own.is_file()) if path.is_dir() else [path]
    for own in inside:
        state = own.stat()
        yield f"{own.relative_to(path)} {_digest(own, state.st_mtime_ns, state.st_size)}"


@lru_cache(maxsize=1024)
def _digest(path: Path, changed: int, size: int) -> str:
    """Return what tells the content of a file; it is read again once time or size differ."""
    with path.open("rb") as stream:
        return file_digest(stream, "blake2b").hexdigest()


def _plugins(settings: str) -> Iterator[str]:
    """Iterate over the plug-ins of other packages whose names the settings have."""
    for group in sorted(own for own in entry_points().groups if own.startswith("fedfm_sim.")):
        for point in sorted(entry_points(group=group), key=lambda own: own.name):
            if point.name in settings:
                yield f"{group} {point.name} {point.value} {_source(point.module)}"


def _source(module: str) -> str:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # whoever asks for the plug-in is told
        return ""
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return next(_contents(path), "") if path is not None and path.is_file() else ""
