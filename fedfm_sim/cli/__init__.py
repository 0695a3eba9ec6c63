"""The command line: ``fedfm-sim``.

Little is imported before interrupts are watched; the commands are in
`fedfm_sim.cli.commands`.
"""

from __future__ import annotations

from fedfm_sim.cli.entry import main

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from typing import Any

    from fedfm_sim.cli.commands import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from fedfm_sim.cli.commands import app

        return app
    raise AttributeError(f"module 'fedfm_sim.cli' has no attribute {name!r}")
