"""Progress that a person can watch: a bar where one can be drawn, and lines elsewhere."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedfm_sim.core.progress import in_time

#: Seconds between two lines where no bar can be drawn.
EVERY = 10.0


class _View(Protocol):
    """One way to show progress."""

    def show(self, done: int, total: int) -> None:
        """Show how much is done."""

    def close(self) -> None:
        """Show nothing from now on."""


class Watched:
    """A context manager that is called with (parts done, all parts), and shows them.

    On a terminal and in a notebook it is a bar. Elsewhere, in a log file say, it is a line
    every ten seconds. All of it goes to standard error or the notebook's cell.

    Parameters
    ----------
    what : str
        What is counted, in the plural, such as "rounds".

    Examples
    --------
    >>> with Watched("rounds") as progress:
    ...     progress(0, 10)
    """

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> Self:
        console = Console(stderr=True, markup=False, highlight=False)
        self._view: _View
        if console.is_jupyter:
            self._view = _Cell(self.what)
        elif console.is_interactive:
            self._view = _Bar(self.what, console)
        else:
            self._view = _Lines(self.what, console)
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show how much is done."""
        self._view.show(done, total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._view.close()


class _Bar:
    """A bar on a terminal, gone once the work has ended."""

    def __init__(self, what: str, console: Console) -> None:
        self._bar = Progress(
            TextColumn(what, markup=False),
            BarColumn(bar_width=None if console.width < 60 else 40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def show(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def close(self) -> None:
        self._bar.stop()


class _Lines:
    """A line now and then, also while one part takes long."""

    def __init__(self, what: str, console: Console) -> None:
        self._what, self._console = what, console
        self._started = time.monotonic()
        self._first, self._done, self._total = -1, 0, 0
        self._ended = threading.Event()
        threading.Thread(target=self._tell, daemon=True).start()

    def show(self, done: int, total: int) -> None:
        if self._first < 0:  # what a resumed run had done already says nothing of its pace
            self._first = done
        self._done, self._total = done, total

    def close(self) -> None:
        self._ended.set()

    def _tell(self) -> None:
        while not self._ended.wait(EVERY):
            seconds = time.monotonic() - self._started
            line = f"{self._what}: working for {in_time(seconds)}"
            if self._total:
                done = f"{self._done} of {self._total} done"
                line = f"{self._what}: {done} after {in_time(seconds)}"
            if 0 <= self._first < self._done < self._total:
                left = seconds / (self._done - self._first) * (self._total - self._done)
                line += f", about {in_time(left)} left"
            self._console.print(line, soft_wrap=True)


class _Cell:
    """A bar in a notebook's cell, drawn by the browser."""

    def __init__(self, what: str) -> None:
        shown: Any = import_module("IPython.display")  # there is one, or this were no notebook
        self._what, self._html = what, shown.HTML
        self._cell = shown.display(shown.HTML(f"{what}: ..."), display_id=True)

    def show(self, done: int, total: int) -> None:
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress>'
        self._cell.update(self._html(f"{self._what} {bar} {done} of {total}"))

    def close(self) -> None:
        self._cell.update(self._html(""))
