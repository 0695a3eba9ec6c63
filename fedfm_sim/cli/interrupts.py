"""What an interrupt (Ctrl-C) does, from the first moment to the last.

Until work begins there is nothing to keep, and the process ends at once: raised in the middle
of an import, KeyboardInterrupt comes out of some library as another error, or not at all.
While work goes on it is raised, so that what is done can be kept, and remembered in case a
library swallows it.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

#: The exit code of a command that was interrupted, as shells have it: 128 + SIGINT.
INTERRUPTED = 130


class Interrupts:
    """What becomes of the interrupts of this process; before `watch`, nothing is changed.

    Attributes
    ----------
    seen : bool
        Whether one came while work was going on.
    """

    def __init__(self) -> None:
        self.seen = False
        self._working = False

    def watch(self) -> None:
        """Take over from Python, unless interrupts are ignored or somebody else handles them."""
        if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(signal.SIGINT, self._handle)
            sys.unraisablehook = self._unraisable

    def leave(self) -> None:
        """Let another interrupt end the process without a word: there is nothing more to say."""
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    def begin_work(self) -> None:
        """Raise KeyboardInterrupt from now on."""
        self._working, self.seen = True, False

    def end_work(self) -> None:
        """End the process at once from now on."""
        self._working = False

    def check(self) -> None:
        """Raise the KeyboardInterrupt that a library has swallowed, if one has."""
        if self.seen:
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._working or self.seen:  # whoever presses twice wants no more of it
            os.write(2, b"\ninterrupted\n")
            os._exit(INTERRUPTED)
        self.seen = True
        raise KeyboardInterrupt

    def _unraisable(self, failure: Any) -> None:
        """Say nothing of an interrupt within a finaliser: it is remembered."""
        if not issubclass(failure.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(failure)


INTERRUPTS = Interrupts()
