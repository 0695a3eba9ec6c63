"""What names a run: everything that its result depends on, in 128 bits."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b, file_digest
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from types import CodeType

from fedfm_sim.core.registry import REGISTERED
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario

#: Of the format of a run's files; a folder of another version is not read.
VERSION = 1

#: What a model's folder is read from; other files there may come and go.
READ = (".json", ".safetensors", ".model", ".txt")

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
    """Iterate over names and contents of a file, or of what a model's folder is read from."""
    inside = [path]
    if path.is_dir():
        inside = sorted(own for own in path.iterdir() if own.suffix in READ and own.is_file())
    for own in inside:
        state = own.stat()
        changed = (state.st_ino, state.st_ctime_ns, state.st_mtime_ns, state.st_size)
        yield f"{own.relative_to(path)} {_digest(own, changed)}"


@lru_cache(maxsize=1024)
def _digest(path: Path, changed: tuple[int, ...]) -> str:
    """Return what tells the content of a file; it is read again once its inode says so."""
    with path.open("rb") as stream:
        return file_digest(stream, "blake2b").hexdigest()


def _plugins(settings: str) -> Iterator[str]:
    """Iterate over the plug-ins, of other packages or this process, that the settings name."""
    for (group, name), plugin in sorted(REGISTERED.items()):
        if _names(settings, name):
            yield f"{group} {name} {_made_of(plugin)}"
    for group in sorted(own for own in entry_points().groups if own.startswith("fedfm_sim.")):
        for point in sorted(entry_points(group=group), key=lambda own: own.name):
            if _names(settings, point.name):
                yield f"{group} {point.name} {point.value} {_source(point)}"


def _names(settings: str, plugin: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(plugin)}(?![\w-])", settings))


def _source(point: EntryPoint) -> str:
    try:
        return _made_of(point.load())
    except Exception:  # of a stranger's code, for any reason: whoever asks for it is told
        return ""


def _made_of(plugin: object) -> str:
    """Return what tells the content of a plug-in that is a folder, or else its code."""
    return "\n".join(_contents(plugin)) if isinstance(plugin, Path) else _source_of(plugin)


@lru_cache(maxsize=1024)
def _source_of(plugin: object) -> str:
    """Return what tells the code of a plug-in: as it was when it was loaded, not edited since."""
    told = list(_compiled(plugin))
    with suppress(OSError, TypeError):  # of a notebook's cells, which have no file
        told.append(inspect.getsource(inspect.getmodule(plugin) or type(plugin)))
    return blake2b("\n".join(told).encode()).hexdigest()


def _compiled(plugin: object) -> Iterator[str]:
    """Iterate over what a class or function does, and over fields and attributes of a class."""
    yield repr(getattr(plugin, "model_fields", ""))
    parts = vars(plugin) if isinstance(plugin, type) else {"": plugin}
    for name, part in sorted(parts.items()):
        if code := getattr(getattr(part, "__func__", part), "__code__", None):
            yield f"{name} {_instructions(code)}"
        elif isinstance(part, bool | int | float | str | tuple) and not name.startswith("_"):
            yield f"{name} {part!r}"


def _instructions(code: CodeType) -> str:
    constants = [_instructions(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    told = [sorted(map(repr, one)) if isinstance(one, frozenset) else one for one in constants]
    return f"{code.co_code.hex()} {code.co_names} {told}"
