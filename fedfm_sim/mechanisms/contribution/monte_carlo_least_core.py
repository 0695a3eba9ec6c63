"""The least core of sampled coalitions, with a bound on how many it misses.

References
----------
.. [1] T. Yan and A. D. Procaccia, "If you like Shapley then you'll love the
   core", AAAI 2021 (the probable least core).
.. [2] G. C. Calafiore and M. C. Campi, "The scenario approach to robust control
   design", IEEE Transactions on Automatic Control 51(5), 2006, pp. 742-753.
.. [3] M. C. Campi and S. Garatti, "The exact feasibility of randomized solutions
   of uncertain convex programs", SIAM Journal on Optimization 19(3), 2008,
   pp. 1211-1230.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv
from scipy.stats import binom

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.least_core import solve
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import EFFICIENCY, Meter, SampledScheme


@dataclass(frozen=True, eq=False)
class MonteCarloLeastCore:
    """The least core of the coalitions that were sampled.

    Attributes
    ----------
    allocation : (n,) array
        Sums to ``v(N) - v(empty)``, in the game's unit.
    excess : float
        The largest excess of a sampled coalition; never above the least core's.
    violation : float
        With the confidence asked for, at most this share of all coalitions has
        an excess above ``excess``.
    evaluations : int
        Different coalitions valued: the sampled ones, the single players, the
        grand and the empty coalition.
    """

    allocation: Values
    excess: float
    violation: float
    evaluations: int


@dataclass(frozen=True)
class _SampledCoalitions:
    """Some coalitions as candidates; a row is a position in the sample."""

    worth: Values
    membership: Values
    total: float

    @property
    def players(self) -> int:
        return int(self.membership.shape[1])

    def members(self, rows: Masks) -> Values:
        return self.membership[rows]

    def excesses(self, allocation: Values) -> Values:
        excesses: Values = self.worth - self.membership @ allocation
        return excesses


def monte_carlo_least_core(
    game: CoalitionGame, coalitions: int, rng: np.random.Generator, *, failure: float = 0.05
) -> MonteCarloLeastCore:
    """Return the egalitarian least core of ``coalitions`` sampled ones [1]_.

    The coalitions are drawn independently, each proper nonempty one alike.
    The single players are always added, without which the excess need have
    no lower bound. Games too large for a table are taken.

    Parameters
    ----------
    game : CoalitionGame
        Of any size.
    coalitions : int
        How many are drawn, repeats included; see `sample_size`.
    rng : Generator
    failure : float
        Probability, in (0, 1), that ``violation`` does not hold.

    Returns
    -------
    MonteCarloLeastCore
        With one player, everything goes to it at an excess of 0.

    Raises
    ------
    UserError
        When fewer than one coalition is asked for, or ``failure`` is not in (0, 1).

    Notes
    -----
    The bound on violations is `violation_bound`. It says how often coalitions
    object, not by how much, and counts them all alike: with many players nearly
    all sampled coalitions are of middling size.

    Examples
    --------
    >>> majority = CoalitionGame.from_table([0, 0, 0, 1, 0, 1, 1, 1])
    >>> sampled = monte_carlo_least_core(majority, 100, np.random.default_rng(0))
    >>> round(sampled.excess, 6), round(sampled.violation, 3)
    (0.333333, 0.062)
    """
    n = game.players
    bound = violation_bound(n, coalitions, failure)
    singles = np.int64(1) << np.arange(n, dtype=np.int64)
    if n == 1:
        return MonteCarloLeastCore(game.values([1]) - game.values([0]), 0.0, 0.0, 2)
    drawn = rng.integers(1, game.grand, coalitions, dtype=np.int64)
    masks = np.union1d(singles, drawn)
    *worth, total = game.values(np.append(masks, game.grand)) - game.values(np.int64(0))
    values = np.array(worth)
    scale = max(float(np.abs(values).max()), abs(float(total))) or 1.0
    sample = _SampledCoalitions(values / scale, members(masks, n), float(total) / scale)
    first = np.searchsorted(masks, singles)
    allocation, level, _ = solve(sample, first, subsidy=False)
    return MonteCarloLeastCore(allocation * scale, level * scale, bound, masks.size + 2)


def violation_bound(players: int, coalitions: int, failure: float = 0.05) -> float:
    r"""Return the share of coalitions that may object, but with probability ``failure``.

    The sampled programme is convex with n variables - the allocation, less
    one for its sum, and the excess - and one constraint for each of m
    independent coalitions, so by the scenario approach [2]_ [3]_ the probability
    that more than a share ``d`` of all coalitions violates its solution is at most

    .. math:: \sum_{i=0}^{n-1} \binom{m}{i} d^i (1 - d)^{m-i}

    and the bound is the ``d`` at which this is ``failure``. It is of the order
    ``(n + log(1/failure)) / m``.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    _check(players, failure)
    if coalitions < 1:
        raise UserError(f"at least one coalition is sampled, got {coalitions}")
    if coalitions < players:
        return 1.0
    return float(betaincinv(players, coalitions - players + 1, 1 - failure))


def sample_size(players: int, violation: float, failure: float = 0.05) -> int:
    """Return the fewest coalitions with `violation_bound` of at most ``violation``.

    Raises
    ------
    UserError
        When a number is out of range.

    Examples
    --------
    >>> sample_size(10, 0.05)
    311
    """
    _check(players, failure)
    if not 0 < violation < 1:
        raise UserError(f"the share of violations must lie between 0 and 1, got {violation}")
    low, high = players - 1, players
    while binom.cdf(players - 1, high, violation) > failure:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = binom.cdf(players - 1, middle, violation) <= failure
        low, high = (low, middle) if enough else (middle, high)
    return high


def violated_share(
    game: CoalitionGame,
    allocation: Values,
    excess: float,
    coalitions: int,
    rng: np.random.Generator,
) -> float:
    """Return the share of freshly drawn coalitions whose excess is above ``excess``.

    Parameters
    ----------
    game : CoalitionGame
        Of any size, of two players at least.
    allocation : (n,) array
        In the game's unit.
    excess : float
        What is allowed, in the game's unit.
    coalitions : int
        How many proper nonempty coalitions are drawn; each new one is valued.
    rng : Generator
        Another than the allocation was sampled with, or the measure is too small.

    Raises
    ------
    UserError
        When no coalition is asked for, or none is proper.
    """
    if coalitions < 1 or game.players < 2:
        raise UserError("violations are measured on at least one coalition of two players or more")
    drawn = rng.integers(1, game.grand, coalitions, dtype=np.int64)
    worth = game.values(drawn) - game.values(np.int64(0))
    slack = 1e-9 * float(np.abs(worth).max())
    gains = worth - members(drawn, game.players) @ allocation
    return float((gains > excess + slack).mean())


def _check(players: int, failure: float) -> None:
    if players < 1:
        raise UserError(f"a game has at least one player, got {players}")
    if not 0 < failure < 1:
        raise UserError(f"the probability of failure must lie between 0 and 1, got {failure}")


class SampledLeastCore(SampledScheme):
    """The least core of sampled coalitions; see `monte_carlo_least_core`."""

    axioms = (EFFICIENCY,)
    source = "Yan and Procaccia, AAAI 2021"

    def sample(self, game: CoalitionGame, meter: Meter, rng: np.random.Generator) -> Contribution:
        """Return the egalitarian least core of as many coalitions as the budget has left."""
        n = game.players
        meter.ends(least=n + 3)
        solution = monte_carlo_least_core(game, self.budget - n - 2, rng)
        return Contribution(
            "least-core-sampled", solution.allocation, solution.evaluations, solution.excess
        )
