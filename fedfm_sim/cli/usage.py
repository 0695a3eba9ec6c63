"""What is said of arguments that the command does not have."""

from __future__ import annotations

import re
from typing import Any

from fedfm_sim.core.keys import choices


def in_one_line(error: Any) -> str:
    """Return what is wrong with the arguments, and the nearest that would fit.

    Parameters
    ----------
    error : typer.TyperException
        With a message of its own.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        return str(error.format_message())
    where = context.command_path.partition(" ")[2]
    command, message = context.command, str(error.format_message()).rstrip(".")
    if option := getattr(error, "option_name", None):
        known = [name for each in command.params for name in each.opts if name.startswith("--")]
        if option not in known:
            message = f"no such option {option}{choices(option, known)}"
    elif found := re.match(r"No such command '(.*?)'", message):
        message = f"no such command '{found[1]}'{choices(found[1], command.commands)}"
    else:
        message = f"{message[:1].lower()}{message[1:]}; see {context.command_path} --help"
    return f"{where}: {message}" if where else message
