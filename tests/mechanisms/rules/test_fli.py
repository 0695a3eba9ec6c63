"""Instalments and revenue: what is owed is paid back, and stakes outlive the round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    CoalitionGame,
    Delivery,
    FairInstalments,
    Offers,
    ProportionalShare,
    Queues,
    RevenueSharing,
    instalments,
)

amounts = st.lists(st.floats(0, 100), min_size=3, max_size=3)


def test_instalments_by_hand() -> None:
    queues = Queues(np.array([2.0, 0.0]), np.array([1.0, 0.0]))
    paid, after = instalments(6.0, [1.0, 2.0], [1.0, 3.0], queues, weight=2.0)
    # due = (2 + 2 + 1 + 1 + 1) / 2 = 3.5 and (4 + 0 + 3 + 0 + 0) / 2 = 3.5
    assert paid.tolist() == [3.0, 3.0]
    assert after.regret.tolist() == [0.0, 0.0]
    assert after.waiting.tolist() == [0.0, 0.0]
    paid, after = instalments(1.0, [1.0, 2.0], [1.0, 3.0], queues, weight=2.0)
    assert after.regret.tolist() == [2 + 1 - 0.5, 3 - 0.5]
    assert after.waiting.tolist() == [1 + 1 - 0.5, 0.0]


@given(st.floats(0, 100), amounts, amounts, amounts, amounts)
def test_the_budget_is_paid_out_and_queues_only_grow_by_costs(
    budget: float, quality: list[float], costs: list[float], regret: list[float], wait: list[float]
) -> None:
    queues = Queues(np.array(regret), np.array(wait))
    paid, after = instalments(budget, quality, costs, queues, weight=1.0)
    due = sum(quality) + sum(costs) + sum(regret) + sum(wait)
    assert paid.sum() == pytest.approx(budget if due > 0 else 0)
    assert (paid >= 0).all()
    assert (after.regret <= queues.regret + costs + 1e-9).all()
    assert (after.regret + paid >= queues.regret + costs - 1e-9).all()


def test_waiting_grows_by_the_mean_cost_in_rounds_sat_out_too() -> None:
    # Yang et al., "Federated Learning", 2019, equations 7.8 and 7.9.
    nothing = np.zeros(1)
    queues = Queues.empty(1).after(np.array([2.0]), nothing).after(np.array([4.0]), nothing)
    assert (queues.regret.item(), queues.waiting.item()) == (6.0, 3.0)
    idle = queues.after(nothing, nothing)
    assert (idle.regret.item(), idle.waiting.item()) == (6.0, 6.0)
    settled = idle.after(nothing, np.array([6.0])).after(nothing, nothing)
    assert (settled.regret.item(), settled.waiting.item()) == (0.0, 3.0)


@settings(max_examples=20)
@given(amounts, amounts, amounts, amounts)
def test_what_is_due_maximises_utility_less_the_bound_on_drift(
    quality: list[float], costs: list[float], regret: list[float], wait: list[float]
) -> None:
    # Yang et al., "Federated Learning", 2019, equation 7.15, where omega is 1/2.
    queues = Queues(np.array(regret), np.array(wait))
    linear = 0.5 * np.array(quality) + queues.regret + costs + queues.waiting
    linear += queues.growth(np.array(costs))

    # With as much money as is due, it is paid; nothing else makes u (linear - u) larger.
    due, _ = instalments(float(linear.sum() / 2), quality, costs, queues, weight=0.5)
    others = due + np.linspace(-1, 1, 201)[:, None] * (1 + due)
    assert (due * (linear - due) >= others * (linear - others) - 1e-9 * (1 + due**2)).all()


def test_whoever_is_owed_more_is_paid_more() -> None:
    owed = Queues(np.array([5.0, 0.0]), np.array([5.0, 0.0]))
    paid, _ = instalments(10.0, [1, 1], [1, 1], owed, weight=1.0)
    assert paid[0] > paid[1]


def test_a_budget_that_covers_the_costs_pays_all_back_in_time() -> None:
    costs, queues = np.array([1.0, 2.0, 3.0]), Queues(np.array([9.0, 0, 4]), np.zeros(3))
    for _ in range(100):
        _, queues = instalments(8.0, [0.0, 0.0, 5.0], costs, queues, weight=0.1)
    assert queues.regret.max() < 1.0
    for _ in range(100):
        _, queues = instalments(5.0, [0.0, 0.0, 5.0], costs, queues, weight=0.1)
    assert queues.regret.sum() > 50  # one less than the costs each round is never made up


@pytest.mark.parametrize(
    ("budget", "costs", "weight"), [(-1, [1, 1], 1), (1, [-1, 1], 1), (1, [1], 1), (1, [1, 1], -1)]
)
def test_impossible_instalments_are_refused(
    budget: float, costs: list[float], weight: float
) -> None:
    with pytest.raises(UserError, match=r"at least 0|per participant"):
        instalments(budget, [1, 1], costs, Queues.empty(2), weight)


ADDITIVE = CoalitionGame.from_table([0.0, 1, 3, 4])
OFFERS = Offers(np.array([10.0, 10.0]), np.zeros(2), np.ones(2))


def test_the_mechanism_owes_what_it_did_not_pay() -> None:
    mechanism = FairInstalments(budget=1.0, unit_cost=0.1, weight=0.0)
    allocation = mechanism.allocate(OFFERS, Announcement())
    delivery = Delivery(np.array([10.0, 5.0]), ADDITIVE)
    first = mechanism.pay(allocation, delivery)
    assert first == pytest.approx([2 / 3, 1 / 3])
    assert mechanism.pay(allocation, delivery).tolist() == first.tolist()
    mechanism.learn(np.array([0.0, 1.0]), delivery)  # the first was convicted, say
    second = mechanism.pay(allocation, delivery)
    # due: (1 owed + 1 + lambda 1) / 2 and 0.5 / 2
    assert second == pytest.approx([6 / 7, 1 / 7])


def test_debts_are_paid_to_those_who_sit_the_round_out() -> None:
    mechanism = FairInstalments(budget=1.0, unit_cost=0.1, weight=0.0)
    both = Delivery(np.array([10.0, 10.0]), ADDITIVE)
    mechanism.learn(np.array([0.5, 0.5]), both)  # 0.5 is owed to each
    out = mechanism.allocate(Offers(np.array([10.0, 0]), np.zeros(2), np.ones(2)), Announcement())
    alone = Delivery(np.array([10.0, 0.0]), CoalitionGame.from_table([0.0, 1, 0, 1]))
    # due: (0.5 owed + 1 + lambda 1) / 2 and (0.5 owed + lambda 1) / 2
    assert mechanism.pay(out, alone) == pytest.approx([2.5 / 4, 1.5 / 4])


def test_revenue_is_shared_by_all_contributions_so_far() -> None:
    mechanism = RevenueSharing(rate=2.0)
    both = mechanism.allocate(OFFERS, Announcement())
    delivery = Delivery(np.array([10.0, 10.0]), ADDITIVE)
    assert mechanism.collect(both, delivery) == 8.0
    assert mechanism.pay(both, delivery) == pytest.approx([2, 6])
    mechanism.learn(np.array([2.0, 6.0]), delivery)

    # The second stays out, the first adds 1 more: the model is worth 5, stakes are 2 and 3.
    alone = Delivery(np.array([10.0, 0.0]), CoalitionGame.from_table([0.0, 1, 0, 1]))
    out = mechanism.allocate(Offers(np.array([10.0, 0]), np.zeros(2), np.ones(2)), Announcement())
    assert mechanism.collect(out, alone) == 10.0
    assert mechanism.pay(out, alone) == pytest.approx([4, 6])


def test_a_model_that_lost_value_earns_nothing() -> None:
    mechanism = RevenueSharing()
    allocation = mechanism.allocate(OFFERS, Announcement())
    worse = Delivery(OFFERS.units, CoalitionGame.from_table([0.0, -1, -1, -2]))
    assert mechanism.collect(allocation, worse) == 0
    assert mechanism.pay(allocation, worse).tolist() == [0, 0]


@pytest.mark.parametrize("mechanism", [FairInstalments(), RevenueSharing()])
def test_the_game_must_be_given(mechanism: FairInstalments | RevenueSharing) -> None:
    allocation = mechanism.allocate(OFFERS, Announcement())
    with pytest.raises(UserError, match="coalition game"):
        mechanism.pay(allocation, Delivery(OFFERS.units))


def test_proportional_shares_pay_for_units_alone() -> None:
    mechanism = ProportionalShare(budget=9)
    allocation = mechanism.allocate(OFFERS, Announcement())
    assert mechanism.pay(allocation, Delivery(np.array([10.0, 5.0]))) == pytest.approx([6, 3])
    assert mechanism.pay(allocation, Delivery(np.zeros(2))).tolist() == [0, 0]
