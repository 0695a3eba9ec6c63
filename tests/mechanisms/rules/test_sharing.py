"""Sharing a budget by contribution: who is paid, and that it adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Allocation,
    Announcement,
    CoalitionGame,
    ContributionShare,
    Delivery,
    Offers,
    proportional_shares,
)

GLOVE = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})


def offers(*units: float) -> Offers:
    n = len(units)
    return Offers(np.array(units), np.full(n, 1e9), np.zeros(n))


def delivered(game: CoalitionGame | None) -> Delivery:
    return Delivery(np.ones(3), game)


def test_the_glove_game_is_paid_by_shapley_value() -> None:
    mechanism = ContributionShare(budget=60)
    allocation = mechanism.allocate(offers(1, 1, 1), Announcement())
    assert allocation.selected.all()
    assert allocation.promised.tolist() == [0, 0, 0]
    assert mechanism.pay(allocation, delivered(GLOVE)) == pytest.approx([40, 10, 10])


@pytest.mark.parametrize(
    ("scheme", "expected"), [("leave-one-out", [60, 0, 0]), ("least-core", [60, 0, 0])]
)
def test_other_schemes_pay_only_whom_nobody_can_replace(scheme: str, expected: list[float]) -> None:
    mechanism = ContributionShare(budget=60, scheme=scheme)
    allocation = mechanism.allocate(offers(1, 1, 1), Announcement())
    pay = mechanism.pay(allocation, delivered(GLOVE))
    assert pay == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("scheme", "expected"), [("nucleolus", [0, 0]), ("prenucleolus", [30, 30])]
)
def test_a_round_whose_game_has_no_such_value_pays_nothing(
    scheme: str, expected: list[float]
) -> None:
    """Two who are worth less together than the one alone and the other alone: no imputation."""
    game = CoalitionGame.from_table([0.0, 1.0, 1.0, 1.0])
    allocation = Allocation(np.ones(2, dtype=np.bool_), np.zeros(2))
    mechanism = ContributionShare(budget=60, scheme=scheme)
    assert mechanism.pay(allocation, Delivery(np.ones(2), game)) == pytest.approx(expected)


def test_those_who_stayed_out_are_not_paid() -> None:
    mechanism = ContributionShare(budget=60)
    allocation = mechanism.allocate(offers(1, 0, 1), Announcement())
    assert allocation.selected.tolist() == [True, False, True]
    assert mechanism.pay(allocation, delivered(GLOVE)) == pytest.approx([48, 0, 12])


def test_harm_is_paid_nothing_and_costs_the_others_nothing() -> None:
    assert proportional_shares(10, [3, -5, 1]) == pytest.approx([7.5, 0, 2.5])


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, -2.0], []])
def test_without_contribution_nothing_is_paid(values: list[float]) -> None:
    assert proportional_shares(10, values).tolist() == [0.0] * len(values)


@given(st.floats(0, 1e9), st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=20))
def test_shares_add_up_to_the_budget_and_keep_the_order(budget: float, values: list[float]) -> None:
    shares = proportional_shares(budget, values)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(budget if max(values) > 0 else 0, rel=1e-12)
    assert (np.diff(shares[np.argsort(values)]) >= 0).all()


def test_the_game_must_be_over_the_participants() -> None:
    mechanism = ContributionShare(budget=60)
    allocation = mechanism.allocate(offers(1, 1), Announcement())
    for game in (None, GLOVE):
        with pytest.raises(UserError, match="game of all participants"):
            mechanism.pay(allocation, Delivery(np.ones(2), game))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget": -1}, "greater than or equal to 0"),
        ({"budget": 1, "scheme": "shapely"}, "did you mean 'shapley'"),
        ({"budget": float("inf")}, "finite"),
    ],
)
def test_mechanism_parameters_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContributionShare.model_validate(fields)
