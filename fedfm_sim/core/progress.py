"""How long work tells what it has done."""

from __future__ import annotations

from collections.abc import Callable

#: Called with (parts done, all parts), before the first part and after each.
Progress = Callable[[int, int], None]


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""
