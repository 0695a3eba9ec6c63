"""How long work tells what it has done."""

from __future__ import annotations

from collections.abc import Callable

#: Called with (parts done, all parts), before the first part and after each.
Progress = Callable[[int, int], None]


#: Called with a line that is no result, such as how long work is going to take.
Tell = Callable[[str], None]


def silent(line: str) -> None:
    """Tell nobody."""


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""


def in_time(seconds: float) -> str:
    """Return a duration in words of at most two units.

    Examples
    --------
    >>> in_time(4.2), in_time(185), in_time(7260)
    ('4 s', '3 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
