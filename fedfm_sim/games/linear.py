"""Solution concepts that are linear programs: maximin, correlated play, Stackelberg leaders.

References
----------
.. [1] J. von Neumann, "Zur Theorie der Gesellschaftsspiele", Math. Annalen 100, 1928.
.. [2] R. Aumann, "Subjectivity and correlation in randomized strategies", Journal of
   Mathematical Economics 1(1), 1974, pp. 67-96; H. Moulin and J.-P. Vial, 1978 (coarse).
.. [3] V. Conitzer and T. Sandholm, "Computing the optimal strategy to commit to", EC 2006.
.. [4] C. Kiekintveld et al., "Computing optimal randomized resource allocations for massive
   security games", AAMAS 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame


@dataclass(frozen=True, eq=False)
class Commitment:
    """What a leader commits to.

    Attributes
    ----------
    strategy : array
        The leader's mixture.
    reply : int
        The follower's action, by ties in the leader's favour.
    value : float
        The leader's payoff.
    follower_value : float
    """

    strategy: Array
    reply: int
    value: float
    follower_value: float


def zero_sum(payoffs: Array) -> Equilibrium:
    """Return maximin strategies of the zero-sum game with these row payoffs [1]_."""
    game = NormalFormGame.from_bimatrix(payoffs, -np.asarray(payoffs, dtype=float))
    x, _ = _maximin(game.payoffs[0])
    y, _ = _maximin(game.payoffs[1].T)
    return game.evaluated([x, y])


def _maximin(payoffs: Array) -> tuple[Array, float]:
    rows, columns = payoffs.shape
    lowest = np.r_[np.zeros(rows), -np.inf]
    solved = least(
        np.r_[np.zeros(rows), -1],
        np.c_[-payoffs.T, np.ones(columns)],
        np.zeros(columns),
        np.r_[np.ones(rows), 0][None],
        np.c_[lowest, np.full(rows + 1, np.inf)],
    )
    assert solved is not None  # a finite game has a value
    return distribution(solved[0][:rows]), -solved[1]


def correlated(
    game: NormalFormGame, objective: Array | None = None, coarse: bool = False
) -> tuple[Array, float]:
    """Return the (coarse) correlated equilibrium of the highest objective [2]_.

    Parameters
    ----------
    objective : (a_1, ..., a_n) array, optional
        What to maximise over profiles; the sum of payoffs unless given.
    coarse : bool
        Whether players decide whether to follow before they hear their advice.

    Returns
    -------
    distribution : (a_1, ..., a_n) array
    value : float
    """
    aim = game.welfare() if objective is None else np.asarray(objective, dtype=np.float64)
    if aim.shape != game.payoffs.shape[1:]:
        raise UserError(f"an objective of shape {aim.shape} for {game.payoffs.shape[1:]} profiles")
    bounds = []
    for i in range(game.players):
        payoffs = np.moveaxis(game.payoffs[i], i, 0)
        for instead in range(len(payoffs)):
            gain = payoffs[instead][None] - payoffs
            if coarse:
                bounds.append(np.moveaxis(gain, 0, i).ravel())
                continue
            for advised in range(len(payoffs)):
                only = np.zeros_like(gain)
                only[advised] = gain[advised]
                bounds.append(np.moveaxis(only, 0, i).ravel())
    whole = np.ones((1, aim.size))
    solved = least(-aim.ravel(), np.array(bounds), np.zeros(len(bounds)), whole)
    assert solved is not None  # every Nash equilibrium is one
    joint = distribution(solved[0]).reshape(aim.shape)
    return joint, float((joint * aim).sum())


def stackelberg(leader: Array, follower: Array) -> Commitment:
    """Return the strong Stackelberg commitment of the row player, by one LP a reply [3]_."""
    game = NormalFormGame.from_bimatrix(leader, follower)
    own, others = game.payoffs
    rows, columns = own.shape
    best: Commitment | None = None
    for reply in range(columns):
        gains = (others - others[:, [reply]]).T
        solved = least(-own[:, reply], gains, np.zeros(columns), np.ones((1, rows)))
        if solved and (best is None or -solved[1] > best.value + 1e-12 * game.scale):
            x = distribution(solved[0])
            best = Commitment(x, reply, float(x @ own[:, reply]), float(x @ others[:, reply]))
    assert best is not None  # some reply is best against any mixture
    return best


def security_game(
    covered: tuple[Array, Array], uncovered: tuple[Array, Array], resources: float
) -> Commitment:
    """Return how a defender spreads its audits over targets, one of which is attacked [4]_.

    Parameters
    ----------
    covered, uncovered : pairs of (t,) arrays
        (defender's, attacker's) payoff when the target attacked is guarded, and when not;
        guarding helps the defender and hurts the attacker.
    resources : float
        Expected number of targets that can be guarded, at least 0.

    Returns
    -------
    Commitment
        ``strategy`` holds each target's probability of being guarded, ``reply`` the target
        that is attacked.

    Raises
    ------
    UserError
        When shapes differ, or guarding hurts the defender or helps the attacker.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (*covered, *uncovered)]
    if len({part.shape for part in parts}) != 1 or parts[0].ndim != 1 or resources < 0:
        raise UserError("a security game needs four payoffs for each target, and resources >= 0")
    good, caught, bad, free = parts
    if (good < bad).any() or (caught > free).any():
        raise UserError("guarding a target must not hurt the defender or help the attacker")
    best: Commitment | None = None
    for target in range(len(good)):
        # The attacked target is the attacker's best: free - c (free - caught) is largest there.
        slope = free - caught
        rows = np.diag(-slope)
        rows[:, target] += slope[target]
        solved = least(
            -np.where(np.arange(len(good)) == target, good - bad, 0),
            np.r_[rows, np.ones((1, len(good)))],
            np.r_[free[target] - free, resources],
            None,
            np.c_[np.zeros(len(good)), np.ones(len(good))],
        )
        if solved and (best is None or bad[target] - solved[1] > best.value + 1e-12):
            attacked = float(free[target] - solved[0][target] * slope[target])
            best = Commitment(solved[0], target, float(bad[target] - solved[1]), attacked)
    assert best is not None  # with no coverage the attacker's favourite target is feasible
    return best


