"""Auctions are the same in any unit of money, also at the reserve and at ties."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.mechanisms.rules.auctions.beliefs import ContinuousBelief
from fedfm_sim.mechanisms.rules.auctions.bids import ranked, within
from fedfm_sim.mechanisms.rules.auctions.budget_feasible import budget_feasible
from fedfm_sim.mechanisms.rules.auctions.combinatorial import combinatorial
from fedfm_sim.mechanisms.rules.auctions.core_selecting import core_selecting
from fedfm_sim.mechanisms.rules.auctions.covering import (
    _by_integer_programme,
    _by_table,
    cheapest_cover,
)
from fedfm_sim.mechanisms.rules.auctions.fmore import equilibrium_bid, fmore
from fedfm_sim.mechanisms.rules.auctions.forward import forward
from fedfm_sim.mechanisms.rules.auctions.lowest_price import lowest_price
from fedfm_sim.mechanisms.rules.auctions.mcafee import mcafee
from fedfm_sim.mechanisms.rules.auctions.myerson import myerson_procurement, optimal_revenue
from fedfm_sim.mechanisms.rules.auctions.reputation import reputation_auction
from fedfm_sim.mechanisms.rules.auctions.second_price import second_price
from fedfm_sim.mechanisms.rules.auctions.strongly_budget_balanced import strongly_budget_balanced
from fedfm_sim.mechanisms.rules.auctions.vcg import vcg
from fedfm_sim.mechanisms.rules.auctions.vcg_double import vcg_double

COVERS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]], dtype=bool)
UNITS = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 1.0])
TRUST = np.array([0.3, 0.6, 0.9, 0.2, 0.4, 0.5])

#: Asks (tenths), and the unit of money, to who wins and what money moves.
Auction = Callable[[Array, float], tuple[Array | Index, Array]]


def _double(rule: Callable[..., object]) -> Auction:
    def run(asks: Array, unit: float) -> tuple[Array, Array]:
        found = rule(unit * (np.array([6, 5, 4, 3, 3]) * 0.1), asks)
        won = np.r_[found.buyers, found.sellers]  # type: ignore[attr-defined]
        return won, np.array([found.buyer_price, found.seller_price])  # type: ignore[attr-defined]

    return run


AUCTIONS: dict[str, Auction] = {
    "lowest": lambda a, u: _paid(lowest_price(a, 3, u * 0.3)),
    "second": lambda a, u: _paid(second_price(a, 3, u * 0.3)),
    "reputation": lambda a, u: _paid(reputation_auction(a, TRUST, u * 0.9)),
    "budget": lambda a, u: _paid(budget_feasible(a, UNITS, u * 1.8, lambda q: u * q)),
    "vcg": lambda a, u: _paid(vcg(a, UNITS, lambda q: u * 0.1 * np.minimum(q, 5))),
    "bundles": lambda a, u: _paid(combinatorial(a, COVERS, 1, u * 0.9)),
    "core": lambda a, u: _paid(core_selecting(a, COVERS, 1, u * 0.9)),
    "fmore": lambda a, u: _paid(fmore(u * (UNITS * 0.1), a, 3)),
    "forward": lambda a, u: (
        (sold := forward(u * np.outer([0.1, 0.2], UNITS), a, u * np.array([0.7, 0.9]))).owners,
        sold.prices,
    ),
    "mcafee": _double(mcafee),
    "vcg double": _double(vcg_double),
    "sbba": _double(lambda b, a: strongly_budget_balanced(b, a, np.random.default_rng(0))),
}


def _paid(result: object) -> tuple[Array, Array]:
    return result.selected, result.payments  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(AUCTIONS))
@given(
    st.lists(st.integers(1, 9), min_size=6, max_size=6),
    st.sampled_from([1e-9, 1 / 3, 0.1, 0.7, 3e4, 1e15]),
)
@settings(max_examples=12, deadline=None)
def test_the_same_win_and_are_paid_the_same(name: str, tenths: list[int], unit: float) -> None:
    """Asks, reserves and budgets in tenths: 3 * 0.1 is above a reserve of 0.3 in floats."""
    whole, paid = AUCTIONS[name](np.array(tenths, dtype=float), 10.0)
    same, money = AUCTIONS[name](unit * (np.array(tenths) * 0.1), unit)
    assert whole.tolist() == same.tolist()
    assert money / unit * 10 == pytest.approx(paid, abs=1e-7)


def test_an_ask_at_the_reserve_is_within_it() -> None:
    assert within([3 * 0.1, 0.3 * (1 + 1e-9)], 0.3).tolist() == [True, False]
    result = second_price([3 * 0.1], winners=1, reserve=0.3)
    assert result.winners == (0,)
    assert result.payments[0] >= 3 * 0.1
    assert ranked(np.array([0.3, 3 * 0.1, 0.1 + 0.2, 0.1])).tolist() == [3, 0, 1, 2]
    assert ranked(np.array([])).tolist() == []


def test_a_bid_out_of_all_proportion_does_not_drown_the_others() -> None:
    asks = np.array([1.0, 1.1, 1.2, 1.3, 0.4, 1e12])
    expected = cheapest_cover(asks[:5], COVERS[:5], 1)
    assert cheapest_cover(asks, COVERS, 1)[:5].tolist() == expected.tolist()
    for solve in (_by_table, _by_integer_programme):
        assert solve(asks[:5], COVERS[:5], 1).tolist() == expected.tolist()


@pytest.mark.parametrize("unit", [1e-9, 1e15])
def test_beliefs_have_the_unit_of_their_money(unit: float) -> None:
    """Myerson's revenue for costs uniform on [0, 1], and Che's bid, both in closed form."""
    belief = ContinuousBelief(stats.uniform(0, unit))
    assert optimal_revenue(belief, 2) / unit == pytest.approx(5 / 12, abs=1e-9)
    paid = myerson_procurement(np.array([0.3 * unit]), belief, unit).payment
    assert paid / unit == pytest.approx(0.5, abs=1e-9)
    bid = equilibrium_bid(
        1.0,
        worth=lambda q: 2 * unit * q**0.5,
        cost=lambda q, t: unit * t * q,
        types=stats.uniform(1, 1),
        bidders=2,
        winners=1,
        most_quality=4.0,
    )
    assert bid.price / unit == pytest.approx(2 - np.log(2), abs=1e-6)
