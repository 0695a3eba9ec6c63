"""Where results go that no folder was named for: nothing that is there is written over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from fedfm_sim.cli.shared import tell
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import cannot_write, made_folder, write_text

if TYPE_CHECKING:
    from fedfm_sim.experiments.reported import Reported
    from fedfm_sim.scenarios import Scenario

#: File that says which settings a folder's results were made with.
SETTINGS = ".settings"

#: Characters of a folder's name; file systems allow 255.
LONGEST = 200

#: Where results go.
RUNS = Path("runs")


@contextmanager
def study_folder(
    out: Path | None, name: str, kind: type[Reported], settings: object
) -> Iterator[Path]:
    """Yield the folder that was named; or one under ``runs`` that holds no other results.

    The same settings lead to the same folder again, so that ``--resume`` finds it.

    Parameters
    ----------
    out : Path or None
    name : str
        Of the folder under ``runs``; with a number behind it where that one is taken.
    kind : type of Reported
        What is going to be saved there.
    settings : object
        All that the results depend on.

    Raises
    ------
    UserError
        When there can be no such folder, or it holds files that the result would write over
        and that no study wrote.
    """
    if out is not None:
        kind.check_room(out)
        yield out
        return
    identity = blake2b(repr(settings).encode(), digest_size=16).hexdigest()
    for folder in _candidates(RUNS / name):
        if not folder.exists() or _identity(folder) == identity:
            break
    kind.check_room(folder)
    mark = made_folder(folder) / SETTINGS
    try:
        write_text(mark, identity)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield folder
    finally:
        if list(folder.iterdir()) == [mark]:  # what went wrong did so before anything was made
            mark.unlink()
            folder.rmdir()
            if RUNS.exists() and not any(RUNS.iterdir()):
                RUNS.rmdir()


def _identity(folder: Path) -> str:
    try:
        return (folder / SETTINGS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def free_run_folder(name: str, scenario: Scenario, seed: int) -> Path:
    """Return the folder under ``runs`` of a run: the first that holds no other one."""
    from fedfm_sim.experiments.folder import RunFolder
    from fedfm_sim.experiments.identity import identity_of

    identity = identity_of(scenario, seed)
    for path in _candidates(RUNS / name):
        if RunFolder(path, identity).is_free:
            break
    return path


def check_free(out: Path, scenario: Scenario, seed: int, replace: bool) -> None:
    """Refuse a folder that was named and holds another run, unless that is to be replaced.

    Raises
    ------
    UserError
        When it holds a run of other settings, seed, files or version.
    """
    from fedfm_sim.experiments.folder import RunFolder
    from fedfm_sim.experiments.identity import identity_of

    own = RunFolder(out, identity_of(scenario, seed))
    if own.holds_another_run and not replace:
        raise UserError(
            f"--out {out}: holds a run of other settings, seed, files or version; expected another "
            "folder, or --replace"
        )
    if own.is_finished:
        tell(f"--out {out}: holds this run, finished; made again, as --resume was not given")


def _candidates(first: Path) -> Iterator[Path]:
    first = first.with_name(first.name[:LONGEST])
    yield first
    for number in count(2):
        other = first.with_name(f"{first.name}-{number}")
        tell(f"{first} holds results of other settings, which stay; writing to {other}")
        yield other
