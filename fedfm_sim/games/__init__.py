"""Games: normal form, equilibria, learning, and how far a profile is from one (Eq. 13).

- `normal_form`, `nash`, `several`, `linear`, `quantal`, `solve`: games of few players, and their
  equilibria; `exact`: the whole numbers under them.
- `symmetric`, `reduction`, `mean_field`: many players of few kinds.
- `bayesian`, `signalling`, `reputation`: what players do not know of each other.
- `repeated`, `automata`: play that goes on. `dynamics`, `alpha_rank`: play that is learnt.
- `empirical`, `estimates`: games whose payoffs were measured. `deviation`: Eq. 13 on a run.
"""

from fedfm_sim.games.alpha_rank import alpha_rank
from fedfm_sim.games.automata import Automaton, one_shot_deviation
from fedfm_sim.games.bayesian import BayesianGame, value_of_information
from fedfm_sim.games.empirical import EmpiricalGame
from fedfm_sim.games.estimates import Estimate, deterrence_ratio
from fedfm_sim.games.linear import (
    Commitment,
    correlated,
    inspection_game,
    security_game,
    stackelberg,
    zero_sum,
)
from fedfm_sim.games.mean_field import mean_field_equilibrium
from fedfm_sim.games.nash import Equilibria, extreme_equilibria, support_enumeration
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame
from fedfm_sim.games.quantal import quantal_response
from fedfm_sim.games.reduction import deviation_preserving
from fedfm_sim.games.repeated import (
    critical_discount,
    feasible,
    individually_rational,
    minmax_values,
    sustainable,
)
from fedfm_sim.games.reputation import reputation_value
from fedfm_sim.games.signalling import SignallingGame
from fedfm_sim.games.solve import solve
from fedfm_sim.games.symmetric import RoleSymmetricGame

__all__ = [
    "Automaton",
    "BayesianGame",
    "Commitment",
    "EmpiricalGame",
    "Equilibria",
    "Equilibrium",
    "Estimate",
    "NormalFormGame",
    "RoleSymmetricGame",
    "SignallingGame",
    "alpha_rank",
    "correlated",
    "critical_discount",
    "deterrence_ratio",
    "deviation_preserving",
    "extreme_equilibria",
    "feasible",
    "individually_rational",
    "inspection_game",
    "mean_field_equilibrium",
    "minmax_values",
    "one_shot_deviation",
    "quantal_response",
    "reputation_value",
    "security_game",
    "solve",
    "stackelberg",
    "support_enumeration",
    "sustainable",
    "value_of_information",
    "zero_sum",
]
