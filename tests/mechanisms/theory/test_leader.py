"""Leader problems: the nested search against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms import Market, best_prize, contest, posted_price, saturating_valuation
from fedfm_sim.mechanisms.rules.posted_price import best_response
from fedfm_sim.mechanisms.theory.leader import best_responses, solve_leader

above = st.floats(0.1, 5)


@settings(max_examples=15)
@given(st.lists(above, min_size=2, max_size=4))
def test_the_search_finds_the_posted_price(costs: list[float]) -> None:
    n = len(costs)
    market = Market(np.array(costs) / 1000, np.full(n, 2e-5), np.full(n, 200.0))
    value = saturating_valuation(20.0, 400.0)
    exact = posted_price(market, value)
    found = solve_leader(
        lambda price, work: value(float(work.sum())) - float(price[0] * work.sum()),
        lambda price: best_response(float(price[0]), market),
        [(0.0, 0.03)],
        points=200,
    )
    assert found.utility == pytest.approx(exact.leader_utility, rel=1e-9)


def test_the_search_finds_the_prize_of_a_contest() -> None:
    costs = np.array([1.0, 1.5, 2.0])

    def value(efforts: Values) -> float:
        return 10 * float(np.log1p(np.log1p(efforts).sum()))

    exact = best_prize(costs, value, most=20.0)
    found = solve_leader(
        lambda prize, efforts: value(efforts) - float(prize[0]),
        lambda prize: contest(costs, float(prize[0])).efforts,
        [(0.0, 20.0)],
    )
    assert found.decision[0] == pytest.approx(exact.prize, rel=1e-4)
    assert found.utility == pytest.approx(4.496377, abs=1e-6)


def test_two_decisions_at_once() -> None:
    found = solve_leader(
        lambda d, r: float(-((d[0] - 1) ** 2) - (d[1] + 2) ** 2 + 0 * r.sum()),
        lambda d: d,
        [(-3, 3), (-3, 3)],
        points=13,
    )
    assert found.decision == pytest.approx([1, -2], abs=1e-5)


def contest_reply(costs: list[float], prize: float) -> Callable[[int, Values], float]:
    """Return what is best in the contest: where the last unit earns what it costs."""

    def reply(player: int, efforts: Values) -> float:
        others = efforts.sum() - efforts[player]
        return max(0.0, float(np.sqrt(prize * others / costs[player]) - others))

    return reply


@given(st.lists(st.floats(1, 3), min_size=2, max_size=5), st.floats(1, 50))
def test_best_responses_find_the_contests_equilibrium(costs: list[float], prize: float) -> None:
    found = best_responses(contest_reply(costs, prize), np.ones(len(costs)))
    assert found.converged
    assert found.gap <= 1e-9 * (1 + prize)
    assert 1 <= found.rounds < 10_000
    np.testing.assert_allclose(found.efforts, contest(costs, prize).efforts, atol=1e-6 * prize)


def test_a_leader_of_followers_known_only_by_their_replies() -> None:
    costs = [1.0, 1.5, 2.0]

    def response(prize: Values) -> Values:
        found = best_responses(contest_reply(costs, float(prize[0])), np.full(3, 0.1))
        assert found.converged
        return found.efforts

    found = solve_leader(
        lambda prize, efforts: 10 * float(np.log1p(np.log1p(efforts).sum())) - float(prize[0]),
        response,
        [(1.0, 9.0)],
        points=9,
    )
    # Yang et al., MobiCom 2012.
    assert found.decision[0] == pytest.approx(4.507967, abs=1e-4)
    assert found.utility == pytest.approx(4.496377, abs=1e-6)


def test_responses_that_never_settle_say_so() -> None:
    # Matching pennies: one wants to be where the other is, who wants to be elsewhere.
    found = best_responses(
        lambda i, x: np.sign(x[1]) if i == 0 else -np.sign(x[0]), [1.0, 1.0], damping=1.0
    )
    assert not found.converged
    assert (found.rounds, found.gap) == (10_000, 2.0)


def test_too_few_rounds_are_reported() -> None:
    found = best_responses(contest_reply([1, 2], 10.0), [1.0, 1.0], most_rounds=2)
    assert (found.converged, found.rounds) == (False, 2)
    assert found.gap > 1e-6


@pytest.mark.parametrize("bounds", [[], [(1, 0)], [(0, np.inf)], [(0, 1)] * 4, [0, 1]])
def test_impossible_bounds_are_refused(bounds: list[tuple[float, float]]) -> None:
    with pytest.raises(UserError, match="leader"):
        solve_leader(lambda d, r: 0.0, lambda d: d, bounds)


def test_an_objective_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(UserError, match=r"not a number at \[0.0\]"):
        solve_leader(lambda d, r: float(d[0] and 1) or np.nan, lambda d: d, [(0, 1)])


@pytest.mark.parametrize(
    ("start", "damping", "most_rounds", "answer"),
    [
        ([1.0], 0.0, 9, 1.0),
        ([1.0], 1.5, 9, 1.0),
        ([1.0], 0.5, 0, 1.0),
        ([np.nan], 0.5, 9, 1.0),
        ([[1.0]], 0.5, 9, 1.0),
        ([1.0], 0.5, 9, np.nan),
    ],
)
def test_impossible_responses_are_refused(
    start: list[float], damping: float, most_rounds: int, answer: float
) -> None:
    with pytest.raises(UserError, match="best response"):
        best_responses(lambda i, x: answer, start, damping, most_rounds)


@pytest.mark.parametrize("money", [1e-9, 1e15])
@pytest.mark.parametrize("size", [1e-9, 1e12])
def test_units_of_the_decision_and_of_money_do_not_matter(money: float, size: float) -> None:
    """The leader's best is 0.3 of the way, whatever the way is measured in."""
    found = solve_leader(
        lambda d, r: money * float(r[0]),
        lambda d: np.array([-((d[0] / size - 0.3) ** 2)]),
        [(0.0, size)],
    )
    assert found.decision[0] / size == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e15])
def test_small_efforts_settle_where_large_ones_do(size: float) -> None:
    found = best_responses(lambda i, x: size * 0.5 + 0.5 * x[1 - i], [0.0, 0.0])
    assert found.converged
    assert found.efforts / size == pytest.approx([1, 1], abs=1e-8)
