"""Text and tables for a terminal of any width: nothing is read as mark-up, and nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: A line of digits, signs and units at most, or from one to another: a column of such lines
#: is never broken over more.
_DIGITS = r"[-+]?[\d.,]+(e[-+]?\d+)?\s?%?"
NUMBER = re.compile(rf"{_DIGITS}( to {_DIGITS})?|nan|none|-|yes|", re.IGNORECASE)

#: A column of text is broken over lines, but not made narrower than this; names are not broken
#: up to the second.
NARROWEST, NAME = 20, 26


def terminal(stderr: bool = False) -> Console:
    """Return a console that prints texts of users as they are.

    The names of owners and descriptions of scenarios may have brackets and colons in them, which
    rich would take for colours and pictures.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    keys: int = 1,
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print a table, in several parts where it is wider than the console.

    Each part has the key columns, and as many of the others as fit. Where not even one fits
    beside them, each row is printed as a list.

    Parameters
    ----------
    console : Console
    headings : sequence of str
    rows : sequence of sequences of str
    title : str
    keys : int
        How many of the first columns name a row.
    styles : mapping of str to str, optional
        The style of cells by what is in them, such as ``{"violated": "red"}``.
    """
    if title:
        console.print(title, style="italic")
    columns = [
        _Column.of(heading, [row[place] for row in rows]) for place, heading in enumerate(headings)
    ]
    parts = _parts(columns, console.width, keys)
    if not parts:
        _print_lists(console, headings, rows)
        return
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(_table([columns[column] for column in part], console.width, styles or {}))


@dataclass(frozen=True)
class _Column:
    """A column, the width that it needs, and the width that it would like."""

    heading: str
    cells: Sequence[str]
    numbers: bool
    least: int
    most: int

    @classmethod
    def of(cls, heading: str, cells: Sequence[str]) -> _Column:
        lines = [line for cell in cells for line in cell.split("\n")]
        numbers = all(NUMBER.fullmatch(line) for line in lines)
        word = max(map(cell_len, heading.split()), default=0)
        longest = max(map(cell_len, lines), default=0)
        names = longest <= NAME and not any(" " in cell for cell in cells)
        least = longest if numbers or names else min(NARROWEST, longest)
        most = max(least, word, *([] if numbers else [longest, cell_len(heading)]))
        return cls(heading, cells, numbers, max(least, word), most)


def _parts(columns: Sequence[_Column], width: int, keys: int) -> list[list[int]]:
    """Return the columns of each part; none where a key and another column do not fit."""
    first = list(range(min(keys, len(columns))))
    parts: list[list[int]] = [[*first]]
    for place in range(len(first), len(columns)):
        wider = [*parts[-1], place]
        if not _fits([columns[each] for each in wider], width) and len(parts[-1]) > len(first):
            wider = [*first, place]
            parts.append([])
        parts[-1] = wider
    fit = all(_fits([columns[each] for each in part], width) for part in parts)
    return parts if fit else []


def _fits(columns: Sequence[_Column], width: int) -> bool:
    return sum(column.least + 1 for column in columns) - 1 <= width


def _table(columns: Sequence[_Column], width: int, styles: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column, wide in zip(columns, _widths(columns, width), strict=True):
        justify: Literal["right", "left"] = "right" if column.numbers else "left"
        table.add_column(column.heading, justify=justify, width=wide, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(styled(cell, styles) for cell in row))
    return table


def _widths(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the width of each column: what it needs, and its part of what is left."""
    left = width - sum(column.least + 1 for column in columns) + 1
    wanted = sum(column.most - column.least for column in columns)
    share = min(1.0, left / wanted) if wanted else 0.0
    return [column.least + int(share * (column.most - column.least)) for column in columns]


def styled(cell: str, styles: Mapping[str, str]) -> str | Text:
    """Return a cell in its style, if it has one."""
    return Text(cell, style=styles[cell]) if cell in styles else cell


def _print_lists(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for place, row in enumerate(rows):
        if place:
            console.print()
        for heading, cell in zip(headings, row, strict=True):
            console.print(f"{heading}: {cell}" if heading else cell, overflow="fold")
