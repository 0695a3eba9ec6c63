"""Errors that a user can mend; each is one clear line."""

from __future__ import annotations


class UserError(ValueError):
    """Input that a user can correct.

    The message is one line that says what was given, where, and what was
    expected. The command line prints it and ends with exit code 2.
    """
