"""The one way in and out of the command: every error is one line, and an exit code."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from fedfm_sim.cli.interrupts import INTERRUPTED, INTERRUPTS

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from typing import Any

#: Set to anything, this environment variable has errors of the program itself shown in full.
TRACEBACK = "FEDFM_SIM_TRACEBACK"


def main() -> None:
    """Run the command, and exit.

    The exit code is 0 where all went well, 2 for what the user can mend, 130 after an
    interrupt, and 1 for anything else.
    """
    INTERRUPTS.watch()
    try:
        code = _called()
    except BaseException as error:
        code = _told(error)
    INTERRUPTS.leave()
    sys.exit(code)


def _called() -> int:
    _quieten()
    _check_folder()
    from fedfm_sim.cli.commands import app

    # On its own, typer would print errors over several lines.
    code = app(prog_name="fedfm-sim", standalone_mode=False)
    sys.stdout.flush()
    return code or 0


def _check_folder() -> None:
    """Refuse to work in a folder that is gone, which makes libraries end the process."""
    from pathlib import Path

    try:
        Path.cwd()
    except OSError:
        from fedfm_sim.core.errors import UserError

        raise UserError("the working directory is gone; change to one that is there") from None


def _quieten() -> None:
    """Have libraries say no more than a user can do something with."""
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal of few characters stops nothing
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
    warnings.showwarning = _warned
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    # What a killed command leaves in shared memory is removed, and need not be told of.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(f"warning: {message}")


def _told(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit code."""
    from fedfm_sim.core.errors import UserError

    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return error.code or 0
    if isinstance(error, KeyboardInterrupt) or INTERRUPTS.seen:
        _say("interrupted")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, UserError):
        _say(str(error))
        return 2
    if hasattr(error, "format_message"):  # of typer: an argument that does not fit
        from fedfm_sim.cli.usage import in_one_line

        _say(in_one_line(error))
        return 2
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)
        return 1
    if isinstance(error, OSError) and error.strerror:
        _say(f"{error.filename or 'input or output'}: {error.strerror}")
    elif isinstance(error, MemoryError):
        _say(f"out of memory: {str(error) or 'fewer participants or a smaller model need less'}")
    else:
        _say(
            f"unexpected {type(error).__name__}: {error}; please report this, with what "
            f"{TRACEBACK}=1 shows"
        )
    return 1


def _say(text: str) -> None:
    print(f"fedfm-sim: {' '.join(text.split())}", file=sys.stderr)
