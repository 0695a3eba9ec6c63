"""The forward auction: sales followed by hand, budgets, and Vickrey's theorem."""

from __future__ import annotations

import numpy as np
import pytest
from auction_bids import money, seeds
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Announcement, ForwardAuction, Offers, forward


def drawn(seed: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    m, n = (int(size) for size in rng.integers(1, 5, 2))
    return np.stack([money(rng, n) for _ in range(m)]), money(rng, n), 2 * money(rng, m)


def test_worked_example() -> None:
    # Client 0: 5 against 4, paid 4. Client 1: buyer 0 has 2 left, so 4 against 2.
    # Client 2: 2 against 3, and the reserve of 2.5 is above the second bid.
    result = forward([[5, 5, 5], [4, 4, 3]], [1, 1, 2.5], [6, 9])
    assert result.owners.tolist() == [0, 1, 1]
    assert result.prices.tolist() == [4, 2, 2.5]
    assert result.spent.tolist() == [4, 4.5]
    assert result.to_frame()["price"].tolist() == [4, 2, 2.5]


@given(seeds)
def test_each_sale_is_a_second_price_auction_within_budgets(seed: int) -> None:
    values, reserves, budgets = drawn(seed)
    result = forward(values, reserves, budgets)
    left = budgets.copy()
    for client, owner in enumerate(result.owners):
        bids = sorted(np.minimum(values[:, client], left), reverse=True)
        second = bids[1] if len(bids) > 1 else 0.0
        if owner < 0:
            assert bids[0] < reserves[client] or bids[0] < 1e-12
            assert result.prices[client] == 0
            continue
        assert min(values[owner, client], left[owner]) == pytest.approx(bids[0])
        assert result.prices[client] == pytest.approx(max(second, reserves[client]))
        left[owner] -= result.prices[client]
    assert (result.spent <= budgets + 1e-12).all()
    assert result.spent.sum() == pytest.approx(result.prices.sum())


@given(seeds, st.floats(0, 6))
def test_no_lie_pays_a_buyer_whose_budget_does_not_bind(seed: int, lie: float) -> None:
    values, reserves, _ = drawn(seed)
    budgets = np.full(len(values), 1e6)

    def utility(bids: Array) -> float:
        result = forward(bids, reserves, budgets)
        won = result.owners == 0
        return float((values[0] - result.prices)[won].sum())

    lied = values.copy()
    lied[0, 0] = lie
    assert utility(lied) <= utility(values) + 1e-12


def test_a_binding_budget_makes_a_lie_pay() -> None:
    # Truth spends all 4 on client 0 to gain 1, and leaves 9 - 0 on the table.
    values, reserves, budgets = np.array([[5.0, 9], [4, 0]]), np.array([0.0, 3]), np.array([5.0, 9])
    assert forward(values, reserves, budgets).owners.tolist() == [0, -1]
    result = forward([[0, 9], [4, 0]], reserves, budgets)
    assert result.owners.tolist() == [1, 0]
    assert 9 - result.prices[1] > 5 - 4


def test_a_client_with_one_buyer_gains_by_asking_more() -> None:
    assert forward([[5]], [1], [9]).prices.tolist() == [1]
    assert forward([[5]], [4], [9]).prices.tolist() == [4]


def test_degenerate_sales() -> None:
    assert forward([[5, 5]], [np.inf, 6], [9]).owners.tolist() == [-1, -1]
    assert forward([[5.0]], [0], [0]).owners.tolist() == [-1]  # a bid of 0 buys nothing
    assert forward([[5], [5]], [0], [9, 9]).owners.tolist() == [0]
    assert forward(np.zeros((1, 0)), [], [9]).prices.size == 0


@pytest.mark.parametrize(
    ("values", "reserves", "budgets", "message"),
    [
        ([[-1.0]], [1.0], [1.0], "values"),
        ([1.0], [1.0], [1.0], "2 dimensions"),
        ([[1.0]], [np.nan], [1.0], "reserves"),
        ([[1.0]], [1.0], [np.inf], "budgets"),
        ([[1.0]], [1.0, 2.0], [1.0], "shape"),
        (np.zeros((0, 1)), [1.0], [], "shape"),
    ],
)
def test_impossible_input_is_refused(
    values: Array, reserves: list[float], budgets: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        forward(values, reserves, budgets)


def test_mechanism_sells_work_to_the_model_owners() -> None:
    mechanism = ForwardAuction(values=(0.1, 0.05), budgets=(6.0, 5.0))
    offers = Offers(np.array([100.0, 50, 0, 10]), np.array([1.0, 1, 0, 5]), np.ones(4))
    allocation = mechanism.allocate(offers, Announcement())
    # Budgets cap the first bids at 6 and 5; the second is 1 against 2.5.
    assert allocation.promised == pytest.approx([5, 1, 0, 0])
    assert allocation.selected.tolist() == [True, True, False, False]
    assert allocation.collected == pytest.approx(6)


@pytest.mark.parametrize("field", [{"values": (1.0,)}, {"values": ()}, {"budgets": (-1.0, 1, 1)}])
def test_mechanism_parameters_are_checked(field: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ForwardAuction.model_validate(field)
