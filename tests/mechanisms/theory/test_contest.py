"""The contest: published cases, and nobody gains by another effort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.theory.contest import best_prize, contest

costs_of = st.lists(st.floats(0.1, 10), min_size=2, max_size=7)


@pytest.mark.parametrize(
    ("costs", "prize", "efforts", "utilities"),
    [
        ([1, 1.5, 2], 10, [200 / 81, 40 / 27, 40 / 81], [250 / 81, 10 / 9, 10 / 81]),
        (
            [2, 3, 4, 5, 9],
            100,
            [1000 / 81, 200 / 27, 200 / 81, 0, 0],
            [2500 / 81, 100 / 9, 100 / 81, 0, 0],
        ),
    ],
)
def test_equilibria_by_the_closed_form_of_yang_et_al_2012(
    costs: list[float], prize: float, efforts: list[float], utilities: list[float]
) -> None:
    found = contest(costs, prize)
    assert found.efforts == pytest.approx(efforts, abs=1e-12)
    assert found.utilities == pytest.approx(utilities, abs=1e-12)


def test_the_leaders_prize_of_yang_et_al_2012() -> None:
    found = best_prize([1, 1.5, 2], lambda x: 10 * float(np.log1p(np.log1p(x).sum())), most=100.0)
    assert found.prize == pytest.approx(4.507967, abs=1e-5)
    assert found.leader_utility == pytest.approx(4.496377, abs=1e-6)


@given(costs_of, st.floats(0.5, 100))
def test_no_effort_is_better(costs: list[float], prize: float) -> None:
    found = contest(costs, prize)
    assert found.utilities.min() >= 0
    for player, cost in enumerate(costs):
        others = found.efforts.sum() - found.efforts[player]

        def loss(effort: float, others: float = others, cost: float = cost) -> float:
            return cost * effort - prize * effort / (effort + others)

        best = -minimize_scalar(loss, bounds=(0, prize / cost), method="bounded").fun
        assert found.utilities[player] == pytest.approx(-loss(found.efforts[player]), abs=1e-9)
        assert best <= found.utilities[player] + 1e-6 * prize


@given(costs_of, st.floats(0.5, 100), st.floats(0.1, 10))
def test_units_of_money_and_work_do_not_matter(
    costs: list[float], prize: float, unit: float
) -> None:
    found, scaled = contest(costs, prize), contest(np.multiply(costs, unit), prize * unit)
    np.testing.assert_allclose(scaled.efforts, found.efforts, rtol=1e-9, atol=1e-12)


def test_all_equal_costs_share_equally_and_infinite_ones_stay_out() -> None:
    found = contest([2, 2, np.inf, 2], 9)
    assert found.efforts == pytest.approx([1, 1, 0, 1])
    assert found.utilities == pytest.approx([1, 1, 0, 1])


def test_no_prize_no_work() -> None:
    assert contest([1, 2], 0).efforts.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("costs", "prize"),
    [([1], 1), ([1, np.inf], 1), ([0, 1], 1), ([np.nan, 1], 1), ([1, 1], -1), ([1, 1], np.inf)],
)
def test_impossible_contests_are_refused(costs: list[float], prize: float) -> None:
    with pytest.raises(UserError, match=r"contest|prize"):
        contest(costs, prize)
