"""fedfm-sim: an economic and security simulator for federated foundation models."""

from __future__ import annotations

import os
from importlib import import_module

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.start import end_quietly

end_quietly()

# As in typing, which takes longer to load than all else that the command needs before it can
# watch interrupts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fedfm_sim import games, mechanisms
    from fedfm_sim.core.watched import Watched
    from fedfm_sim.experiments.attack_game import attack_game
    from fedfm_sim.experiments.compare import compare
    from fedfm_sim.experiments.design import design
    from fedfm_sim.experiments.federation_game import federation_game
    from fedfm_sim.experiments.loading import load
    from fedfm_sim.experiments.plugins import register
    from fedfm_sim.experiments.robustness import robustness
    from fedfm_sim.experiments.run import run
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.scenarios import Scenario, load_scenario

__all__ = [
    "Scenario",
    "UserError",
    "Watched",
    "Workshop",
    "attack_game",
    "compare",
    "design",
    "federation_game",
    "games",
    "load",
    "load_scenario",
    "mechanisms",
    "register",
    "robustness",
    "run",
]

# Before torch loads: its idle threads would spin, which on a busy machine costs tens of times what
# they bring.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

#: Where each public name lives; whoever wants the economics alone never loads torch.
_PLACES = {
    "Scenario": "fedfm_sim.scenarios",
    "Watched": "fedfm_sim.core.watched",
    "load_scenario": "fedfm_sim.scenarios",
    "load": "fedfm_sim.experiments.loading",
    "register": "fedfm_sim.experiments.plugins",
    "run": "fedfm_sim.experiments.run",
    "Workshop": "fedfm_sim.experiments.workshop",
    "attack_game": "fedfm_sim.experiments.attack_game",
    "compare": "fedfm_sim.experiments.compare",
    "robustness": "fedfm_sim.experiments.robustness",
    "design": "fedfm_sim.experiments.design",
    "federation_game": "fedfm_sim.experiments.federation_game",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in ("games", "mechanisms"):
        return import_module(f"fedfm_sim.{name}")
    raise AttributeError(f"module 'fedfm_sim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
