"""Games of the textbooks, with what is known of their solutions.

The families are functions; `TEXTBOOK_GAMES` holds named instances whose answers
are published, to learn the solution concepts on and to test them against.

References
----------
.. [1] L. S. Shapley and M. Shubik, "A method for evaluating the distribution of
   power in a committee system", American Political Science Review 48(3), 1954,
   pp. 787-792 (weighted voting, the Security Council).
.. [2] S. C. Littlechild and G. Owen, "A simple expression for the Shapley value
   in a special case", Management Science 20(3), 1973, pp. 370-372 (airport).
.. [3] B. O'Neill, "A problem of rights arbitration from the Talmud",
   Mathematical Social Sciences 2(4), 1982, pp. 345-371 (bankruptcy).
.. [4] R. J. Aumann and M. Maschler, "Game theoretic analysis of a bankruptcy
   problem from the Talmud", Journal of Economic Theory 36(2), 1985, pp. 195-213.
.. [5] L. S. Shapley and M. Shubik, "The assignment game I: the core",
   International Journal of Game Theory 1, 1971, pp. 111-130.
.. [6] L. S. Shapley, "On balanced sets and cores", Naval Research Logistics
   Quarterly 14(4), 1967, pp. 453-460 (glove markets).
.. [7] G. Chalkiadakis, E. Elkind and M. Wooldridge, "Computational aspects of
   cooperative game theory", Morgan and Claypool, 2011.
.. [8] G. d'Eon and K. Larson, "Testing axioms against human reward divisions in
   cooperative games", AAMAS 2020, pp. 312-320, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values

Answer = tuple[float, ...]


def glove_market(left: int, right: int) -> CoalitionGame:
    """Return the game of ``left`` owners of a left glove, then ``right`` of a right one [6]_.

    A coalition is worth the number of pairs that it holds.

    Raises
    ------
    UserError
        When a number is negative, or there is no player or too many.
    """
    if left < 0 or right < 0:
        raise UserError(f"owners of gloves are at least 0, got {left} and {right}")
    side = np.arange(left + right) < left

    def pairs(masks: Masks) -> Values:
        inside = _inside(masks, side.size)
        pairs: Values = np.minimum(inside @ side, inside @ ~side)
        return pairs

    return CoalitionGame(side.size, pairs)


def weighted_voting(quota: float, weights: npt.ArrayLike) -> CoalitionGame:
    """Return the game in which a coalition is worth 1 if its weights reach the quota [1]_.

    Raises
    ------
    UserError
        When a weight is negative, or a number is not finite.
    """
    each = _amounts(weights, "weights")
    if not np.isfinite(quota):
        raise UserError(f"the quota must be finite, got {quota}")
    return CoalitionGame(each.size, lambda masks: _inside(masks, each.size) @ each >= quota)


def airport(costs: npt.ArrayLike) -> CoalitionGame:
    """Return the game of sharing one runway: minus the cost of the longest needed [2]_.

    Raises
    ------
    UserError
        When a cost is negative or not finite.
    """
    each = _amounts(costs, "costs")
    return CoalitionGame(each.size, lambda masks: -(_inside(masks, each.size) * each).max(axis=1))


def shared_taxi(fares: npt.ArrayLike) -> CoalitionGame:
    """Return the cost game of one ride: the fare of the farthest passenger.

    It is `airport` with its costs counted as positive, and so is subadditive:
    the Shapley value divides the fare, and no imputation exists.

    Raises
    ------
    UserError
        When a fare is negative or not finite.
    """
    each = _amounts(fares, "fares")
    return CoalitionGame(each.size, lambda masks: (_inside(masks, each.size) * each).max(axis=1))


def bankruptcy(estate: float, claims: npt.ArrayLike) -> CoalitionGame:
    """Return the game of dividing an estate that is less than the claims on it [3]_.

    A coalition is worth what is left when all others have been paid in full, at
    least 0. Its nucleolus is the division that the Talmud makes [4]_.

    Raises
    ------
    UserError
        When the estate or a claim is negative or not finite, or the estate is
        larger than the claims.
    """
    each = _amounts(claims, "claims")
    if not 0 <= estate <= each.sum():
        raise UserError(f"the estate must lie between 0 and the claims {each.sum()}, got {estate}")

    def left(masks: Masks) -> Values:
        others = each.sum() - _inside(masks, each.size) @ each
        left: Values = np.maximum(estate - others, 0.0)
        return left

    return CoalitionGame(each.size, left)


def assignment(surplus: npt.ArrayLike) -> CoalitionGame:
    """Return the game of sellers (rows, the first players) and buyers (columns) [5]_.

    A coalition is worth the most that pairs of one seller and one buyer in it
    make together.

    Parameters
    ----------
    surplus : (sellers, buyers) array
        What each pair makes, at least 0.

    Raises
    ------
    UserError
        When the surplus is no matrix, is negative or is not finite.
    """
    pairs = np.array(surplus, dtype=np.float64)
    if pairs.ndim != 2 or not (np.isfinite(pairs) & (pairs >= 0)).all():
        raise UserError("the surplus of pairs must be a matrix of finite numbers of at least 0")
    sellers, players = len(pairs), sum(pairs.shape)

    def best(mask: int) -> float:
        inside = (mask >> np.arange(players) & 1).astype(np.bool_)
        present = pairs[inside[:sellers]][:, inside[sellers:]]
        return float(present[linear_sum_assignment(present, maximize=True)].sum())

    return CoalitionGame(players, lambda masks: np.array([best(mask) for mask in masks.tolist()]))


@dataclass(frozen=True, eq=False)
class TextbookGame:
    """A game whose answers are known.

    Attributes
    ----------
    game : CoalitionGame
    source : str
        Where its answers are published.
    shapley : (n,) tuple
        The Shapley value.
    banzhaf : (n,) tuple or None
        The Banzhaf value, which is not normalised; None where it is not published.
    nucleolus, prenucleolus : (n,) tuple or None
        None where it is not published, and where there is no imputation.
    excess : float or None
        The least core's, over proper nonempty coalitions; None where it is not
        published.
    """

    game: CoalitionGame
    source: str
    shapley: Answer
    banzhaf: Answer | None = None
    nucleolus: Answer | None = None
    prenucleolus: Answer | None = None
    excess: float | None = None


def _known(
    game: CoalitionGame,
    source: str,
    shapley: str,
    banzhaf: str | None = None,
    nucleolus: str | None = None,
    prenucleolus: str | None = None,
    excess: str | None = None,
) -> TextbookGame:
    """Return a game with its answers, which are written as fractions.

    Where the nucleolus is given and the prenucleolus is not, they are the same.
    """
    return TextbookGame(
        game,
        source,
        _exact(shapley) or (),
        _exact(banzhaf),
        _exact(nucleolus),
        _exact(prenucleolus or nucleolus),
        None if excess is None else float(Fraction(excess)),
    )


def _exact(numbers: str | None) -> Answer | None:
    return None if numbers is None else tuple(float(Fraction(part)) for part in numbers.split())


def _inside(masks: Masks, players: int) -> Index:
    """Return the (m, n) membership of m coalitions as 0 and 1."""
    return (masks[:, None] >> np.arange(players)) & 1


def _amounts(given: npt.ArrayLike, what: str) -> Values:
    amounts = np.array(given, dtype=np.float64)
    if amounts.ndim != 1 or not (np.isfinite(amounts) & (amounts >= 0)).all():
        raise UserError(f"{what} must be flat, finite and at least 0")
    return amounts


def _by_size(values: Sequence[float]) -> CoalitionGame:
    """Return the game of values listed by size, and in order of the players within one."""
    n = (len(values) + 1).bit_length() - 1
    coalitions = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
    return CoalitionGame.from_dict(n, dict(zip(coalitions, values, strict=True)))


def _deon_larson(shapley: str, *values: float) -> TextbookGame:
    """Return the game of 3 players with v(A), v(B), v(C), v(AB), v(AC), v(BC), and v(N) = 60."""
    return _known(_by_size([*values, 60]), "d'Eon and Larson 2020, table 1", shapley)


#: Games with published answers, by name.
TEXTBOOK_GAMES: dict[str, TextbookGame] = {
    "glove-1-2": _known(
        glove_market(1, 2),
        "Shapley 1967",
        shapley="2/3 1/6 1/6",
        banzhaf="3/4 1/4 1/4",
        nucleolus="1 0 0",
        excess="0",
    ),
    "glove-2-3": _known(
        glove_market(2, 3),
        "Shapley 1967",
        shapley="13/20 13/20 7/30 7/30 7/30",
        banzhaf="11/16 11/16 5/16 5/16 5/16",
        nucleolus="1 1 0 0 0",
        excess="0",
    ),
    "majority-3": _known(
        weighted_voting(2, [1, 1, 1]),
        "Shapley and Shubik 1954",
        shapley="1/3 1/3 1/3",
        banzhaf="1/2 1/2 1/2",
        nucleolus="1/3 1/3 1/3",
        excess="1/3",
    ),
    "weighted-voting-4": _known(
        weighted_voting(51, [40, 22, 30, 9]),
        "Chalkiadakis, Elkind and Wooldridge 2011, example 2.3",
        shapley="1/3 1/3 1/3 0",
        banzhaf="1/2 1/2 1/2 0",
        nucleolus="1/3 1/3 1/3 0",
        excess="1/3",
    ),
    "eec-1958": _known(
        weighted_voting(12, [4, 4, 4, 2, 2, 1]),
        "the Council of the European Economic Community of 1958; Leech 2002",
        shapley="7/30 7/30 7/30 3/20 3/20 0",
        banzhaf="5/16 5/16 5/16 3/16 3/16 0",
        nucleolus="1/4 1/4 1/4 1/8 1/8 0",
        excess="1/4",
    ),
    "security-council": _known(
        weighted_voting(39, [7] * 5 + [1] * 10),
        "Shapley and Shubik 1954, with the 15 members of 1965; vetoes leave a core",
        shapley="421/2145 " * 5 + "4/2145 " * 10,
        banzhaf="53/1024 " * 5 + "21/4096 " * 10,
        nucleolus="1/5 " * 5 + "0 " * 10,
        excess="0",
    ),
    "airport": _known(
        airport([8, 11, 13, 18]),
        "Littlechild and Owen 1973",
        shapley="-2 -3 -4 -9",
        banzhaf="-1 -7/4 -11/4 -31/4",
        nucleolus="-13/4 -13/4 -13/4 -33/4",
        excess="-13/4",
    ),
    "taxi": _known(
        shared_taxi([6, 12, 42]),
        "the tests of CoopGT",
        shapley="2 5 35",
        banzhaf="3/2 9/2 69/2",
        prenucleolus="0 6 36",
        excess="6",
    ),
    "ice-cream": _known(
        _by_size([0, 0, 0, 500, 500, 750, 1000]),
        "Chalkiadakis, Elkind and Wooldridge 2011; OpenSpiel's basic_games.py",
        shapley="250 375 375",
        banzhaf="625/2 875/2 875/2",
        nucleolus="500/3 1250/3 1250/3",
        excess="-250/3",
    ),
    "coopgame-4": _known(
        _by_size([0, 0, 0, 0, 5, 5, 8, 9, 10, 8, 13, 15, 16, 17, 21]),
        "the R package CoopGame",
        shapley="47/12 21/4 21/4 79/12",
        nucleolus="7/2 9/2 11/2 15/2",
        excess="-1/2",
    ),
    "coopgame-67": _known(
        _by_size([2, 6, 5, 15, 1, 18, 14]),
        "the R package CoopGame",
        shapley="1/6 32/3 19/6",
        nucleolus="2 7 5",
        prenucleolus="-1 13 2",
    ),
    "coopgt-3": _known(
        _by_size([5, 3, 2, 12, 5, 4, 13]),
        "the tests of CoopGT",
        shapley="20/3 31/6 7/6",
        nucleolus="13/2 9/2 2",
        prenucleolus="27/4 19/4 3/2",
        excess="1/2",
    ),
    "assignment": _known(
        assignment([[5, 8], [7, 6]]),
        "Shapley and Shubik 1971",
        shapley="47/12 43/12 41/12 49/12",
        nucleolus="7/2 7/2 7/2 9/2",
        excess="0",
    ),
    # The Shapley value of a bankruptcy is O'Neill's recursive completion.
    "bankruptcy-100": _known(
        bankruptcy(100, [100, 200, 300]),
        "O'Neill 1982; Aumann and Maschler 1985",
        shapley="100/3 100/3 100/3",
        nucleolus="100/3 100/3 100/3",
    ),
    "bankruptcy-200": _known(
        bankruptcy(200, [100, 200, 300]),
        "O'Neill 1982; Aumann and Maschler 1985",
        shapley="100/3 250/3 250/3",
        nucleolus="50 75 75",
    ),
    "bankruptcy-300": _known(
        bankruptcy(300, [100, 200, 300]),
        "O'Neill 1982; Aumann and Maschler 1985",
        shapley="50 100 150",
        nucleolus="50 100 150",
    ),
    "1-worse-solo": _deon_larson("25 25 10", 40, 40, 10, 60, 60, 60),
    "1-worse-both": _deon_larson("25 25 10", 15, 15, 0, 45, 30, 30),
    "1-worse-pair": _deon_larson("25 25 10", 0, 0, 0, 45, 15, 15),
    "1-better-solo": _deon_larson("30 15 15", 40, 10, 10, 60, 60, 60),
    "1-better-both": _deon_larson("30 15 15", 15, 0, 0, 45, 45, 30),
    "1-better-pair": _deon_larson("30 15 15", 0, 0, 0, 45, 45, 15),
    "distinct-solo": _deon_larson("30 20 10", 40, 20, 0, 60, 60, 60),
    "distinct-both": _deon_larson("30 20 10", 20, 10, 0, 60, 50, 40),
    "distinct-pair": _deon_larson("30 20 10", 0, 0, 0, 60, 40, 20),
    "additive": _deon_larson("30 20 10", 30, 20, 10, 50, 40, 30),
    "1-worse-zeros2": _deon_larson("25 25 10", 2, 0, 0, 40, 10, 12),
    "1-worse-zeros5": _deon_larson("25 25 10", 5, 0, 0, 40, 10, 15),
    "1-worse-zeros10": _deon_larson("25 25 10", 10, 0, 0, 40, 10, 20),
    "1-worse-sum30": _deon_larson("25 25 10", 20, 5, 5, 60, 30, 45),
    "1-worse-sum45": _deon_larson("25 25 10", 25, 10, 10, 60, 30, 45),
    "1-worse-sum60": _deon_larson("25 25 10", 30, 15, 15, 60, 30, 45),
    "1-better-zeros2": _deon_larson("30 15 15", 2, 2, 0, 38, 40, 10),
    "1-better-zeros5": _deon_larson("30 15 15", 5, 5, 0, 35, 40, 10),
    "1-better-zeros10": _deon_larson("30 15 15", 10, 10, 0, 30, 40, 10),
    "1-better-sum30": _deon_larson("30 15 15", 15, 15, 0, 45, 60, 30),
    "1-better-sum45": _deon_larson("30 15 15", 20, 20, 5, 45, 60, 30),
    "1-better-sum60": _deon_larson("30 15 15", 25, 25, 10, 45, 60, 30),
    "1-null-zeros": _deon_larson("40 20 0", 20, 0, 0, 60, 20, 0),
    "1-null-sum40": _deon_larson("40 20 0", 30, 10, 0, 60, 30, 10),
    "1-null-sum50": _deon_larson("40 20 0", 35, 15, 0, 60, 35, 15),
    "1-null-sum60": _deon_larson("40 20 0", 40, 20, 0, 60, 40, 20),
}
