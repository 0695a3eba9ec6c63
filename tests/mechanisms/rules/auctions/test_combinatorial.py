"""Combinatorial auctions: winners, VCG and core payments against all sets of bidders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import cvxpy
import numpy as np
import pytest
from auction_bids import money, seeds, threshold
from hypothesis import given, settings

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    Announcement,
    BundleResult,
    CombinatorialAuction,
    CoreSelectingAuction,
    Offers,
    combinatorial,
    core_selecting,
)
from fedfm_sim.mechanisms.rules.auctions import covering
from fedfm_sim.mechanisms.rules.auctions.covering import cheapest_cover
from fedfm_sim.mechanisms.rules.auctions.covering_reference import cheapest_cover_reference

RESERVE = 10.0

Bids = tuple[Array, Mask, int]


def drawn(seed: int) -> Bids:
    """Draw bids that cover all items, one bidder with all of them making sure."""
    rng = np.random.default_rng(seed)
    n, items, demand = int(rng.integers(1, 7)), int(rng.integers(1, 5)), int(rng.integers(1, 3))
    covers = rng.random((n + demand, items)) < 0.5
    covers[:demand] = True
    asks = money(rng, n + demand) + 0.0
    asks[:demand] += rng.choice([0.0, 3.0])
    return asks, covers, demand


def covering_sets(covers: Mask, demand: int, without: int | None = None) -> list[list[int]]:
    who = [i for i in range(len(covers)) if i != without]
    sets = [list(s) for size in range(1, len(who) + 1) for s in combinations(who, size)]
    return [s for s in sets if (covers[s].sum(axis=0) >= demand).all()]


def least_cost(bids: Bids, without: int | None = None) -> float:
    asks, covers, demand = bids
    sets = covering_sets(covers, demand, without)
    return float(min((asks[s].sum() for s in sets), default=np.inf))


@given(seeds)
def test_winners_and_vcg_payments_against_all_sets(seed: int) -> None:
    asks, covers, demand = bids = drawn(seed)
    result = combinatorial(asks, covers, demand, RESERVE)
    best = least_cost(bids)
    assert (covers[result.selected].sum(axis=0) >= demand).all()
    assert result.cost == pytest.approx(best, abs=1e-12)
    for i in result.winners:
        clarke = min(asks[i] + least_cost(bids, without=i) - best, RESERVE)
        assert result.payments[i] == pytest.approx(clarke, abs=1e-9)
    assert (result.payments[~result.selected] == 0).all()


@settings(max_examples=20)
@given(seeds)
def test_vcg_pays_the_highest_ask_that_still_wins(seed: int) -> None:
    asks, covers, demand = drawn(seed)
    result = combinatorial(asks, covers, demand, RESERVE)

    def select(lied: Array) -> Mask:
        try:
            return combinatorial(lied, covers, demand, RESERVE).selected
        except UserError:  # the reserve shuts out who cannot be replaced
            return np.zeros(asks.size, dtype=np.bool_)

    for who in result.winners:
        assert result.payments[who] == pytest.approx(threshold(select, asks, who), abs=1e-9)


@given(seeds)
def test_core_payments_are_not_blocked_and_between_asks_and_vcg(seed: int) -> None:
    asks, covers, demand = drawn(seed)
    vcg = combinatorial(asks, covers, demand, RESERVE)
    core = core_selecting(asks, covers, demand, RESERVE)
    assert core.winners == vcg.winners
    assert (core.payments <= vcg.payments + 1e-9).all()
    assert (core.payments[core.selected] >= asks[core.selected] - 1e-9).all()
    winners = set(core.winners)
    for members in covering_sets(covers, demand):
        replaced = sum(core.payments[i] for i in winners - set(members))
        assert replaced <= sum(asks[i] for i in set(members) - winners) + 1e-8


@settings(max_examples=20)
@given(seeds)
def test_core_payments_are_most_in_sum_and_nearest_to_vcg(seed: int) -> None:
    asks, covers, demand = drawn(seed)
    vcg = combinatorial(asks, covers, demand, RESERVE)
    winners = list(vcg.winners)
    highest, found = vcg.payments[winners], core_selecting(asks, covers, demand, RESERVE)
    # All constraints written out.
    paid = cvxpy.Variable(len(winners))
    core = [paid >= asks[winners], paid <= highest]
    for members in covering_sets(covers, demand):
        outside = np.array([float(i not in members) for i in winners])
        core.append(outside @ paid <= sum(asks[i] for i in set(members) - set(winners)))
    most = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(paid)), core).solve(solver=cvxpy.HIGHS)
    assert found.payments.sum() == pytest.approx(most, abs=1e-7)
    nearest = cvxpy.Minimize(cvxpy.sum_squares(paid - highest))
    cvxpy.Problem(nearest, [*core, cvxpy.sum(paid) >= most - 1e-7]).solve(solver=cvxpy.CLARABEL)
    assert found.payments[winners] == pytest.approx(np.asarray(paid.value), abs=1e-3)


def test_two_locals_against_a_global_bidder() -> None:
    # Day and Cramton 2012: VCG overpays the locals, who share equally in the core.
    asks, covers = [2, 3, 10], [[1, 0], [0, 1], [1, 1]]
    assert combinatorial(asks, covers).payments.tolist() == [7, 8, 0]
    core = core_selecting(asks, covers)
    assert core.payments == pytest.approx([4.5, 5.5, 0])
    assert core.cost == 5


def test_several_coalitions_bind_at_once() -> None:
    # Pairs of locals against a global bidder each: p0 + p1 <= 6 and p2 + p3 <= 8.
    covers = [*np.eye(4), [1, 1, 0, 0], [0, 0, 1, 1]]
    core = core_selecting([1, 1, 1, 1, 6, 8], covers)
    assert core.payments == pytest.approx([3, 3, 4, 4, 0, 0])


def test_core_payments_reward_asking_more_than_ones_cost() -> None:
    asks, covers = [4, 3, 10], [[1, 0], [0, 1], [1, 1]]
    assert core_selecting(asks, covers).payments[0] > 4.5


@pytest.mark.parametrize("seed", range(20))
def test_the_integer_programme_agrees_with_the_table(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    asks, covers = rng.uniform(0, 5, 14), rng.random((14, 6)) < 0.4
    covers[:2] = True
    table = cheapest_cover(asks, covers, 2)
    monkeypatch.setattr(covering, "MOST_CELLS", 1)
    assert cheapest_cover(asks, covers, 2).tolist() == table.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_readable_model_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asks, covers = rng.uniform(0, 5, 12), rng.random((12, 6)) < 0.4
    covers[:2] = True
    reference = cheapest_cover_reference(asks, covers, 2)
    assert reference.tolist() == cheapest_cover(asks, covers, 2).tolist()


def test_many_bidders_and_items_are_solved() -> None:
    rng = np.random.default_rng(0)
    asks, covers = rng.uniform(1, 5, 200), rng.random((200, 40)) < 0.2
    selected = cheapest_cover(asks, covers, 1)
    assert covers[selected].any(axis=0).all()
    for i in np.flatnonzero(selected):
        rest = selected.copy()
        rest[i] = False
        assert not covers[rest].any(axis=0).all()  # nobody is superfluous


def test_ties_go_to_the_lower_index() -> None:
    assert combinatorial(np.ones(9), np.ones((9, 2)), 3).winners == (0, 1, 2)
    assert combinatorial(np.ones(9), np.ones((9, 2)), 3).payments[:3].tolist() == [1, 1, 1]
    # {0, 3} and {1, 2} cover both items at the same cost.
    assert combinatorial([1, 1, 1, 1], [[1, 0], [1, 0], [0, 1], [0, 1]]).winners == (0, 2)
    assert core_selecting(np.zeros(2), np.ones((2, 1))).payments.tolist() == [0, 0]


def test_who_cannot_be_replaced_is_paid_its_reserve() -> None:
    assert combinatorial([1], [[1]], reserves=4).payments.tolist() == [4]
    assert core_selecting([1, 2], np.eye(2), reserves=[4, 5]).payments.tolist() == [4, 5]
    with pytest.raises(UserError, match="nobody can replace bidder 0"):
        combinatorial([1], [[1]])


@pytest.mark.parametrize("auction", [combinatorial, core_selecting])
@pytest.mark.parametrize(
    ("asks", "covers", "demand", "reserves", "message"),
    [
        ([-1.0], [[1]], 1, 2.0, "asks"),
        ([np.nan], [[1]], 1, 2.0, "asks"),
        ([1.0], [1], 1, 2.0, "covers"),
        ([1.0], [[1], [1]], 1, 2.0, "covers"),
        ([1.0], [[1]], 0, 2.0, "demand"),
        ([1.0], [[1]], 1, -2.0, "reserves"),
        ([1.0], [[1]], 1, [1.0, 2.0], "one reserve"),
        ([1.0], [[1, 0]], 1, 2.0, "item 1"),
        ([1.0], [[1]], 2, 2.0, "item 0"),
        ([3.0], [[1]], 1, 2.0, "item 0"),
        ([np.inf], [[1]], 1, np.inf, "item 0"),
    ],
)
def test_impossible_input_is_refused(
    auction: Callable[..., BundleResult],
    asks: Array,
    covers: Mask,
    demand: int,
    reserves: float,
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        auction(asks, covers, demand, reserves)


OFFERS = Offers(
    units=np.array([100.0, 100.0, 100.0, 0.0]),
    asks=np.array([2.0, 3.0, 9.0, 0.0]),
    reputation=np.ones(4),
    covers=np.array([[True, False], [False, True], [True, True], [True, True]]),
)


def test_mechanisms_cover_the_classes() -> None:
    vcg = CombinatorialAuction().allocate(OFFERS, Announcement())
    assert vcg.promised == pytest.approx([6, 7, 0, 0])
    core = CoreSelectingAuction().allocate(OFFERS, Announcement())
    assert core.promised == pytest.approx([4, 5, 0, 0])


@pytest.mark.parametrize(
    ("fields", "covers"),
    [({"demand": 3}, OFFERS.covers), ({"reserve": 0.01}, OFFERS.covers), ({}, np.zeros((0, 0)))],
)
def test_nobody_trains_where_the_classes_cannot_be_covered(
    fields: dict[str, float], covers: Mask
) -> None:
    offers = Offers(OFFERS.units, OFFERS.asks, OFFERS.reputation, covers.astype(bool))
    for kind in (CombinatorialAuction, CoreSelectingAuction):
        allocation = kind.model_validate(fields).allocate(offers, Announcement())
        assert not allocation.selected.any()
        assert allocation.promised.tolist() == [0, 0, 0, 0]
