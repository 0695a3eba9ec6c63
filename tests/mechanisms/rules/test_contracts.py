"""Contract menus: published optima, all constraints, and the full programme beside the reduced."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms import ContractMenuMechanism, Market, Offers, contract_menu, full_menu
from fedfm_sim.mechanisms.rules.contracts import ContractMenu

# Values 2 sqrt(q): solved by hand with Baron and Myerson's virtual costs.
CASES = [
    ([1, 2], [1, 1 / 9], [10 / 9, 2 / 9], 2 / 3),
    ([1, 2, 3], [1, 1 / 9, 1 / 25], [259 / 225, 59 / 225, 3 / 25], 23 / 45),
]


def root(kind: int, effort: float) -> float:
    return float(2 * np.sqrt(effort))


@pytest.mark.parametrize(("costs", "efforts", "payments", "value"), CASES)
def test_screening_by_hand(
    costs: list[float], efforts: list[float], payments: list[float], value: float
) -> None:
    chances = np.full(len(costs), 1 / len(costs))
    found = contract_menu(costs, chances, root, most=4.0)
    assert found.efforts == pytest.approx(efforts, abs=1e-6)
    assert found.payments == pytest.approx(payments, abs=1e-6)
    assert found.value == pytest.approx(value, abs=1e-9)
    full = full_menu(costs, chances, lambda kind, x: 2 * cp.sqrt(x), most=4.0)
    assert full.efforts == pytest.approx(efforts, abs=1e-4)
    assert full.value == pytest.approx(value, abs=1e-6)


def test_kang_et_al_2019() -> None:
    # Three qualities theta; computing at frequency f takes psi / theta cs / f and costs
    # mu psi / theta zeta cs f**2, so that effort f**2 costs 0.2 / theta.
    theta = np.array([2.0, 1.0, 0.5])

    def value(kind: int, effort: float) -> float:
        if effort <= 0:
            return -1e9
        time = 2 / theta[kind] / np.sqrt(effort) + 1
        return 10 * float(np.log(10 - time)) if time < 10 else -1e9

    found = contract_menu(0.2 / theta, np.full(3, 1 / 3), value, most=25.0, fixed=0.5)
    assert np.sqrt(found.efforts) == pytest.approx([1.80891, 1.62493, 1.57057], abs=1e-4)
    assert found.payments == pytest.approx([1.58459, 1.52141, 1.48667], abs=1e-4)
    assert found.value == pytest.approx(18.630991, abs=1e-6)


def constraints_hold(costs: Values, menu: ContractMenu, slack: float) -> None:
    """Check IR, every IC, and that effort falls as cost rises."""
    own = menu.payments - costs * menu.efforts
    assert (own >= -slack).all()
    assert own == pytest.approx(menu.rents, abs=slack)
    others = menu.payments[None, :] - np.outer(costs, menu.efforts)
    assert (others <= own[:, None] + slack).all()
    # Between kinds of equal cost a solver may leave any small difference.
    assert (np.diff(menu.efforts)[np.diff(costs) > 0] <= slack).all()


@st.composite
def types(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    n = draw(st.integers(1, 6))
    costs = sorted(draw(st.lists(st.floats(0.2, 5), min_size=n, max_size=n)))
    weights = draw(st.lists(st.floats(0.05, 1), min_size=n, max_size=n))
    return costs, (np.array(weights) / sum(weights)).tolist()


@given(types())
def test_every_menu_is_incentive_compatible_and_the_reduced_one_optimal(
    kinds: tuple[list[float], list[float]],
) -> None:
    costs, chances = kinds
    found = contract_menu(costs, chances, root, most=4.0)
    constraints_hold(np.array(costs), found, 1e-9)
    assert found.rents[-1] == 0


@settings(max_examples=20)
@given(types())
def test_the_full_programme_agrees(kinds: tuple[list[float], list[float]]) -> None:
    costs, chances = kinds
    reduced = contract_menu(costs, chances, root, most=4.0)
    full = full_menu(costs, chances, lambda kind, x: 2 * cp.sqrt(x), most=4.0)
    constraints_hold(np.array(costs), full, 1e-5)
    assert full.value == pytest.approx(reduced.value, abs=1e-5)


def test_ironing_pools_types_whose_virtual_costs_fall() -> None:
    # Few of the middle type: its virtual cost 1.1 + 0.1 * 0.5 / 0.02 is above the next one's.
    costs, chances = [1.0, 1.1, 1.2], [0.5, 0.02, 0.48]
    found = contract_menu(costs, chances, root, most=4.0)
    assert found.efforts[1] == found.efforts[2] < found.efforts[0]
    full = full_menu(costs, chances, lambda kind, x: 2 * cp.sqrt(x), most=4.0)
    assert found.value == pytest.approx(full.value, abs=1e-6)


def test_two_dimensional_types_are_screened_and_cost_the_server_more_than_knowing_them() -> None:
    costs = np.array([[1.0, 3.0], [3.0, 1.0], [2.5, 2.5]])
    chances = np.full(3, 1 / 3)

    def value(kind: int, x: cp.Expression) -> cp.Expression:
        return 2 * cp.sqrt(x[0]) + 2 * cp.sqrt(x[1])

    found = full_menu(costs, chances, value, most=[4.0, 4.0])
    own = found.payments - (costs * found.efforts).sum(axis=1)
    others = found.payments[None, :] - costs @ found.efforts.T
    assert (own >= -1e-6).all()
    assert (others <= own[:, None] + 1e-6).all()
    known = float((1 / costs).sum(axis=1) @ chances)  # 2 sqrt(q) - c q at its best is 1 / c
    assert found.value < known - 1e-3
    # Who is cheap in one kind of effort is asked for more of it.
    assert found.efforts[0, 0] > found.efforts[0, 1]
    assert found.efforts[1, 1] > found.efforts[1, 0]


@pytest.mark.parametrize(
    ("costs", "chances", "most"),
    [
        ([2, 1], [0.5, 0.5], 1),
        ([0, 1], [0.5, 0.5], 1),
        ([1, np.inf], [0.5, 0.5], 1),
        ([1, 2], [0.5, 0.6], 1),
        ([1, 2], [1.0, 0.0], 1),
        ([1, 2], [1.0], 1),
        ([1, 2], [0.5, 0.5], 0),
        ([], [], 1),
    ],
)
def test_impossible_types_are_refused(
    costs: list[float], chances: list[float], most: float
) -> None:
    with pytest.raises(UserError, match=r"menu|effort"):
        contract_menu(costs, chances, root, most)


MARKET = Market(np.array([0.004, 0.006, 0.009, 0.02]), np.full(4, 2e-5), np.full(4, 160.0))


def test_the_tariff_pays_more_for_more_and_the_expensive_stay_out() -> None:
    mechanism = ContractMenuMechanism(types=4, value=20.0)
    tariff = mechanism.announce(MARKET).tariff
    assert tariff is not None
    units = np.linspace(0, 160, 200)
    assert (np.diff(tariff(units)) >= 0).all()
    assert tariff(np.array(0.0)) == 0
    costs = MARKET.linear[:, None] * units + MARKET.quadratic[:, None] * units**2
    best = (tariff(units) - costs).max(axis=1)
    # The cheaper, the better off (the rents of the menu).
    assert (np.diff(best) <= 1e-9).all()
    assert best[0] > 0


def test_only_the_trusted_may_sign() -> None:
    mechanism = ContractMenuMechanism(threshold=0.6)
    announcement = mechanism.announce(MARKET)
    offers = Offers(np.full(2, 160.0), np.zeros(2), np.array([0.7, 0.5]))
    assert mechanism.allocate(offers, announcement).selected.tolist() == [True, False]


def test_nobody_with_data_means_nothing_is_paid() -> None:
    empty = Market(np.ones(2), np.zeros(2), np.zeros(2))
    tariff = ContractMenuMechanism().announce(empty).tariff
    assert tariff is not None
    assert tariff(np.ones(2)).tolist() == [0, 0]


@pytest.mark.parametrize("money", [1e-9, 1e-6, 1e6, 1e15])
@pytest.mark.parametrize("effort", [1e-3, 1.0])
def test_menus_are_the_same_in_any_unit(money: float, effort: float) -> None:
    costs, chances = np.array([1.0, 2.0, 3.0]), np.full(3, 1 / 3)
    plain = full_menu(costs, chances, lambda kind, x: 2 * cp.sqrt(x), most=4.0)
    other = full_menu(
        money / effort * costs,
        chances,
        lambda kind, x: 2 * money / np.sqrt(effort) * cp.sqrt(x),
        most=4.0 * effort,
    )
    # Inside the callable's expression the solver sees efforts in their own unit.
    slack = 1e-6 if effort == 1 else 1e-4
    assert other.efforts / effort == pytest.approx(plain.efforts, abs=slack)
    assert other.payments / money == pytest.approx(plain.payments, abs=slack)
    assert other.value / money == pytest.approx(plain.value, abs=1e-2 * slack)
    assert plain.value == pytest.approx(23 / 45, abs=1e-7)
    reduced = contract_menu(
        money / effort * costs,
        chances,
        lambda kind, x: 2 * money * np.sqrt(x / effort),
        most=4.0 * effort,
    )
    assert reduced.value / money == pytest.approx(23 / 45, abs=1e-9)
