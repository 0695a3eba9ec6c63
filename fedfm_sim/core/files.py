"""Files that are written whole or not at all, and found where their names say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def found(folder: Path, name: str) -> Path | None:
    """Return the absolute path of what ``name`` is the path of, seen from ``folder``; or None."""
    try:
        return (folder / name).resolve(strict=True)
    except (OSError, ValueError):  # there is nothing, or it is no path at all
        return None
