"""Processes that work for another one: they end with it, and leave interrupts to it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between two looks at whether the parent is still there.
EVERY = 1.0


def end_with(parent: int) -> None:
    """Have this process end when its parent does, however that one is stopped.

    A parent that is killed can't stop its workers, which would train on for nobody.

    Parameters
    ----------
    parent : int
        The process that this one works for, by its id.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore interrupts in the block, a moment, and in processes started in it for ever.

    Ctrl-C goes to all processes of a terminal: it is for the parent alone to say what is kept.
    (To block the signal instead would not do, as loky unblocks it.)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
