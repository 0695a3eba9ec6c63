"""The budget-feasible auction: its budget, its thresholds, and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from auction_bids import money, seeds, threshold
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Announcement, BudgetFeasibleAuction, Offers, budget_feasible
from fedfm_sim.mechanisms.rules.auctions.bids import saturating_worth

WORTH = saturating_worth(1.0, 4.0)


def drawn(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    return money(rng, n), money(rng, n)


def winners_by_hand(asks: Array, units: Array, budget: float) -> set[int]:
    """Follow the published greedy rule, one set function at a time."""
    taken: list[int] = []
    while True:
        now = WORTH(units[taken].sum())
        rest = [i for i in range(asks.size) if i not in taken]
        added = {i: float(WORTH(units[[*taken, i]].sum()) - now) for i in rest}
        rest = [i for i in rest if added[i] > 0]
        if not rest:
            return set(taken)
        free = [i for i in rest if asks[i] == 0]
        best = free[0] if free else max(rest, key=lambda i: (added[i] / asks[i], -i))
        if asks[best] > budget / 2 * added[best] / (now + added[best]):
            return set(taken)
        taken.append(best)


@given(seeds, st.just(0.0) | st.floats(0.1, 30))
def test_winners_budget_and_rationality(seed: int, budget: float) -> None:
    asks, units = drawn(seed)
    result = budget_feasible(asks, units, budget, WORTH)
    assert set(result.winners) == winners_by_hand(asks, units, budget)
    assert result.payments.sum() <= budget * (1 + 1e-9)
    assert (result.payments[result.selected] >= asks[result.selected]).all()
    assert (result.payments[~result.selected] == 0).all()


@settings(max_examples=50)
@given(seeds, st.floats(0.1, 30))
def test_the_payment_is_the_highest_ask_that_still_wins(seed: int, budget: float) -> None:
    asks, units = drawn(seed)
    result = budget_feasible(asks, units, budget, WORTH)
    for who in result.winners:
        highest = threshold(lambda a: budget_feasible(a, units, budget, WORTH).selected, asks, who)
        assert result.payments[who] == pytest.approx(highest, abs=1e-9)


def test_worked_example_of_equal_work() -> None:
    # g = X: the k-th is within half its share when ask <= 4 / k, that is 4, 2, 4/3.
    # Either winner can ask up to 2, the share of one of two.
    result = budget_feasible([1, 2, 9], [1, 1, 1], 8, lambda units: units)
    assert result.payments.tolist() == [2, 2, 0]
    # A third who asks 1.2 would win too: shares of 4/3.
    result = budget_feasible([1, 1.2, 1.1], [1, 1, 1], 8, lambda units: units)
    assert result.payments == pytest.approx([4 / 3, 4 / 3, 4 / 3])


def test_degenerate_bids() -> None:
    assert budget_feasible([0, 1], [1, 1], 0, WORTH).winners == (0,)
    assert budget_feasible([0, 1], [1, 1], 0, WORTH).payments.tolist() == [0, 0]
    assert budget_feasible([np.inf], [1], 5, WORTH).winners == ()
    assert budget_feasible([0], [0], 5, WORTH).winners == ()
    assert budget_feasible([], [], 5, WORTH).payments.size == 0
    alone = budget_feasible([1], [1], 5, WORTH)
    assert alone.payments.tolist() == [2.5]


def test_ties_go_to_the_lower_index() -> None:
    result = budget_feasible(np.full(30, 1.0), np.ones(30), 8, lambda units: units)
    assert result.winners == (0, 1, 2, 3)
    assert result.payments[:4] == pytest.approx([1, 1, 1, 1])


@pytest.mark.parametrize(
    ("asks", "units", "budget", "message"),
    [
        ([-1.0], [1.0], 1.0, "asks"),
        ([1.0], [np.nan], 1.0, "units"),
        ([1.0], [1.0, 2.0], 1.0, "1 asks, 2 units"),
        ([1.0], [1.0], -1.0, "budget"),
        ([1.0], [1.0], np.inf, "budget"),
    ],
)
def test_impossible_input_is_refused(
    asks: list[float], units: list[float], budget: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        budget_feasible(asks, units, budget, WORTH)


def test_mechanism_takes_no_bid_of_those_who_offer_no_work() -> None:
    offers = Offers(np.array([0.0, 100.0]), np.array([0.0, 2.0]), np.ones(2))
    allocation = BudgetFeasibleAuction(budget=10).allocate(offers, Announcement())
    assert allocation.promised.tolist() == [0, 5]