def inspection_game(gain: float, fine: float, loss: float, cost: float) -> Equilibrium:
    """Return the equilibrium of one inspector and one who may violate (Avenhaus et al. 2002).

    Rows: obey, violate; columns: no audit, audit. A violation pays ``gain`` unless audited,
    when it costs ``fine``; it costs the inspector ``loss`` unless audited, and an audit
    costs ``cost``. With ``cost < loss`` it is mixed: audits with probability
    ``gain / (gain + fine)``, violations with probability ``cost / loss``.

    Raises
    ------
    UserError
        When a number is not above 0.
    """
    if not all(np.isfinite(v) and v > 0 for v in (gain, fine, loss, cost)):
        raise UserError("gain, fine, loss and cost of an inspection game must be above 0")
    violator = np.array([[0, 0], [gain, -fine]])
    game = NormalFormGame.from_bimatrix(violator, np.array([[0, -cost], [-loss, -cost]]))
    if cost >= loss:
        return game.evaluated([np.array([0.0, 1]), np.array([1.0, 0])])
    audits, violations = gain / (gain + fine), cost / loss
    return game.evaluated([np.array([1 - violations, violations]), np.array([1 - audits, audits])])


def least(
    cost: Array, above: Array, limits: Array, equal: Array | None, bounds: Array | None = None
) -> tuple[Array, float] | None:
    """Minimise ``cost x`` with ``above x <= limits`` and ``equal x = 1``; None if infeasible.

    x is at least 0 unless bounded otherwise.
    """
    limits_of_x: list[tuple[float | None, float | None]] = [(0, None)] * len(cost)
    if bounds is not None:
        limits_of_x = [(float(low), float(high)) for low, high in bounds]
    solved = linprog(
        cost,
        A_ub=above,
        b_ub=limits,
        A_eq=equal,
        b_eq=None if equal is None else [1],
        bounds=limits_of_x,
    )
    if solved.status != 0 or solved.x is None or solved.fun is None:
        return None
    return np.asarray(solved.x, dtype=np.float64), float(solved.fun)


def distribution(solved: Array) -> Array:
    """Return a solver's chances without its rounding: none negative, 1 in sum."""
    own = np.maximum(np.asarray(solved, dtype=np.float64), 0)
    return np.asarray(own / own.sum())
