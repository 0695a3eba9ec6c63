"""alpha-Rank: how often evolution, with rare mutants, spends its time at each pure profile.

References
----------
.. [1] S. Omidshafiei et al., "alpha-Rank: multi-agent evaluation by evolution", Scientific
   Reports 9, 9937, 2019.
.. [2] T. A. Han, L. M. Pereira, F. C. Santos and T. Lenaerts, "Good agreements make good
   friends", Scientific Reports 3, 2695, 2013 (one population).
.. [3] W. K. Grassmann, M. I. Taksar and D. P. Heyman, "Regenerative analysis and steady state
   distributions for Markov chains", Operations Research 33(5), 1985, pp. 1107-1116.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, softmax

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import NormalFormGame

#: States of the chain; solving it takes their number cubed.
MOST_STATES = 1_000
#: Largest selection intensity x population x range of payoffs that doubles tell apart.
STRONGEST = 1e10


def alpha_rank(
    game: NormalFormGame, alpha: float, population: int = 50, symmetric: bool = False
) -> Array:
    """Return the share of time that evolving populations spend at each pure profile [1]_.

    Each player is a population of m that all play alike. Now and then one mutant tries
    another action, and takes its population over with the fixation probability of the
    Fermi imitation process of selection intensity alpha; the share of time is the
    stationary distribution of that chain.

    With a population for each player, a mutant gains the same d however many follow it:
    ``rho = (1 - exp(-alpha d)) / (1 - exp(-m alpha d))``, ``1 / m`` at d = 0. With
    ``symmetric`` one population plays against itself, k mutants i among residents j get
    ``f_i = ((k - 1) u_ii + (m - k) u_ij) / (m - 1)`` and residents the like, and
    ``1 / rho = 1 + sum_l prod_{k <= l} exp(-alpha (f_i - f_j))`` [2]_.

    Parameters
    ----------
    alpha : float
        Selection intensity, per unit of payoff, at least 0; 0 is uniform, and large ones
        rank by the response graph alone. Computed in logarithms, so it may be large.
    population : int
        m, at least 2.
    symmetric : bool
        Whether a symmetric game of two is played within one population.

    Returns
    -------
    (a_1, ..., a_n) array, or (a,) with ``symmetric``

    Raises
    ------
    UserError
        When a parameter is out of its range, the game is not symmetric where it should be,
        there are more than `MOST_STATES` states, or ``alpha * population * scale`` is above
        `STRONGEST`.
    """
    if not (np.isfinite(alpha) and alpha >= 0 and population >= 2):
        raise UserError(f"alpha is at least 0 and a population at least 2: {alpha}, {population}")
    if alpha * population * game.scale > STRONGEST:
        raise UserError(f"alpha {alpha:.3g} is too strong for payoffs of range {game.scale:.3g}")
    if symmetric:
        return _stationary(_within(_symmetric_payoffs(game), alpha, population))
    shape = game.payoffs.shape[1:]
    _check_size(int(np.prod(shape)))
    return _stationary(_between(game, alpha, population)).reshape(shape)


def _symmetric_payoffs(game: NormalFormGame) -> Array:
    if game.players != 2 or not np.array_equal(game.payoffs[0], game.payoffs[1].T):
        raise UserError("one population needs a symmetric game of two players")
    _check_size(len(game.payoffs[0]))
    return np.asarray(game.payoffs[0])


def _check_size(states: int) -> None:
    if states > MOST_STATES:
        raise UserError(f"{states} states are too many for alpha-rank; at most {MOST_STATES}")


def _within(payoffs: Array, alpha: float, population: int) -> Array:
    """Return log fixation probabilities (residents, mutants) in one population."""
    mutants = np.arange(1, population)
    own = np.diag(payoffs)[:, None]
    rates = np.empty_like(payoffs)
    for resident in range(len(payoffs)):
        met, meets = payoffs[:, [resident]], payoffs[resident][:, None]
        mutant = ((mutants - 1) * own + (population - mutants) * met) / (population - 1)
        others = mutants * meets + (population - mutants - 1) * payoffs[resident, resident]
        steps = np.cumsum(-alpha * (mutant - others / (population - 1)), axis=1)
        rates[resident] = -logsumexp(np.c_[np.zeros(len(steps)), steps], axis=1)
    return rates


def _between(game: NormalFormGame, alpha: float, population: int) -> Array:
    """Return log fixation probabilities between profiles that differ in one action."""
    shape = game.payoffs.shape[1:]
    index = np.arange(int(np.prod(shape))).reshape(shape)
    rates = np.full((index.size, index.size), -np.inf)
    for i in range(game.players):
        places = np.moveaxis(index, i, -1).reshape(-1, shape[i])
        payoffs = np.moveaxis(game.payoffs[i], i, -1).reshape(-1, shape[i])
        gains = payoffs[:, None, :] - payoffs[:, :, None]
        different = ~np.eye(shape[i], dtype=bool)
        logs = _log_fixation(alpha * gains, population)
        for own, values in zip(places, logs, strict=True):
            rates[np.ix_(own, own)] = np.where(different, values, rates[np.ix_(own, own)])
    return rates


def _log_fixation(strength: Array, population: int) -> Array:
    """Return ``log((1 - exp(-x)) / (1 - exp(-m x)))``, ``-log m`` at 0."""
    size = np.where(strength == 0, 1.0, np.abs(strength))
    ratio = np.log(-np.expm1(-size)) - np.log(-np.expm1(-population * size))
    logs = ratio - (population - 1) * np.maximum(-strength, 0)
    return np.asarray(np.where(strength == 0, -np.log(population), logs))


def _stationary(rates: Array) -> Array:
    """Return the stationary distribution of a chain from the logs of its rates (s, s).

    States are eliminated from the last one, without a subtraction [3]_, so that rates of
    any size keep their precision.
    """
    logs = rates.copy()
    for last in range(len(logs) - 1, 0, -1):
        logs[:last, last] -= logsumexp(logs[last, :last])
        detour = logs[:last, [last]] + logs[last, :last]
        logs[:last, :last] = np.logaddexp(logs[:last, :last], detour)
    weights = np.zeros(len(logs))
    for state in range(1, len(logs)):
        weights[state] = logsumexp(weights[:state] + logs[:state, state])
    return np.asarray(softmax(weights))
