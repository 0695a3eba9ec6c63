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
from fractions import Fraction

import highspy
import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.exact import Whole, exactly, integers, programme, whole
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame

#: Coefficients of a linear programme that is solved in whole numbers: a second or two.
MOST_ENTRIES = 8_000


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
    """Return maximin strategies of the zero-sum game with these row payoffs [1]_.

    Exact up to `MOST_ENTRIES` payoffs: they are the fractions that they are (`whole`).
    """
    given = np.asarray(payoffs, dtype=np.float64)
    game = NormalFormGame.from_bimatrix(given, -given)
    numbers = whole(given)
    return game.evaluated([_maximin(numbers), _maximin(-numbers.T + numbers.max())])


def _maximin(payoffs: Whole) -> Array:
    """Return the mixture of rows that maximises the least payoff, of numbers from 0 on."""
    rows, columns = payoffs.shape
    solved = least(
        np.r_[np.zeros(rows, dtype=object), -1],
        np.c_[-payoffs.T, np.ones(columns, dtype=object)],
        np.zeros(columns, dtype=object),
        np.r_[np.ones(rows, dtype=object), 0],
    )
    assert solved is not None  # a finite game has a value
    return distribution(solved[0][:rows])


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
        payoffs = np.moveaxis(whole(game.payoffs[i]), i, 0)
        for instead in range(len(payoffs)):
            gain = payoffs[instead][None] - payoffs
            if coarse:
                bounds.append(np.moveaxis(gain, 0, i).ravel())
                continue
            for advised in range(len(payoffs)):
                only = np.zeros_like(gain)
                only[advised] = gain[advised]
                bounds.append(np.moveaxis(only, 0, i).ravel())
    everything = np.ones(aim.size, dtype=object)
    nothing = np.zeros(len(bounds), dtype=object)
    solved = least(-whole(aim).ravel(), np.array(bounds), nothing, everything)
    assert solved is not None  # every Nash equilibrium is one
    joint = distribution(solved[0]).reshape(aim.shape)
    return joint, float((joint * aim).sum())


def stackelberg(leader: Array, follower: Array) -> Commitment:
    """Return the strong Stackelberg commitment of the row player, by one LP a reply [3]_.

    Exact up to `MOST_ENTRIES` payoffs; of replies that are worth the same to the leader, the
    first.
    """
    game = NormalFormGame.from_bimatrix(leader, follower)
    own, others = (whole(part) for part in game.payoffs)
    rows, columns = own.shape
    best: tuple[Fraction, int, Array] | None = None
    for reply in range(columns):
        gains = (others - others[:, [reply]]).T
        everything = np.ones(rows, dtype=object)
        solved = least(-own[:, reply], gains, np.zeros(columns, dtype=object), everything)
        if solved and (best is None or -solved[1] > best[0]):
            best = -solved[1], reply, distribution(solved[0])
    assert best is not None  # some reply is best against any mixture
    _, reply, x = best
    value, answered = (float(x @ part[:, reply]) for part in game.payoffs)
    return Commitment(x, reply, value, answered)


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
    # In the attacker's own unit and the defender's: the answer is a share of either.
    slope, lead = (exactly(part) for part in (free - caught, good - bad))
    attraction, base = exactly(free), exactly(bad)
    best: tuple[Fraction, int, Array] | None = None
    each = np.array([*np.eye(len(good), dtype=np.int64)], dtype=object)
    for target in range(len(good)):
        # The attacked target is the attacker's best: free - c (free - caught) is largest there.
        rows = -each * slope
        rows[:, target] += slope[target]
        solved = least(
            -each[target] * lead,
            np.r_[rows, each, np.ones((1, len(good)), dtype=object)],
            np.r_[attraction[target] - attraction, np.ones(len(good), dtype=object),
                  exactly(np.array([resources]))],
        )  # fmt: skip
        if solved and (best is None or base[target] - solved[1] > best[0]):
            best = base[target] - solved[1], target, solved[0]
    assert best is not None  # with no coverage the attacker's favourite target is feasible
    value, target, cover = best
    attacked = float(free[target] - cover[target] * (free - caught)[target])
    return Commitment(cover, target, float(value), attacked)


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
    cost: Whole, above: Whole, limits: Whole, equal: Whole | None = None
) -> tuple[Array, Fraction] | None:
    """Minimise ``cost x`` with ``above x <= limits``, ``equal x = 1`` and ``x >= 0``.

    Numbers are whole or fractions (`exactly` makes them of floats), and up to `MOST_ENTRIES`
    of ``above`` so is the answer, before x is rounded to floats. HiGHS guesses the basis, every
    row in a unit of its own; for larger programmes its answer, to 1e-10 of that, has to do.

    Returns
    -------
    x, cost or None
        None where it is infeasible.
    """
    rows = [*np.c_[above, limits]]
    if equal is not None:
        rows += [np.r_[equal, 1], np.r_[-equal, -1]]
    numbers = np.array([integers(row) for row in rows], dtype=object)
    aim = np.array(integers(cost), dtype=object)
    guess = _in_floats(aim, numbers)
    if above.size <= MOST_ENTRIES:
        found = programme(aim, numbers[:, :-1], numbers[:, -1], guess.basic if guess else None)
    else:
        found = [Fraction(x) for x in guess.solution.tolist()] if guess else None
    if found is None:
        return None
    total = sum((Fraction(c) * x for c, x in zip(cost, found, strict=True)), Fraction(0))
    return np.array([float(x) for x in found]), total


@dataclass(frozen=True, eq=False)
class _Guess:
    """What HiGHS makes of a programme: a solution, and which variables and slacks are basic."""

    solution: Array
    basic: list[int]


def _in_floats(cost: Whole, numbers: Whole) -> _Guess | None:
    """Minimise over ``numbers[:, :-1] @ x <= numbers[:, -1]``, each row in a unit of its own."""
    rows, width = numbers.shape
    largest = np.array([max(map(abs, row[:-1])) or 1 for row in numbers], dtype=object)
    scaled = (numbers / largest[:, None]).astype(np.float64)
    aim = (cost / (max(map(abs, cost)) or 1)).astype(np.float64)
    where, columns = np.nonzero(scaled[:, :-1])
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("primal_feasibility_tolerance", 1e-10)
    model.setOptionValue("dual_feasibility_tolerance", 1e-10)
    model.addVars(width - 1, np.zeros(width - 1), np.full(width - 1, highspy.kHighsInf))
    model.changeColsCost(width - 1, np.arange(width - 1, dtype=np.int32), aim)
    model.addRows(
        rows,
        np.full(rows, -highspy.kHighsInf),
        scaled[:, -1],
        columns.size,
        np.searchsorted(where, np.arange(rows)).astype(np.int32),
        columns.astype(np.int32),
        scaled[where, columns],
    )
    model.run()
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    basis = model.getBasis()
    status = [*basis.col_status, *basis.row_status]
    basic = [name for name, own in enumerate(status) if own == highspy.HighsBasisStatus.kBasic]
    return _Guess(np.array(model.getSolution().col_value), basic)


def distribution(solved: Array) -> Array:
    """Return a solver's chances without its rounding: none negative, 1 in sum."""
    own = np.maximum(np.asarray(solved, dtype=np.float64), 0)
    return np.asarray(own / own.sum())
