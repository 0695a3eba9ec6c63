"""Games: normal form, equilibria, learning, and how far a profile is from one (Eq. 13)."""

from fedfm_sim.games.empirical import EmpiricalGame, deterrence_ratio
from fedfm_sim.games.linear import (
    Commitment,
    correlated,
    inspection_game,
    security_game,
    stackelberg,
    zero_sum,
)
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame
from fedfm_sim.games.quantal import quantal_response
from fedfm_sim.games.solve import solve

__all__ = [
    "Commitment",
    "EmpiricalGame",
    "Equilibrium",
    "NormalFormGame",
    "correlated",
    "deterrence_ratio",
    "inspection_game",
    "quantal_response",
    "security_game",
    "solve",
    "stackelberg",
    "support_enumeration",
    "zero_sum",
]
