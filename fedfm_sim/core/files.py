"""Files that are written whole or not at all, and found where their names say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from fedfm_sim.core.errors import UserError

#: How the name of a file that is being written ends.
PART = ".part"


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a name to write to, which becomes ``path`` once the block has ended well.

    Whoever is stopped within the block leaves ``path`` as it was.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "answer.txt") as part:
    ...         written = part.write_text("42")
    ...     (Path(folder) / "answer.txt").read_text()
    '42'
    """
    target = Path(path)
    part = target.with_name(target.name + PART)
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def made_folder(path: str | Path) -> Path:
    """Return a folder for results, made where there is none.

    Raises
    ------
    UserError
        When a file is in its place, or nothing can be written there.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error) from error
    return folder


def room_for_folder(path: Path | None) -> Path | None:
    """Return ``path``, "~" spelt out, unless no folder can be made there; nothing is made.

    Raises
    ------
    UserError
        When it is a file, or lies below one, or may not be written to.
    """
    if path is not None:
        try:
            path = path.expanduser()
            there = next(own for own in (path, *path.absolute().parents) if own.exists())
        except (OSError, ValueError, RuntimeError) as error:  # there may be no such home
            raise cannot_write(path, error) from error
        if not there.is_dir():
            raise UserError(f"--out {path}: {there} is a file; expected a folder, or none yet")
        if not os.access(there, os.W_OK):
            raise UserError(f"--out {path}: {there} can't be written to")
    return path


def cannot_write(folder: Path, error: OSError | ValueError | RuntimeError) -> UserError:
    """Return what is said of a folder for results that can't be written to."""
    named = shorten(str(folder).replace("\0", "\\0"), 200, placeholder="...")
    if not isinstance(error, OSError):
        return UserError(f"--out {named}: can't be written: {error}")
    where = f" ({error.filename})" if error.filename not in (None, str(folder)) else ""
    return UserError(f"--out {named}: can't be written: {error.strerror}{where}")


def found(folder: Path, name: str) -> Path | None:
    """Return the absolute path of what ``name`` is the path of, seen from ``folder``; or None."""
    try:
        return (folder / name).resolve(strict=True)
    except (OSError, ValueError):  # there is nothing, or it is no path at all
        return None
