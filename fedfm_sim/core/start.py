"""Who interrupts the command while it loads sees no traceback."""

import sys
from importlib import import_module

#: The first argument of ``fedfm-sim``, and of ``python -m fedfm_sim`` while the package loads.
COMMANDS = ("fedfm-sim", "-m")


def end_quietly() -> None:
    """Have an interrupt end the process, if this is the command, until it is watched.

    That is done by `fedfm_sim.cli.interrupts`, once it is loaded. What the module `signal`
    imports takes longer than all that the command loads up to then, so that only its builtin
    part is used here.
    """
    if sys.argv and sys.argv[0].rpartition("/")[2] in COMMANDS:
        signals = import_module("_signal")
        if signals.getsignal(signals.SIGINT) is signals.default_int_handler:
            signals.signal(signals.SIGINT, signals.SIG_DFL)
