"""What holds of every mechanism in the registry, and what each of them promises."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import (
    MECHANISMS,
    Allocation,
    CoalitionGame,
    Delivery,
    Market,
    Mechanism,
    Offers,
)

#: Parameters under which each mechanism is tried.
FIELDS: dict[str, dict[str, Any]] = {
    "posted-price": {},
    "reputation-auction": {"budget": 50.0, "threshold": 0.3},
    "contest": {"budget": 50.0},
    "fli": {"budget": 50.0},
    "proportional": {"budget": 50.0},
    "revenue-sharing": {"rate": 50.0},
    "contract-menu": {},
    "contribution-share": {"budget": 50.0},
    "lowest-price": {"winners": 2},
    "second-price": {"winners": 2},
    "yardstick": {},
    "vcg": {},
    "budget-feasible": {"budget": 50.0},
    "fmore": {"winners": 2},
    "forward": {"values": (0.1, 0.3), "budgets": (20.0, 30.0)},
    "mcafee": {},
    "strongly-budget-balanced": {"values": (0.1, 0.3, 0.5)},
    "vcg-double": {"values": (0.1, 0.3, 0.5)},
    "combinatorial": {"reserve": 0.5},
    "core-selecting": {"reserve": 0.5},
    "myerson": {"winners": 2, "value": 0.3},
}

#: Those that pay by what happened in earlier rounds.
REMEMBERING = {"fli", "revenue-sharing", "strongly-budget-balanced"}

PROMISES = ("individually_rational", "truthful", "within_budget", "monotone")
PROMISED = [(n, p) for n in FIELDS for p in PROMISES if getattr(MECHANISMS[n].properties, p)]
NOT_PROMISED = [(n, p) for n in FIELDS for p in PROMISES if (n, p) not in PROMISED]

#: Rounding allowed in money.
ROUNDING = 1e-7

seeds = st.integers(0, 2**32 - 1)


class Round:
    """One round of a mechanism with a random population that asks its costs."""

    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n = n = int(rng.integers(1, 6))
        self.mechanism: Mechanism = MECHANISMS[name](**FIELDS[name])
        market = Market(
            rng.uniform(0, 0.1, n), rng.uniform(0, 1e-3, n), rng.uniform(0, 500, n).round()
        )
        self.announcement = self.mechanism.announce(market)
        units = market.capacity * rng.choice([0.0, 0.5, 1.0], n, p=[0.2, 0.2, 0.6])
        self.costs = market.linear * units + market.quadratic * units**2
        self.offers = Offers(units, self.costs, rng.random(n), rng.random((n, 3)) < 0.7)
        table = rng.normal(size=1 << n)
        root = rng.normal(size=(n, 4))
        self.delivery = Delivery(units, CoalitionGame.from_table(table), root @ root.T)
        self.bidder = int(rng.integers(n))
        self.factor = float(rng.choice([rng.uniform(0, 1), rng.uniform(1, 3)]))

    def play(self, offers: Offers | None = None) -> tuple[Allocation, Any]:
        allocation = self.mechanism.allocate(offers or self.offers, self.announcement)
        return allocation, self.mechanism.pay(allocation, self.delivery)

    def utility(self, asks_of_bidder: float) -> float:
        allocation, pay = self.play(self.asking(asks_of_bidder))
        selected = allocation.selected[self.bidder]
        return float(pay[self.bidder] - self.costs[self.bidder] * selected)

    def asking(self, ask: float) -> Offers:
        asks = self.offers.asks.copy()
        asks[self.bidder] = ask
        return replace(self.offers, asks=asks)


def violation(name: str, promise: str, seed: int) -> float:
    """Return by how much money (or 1, for a lost place) a promise is broken."""
    game = Round(name, seed)
    allocation, pay = game.play()
    cost, lied = game.costs[game.bidder], game.costs[game.bidder] * game.factor
    if promise == "individually_rational":
        return float(np.where(allocation.selected, game.costs - pay, 0.0).max())
    if promise == "truthful":
        return game.utility(lied) - game.utility(cost)
    if promise == "within_budget":
        given, bought = FIELDS[name], game.mechanism.collect(allocation, game.delivery)
        limit = given.get("budget", bought)
        return float(pay.sum() - limit)
    lower = game.play(game.asking(min(lied, cost)))[0]
    return float(allocation.selected[game.bidder] and not lower.selected[game.bidder])


def test_each_has_an_example_here() -> None:
    assert sorted(FIELDS) == list(MECHANISMS)


def test_unknown_mechanisms_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'posted-price'"):
        MECHANISMS["posted-prize"]


@pytest.mark.parametrize("name", sorted(FIELDS))
@given(seed=seeds)
def test_only_those_who_offer_and_are_selected_are_paid(name: str, seed: int) -> None:
    game = Round(name, seed)
    allocation, pay = game.play()
    assert allocation.collected >= 0
    assert allocation.selected.dtype == np.bool_
    assert allocation.selected.shape == allocation.promised.shape == pay.shape == (game.n,)
    assert not allocation.selected[game.offers.units == 0].any()
    for money in (allocation.promised, pay):
        assert np.isfinite(money).all()
        assert (money >= 0).all()
        assert (money[~allocation.selected] == 0).all()


@pytest.mark.parametrize(("name", "promise"), PROMISED)
@given(seed=seeds)
def test_what_is_promised_holds(name: str, promise: str, seed: int) -> None:
    assert violation(name, promise, seed) <= ROUNDING


@pytest.mark.parametrize(("name", "promise"), NOT_PROMISED)
def test_what_is_not_promised_has_a_counter_example(name: str, promise: str) -> None:
    assert any(violation(name, promise, seed) > ROUNDING for seed in range(500))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_copy_that_recalls_a_memory_pays_as_the_one_that_has_it(name: str) -> None:
    rounds = [game for seed in range(60) if (game := Round(name, seed)).n == 4]
    old, recalling, fresh = (MECHANISMS[name](**FIELDS[name]) for _ in range(3))

    def learn(game: Round) -> None:
        old.learn(np.zeros(game.n), game.delivery)  # all were convicted, say

    def paid(mechanism: Mechanism) -> list[bytes]:
        payments = []
        for game in rounds[2:]:
            game.mechanism = mechanism
            allocation, pay = game.play()
            collected = mechanism.collect(allocation, game.delivery)
            payments.append(np.append(pay, collected).tobytes())
        return payments

    for game in rounds[:2]:
        learn(game)
    memory = old.memory()
    kept = deepcopy(memory)
    recalling.recall(memory)
    assert paid(recalling) == paid(old)
    assert (paid(fresh) != paid(old)) == bool(memory) == (name in REMEMBERING)
    learn(rounds[2])
    np.testing.assert_equal(memory, kept)
    np.testing.assert_equal(recalling.memory(), kept)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_what_is_known_and_where_it_was_published_is_said(name: str) -> None:
    properties = MECHANISMS[name].properties
    assert properties.knows
    assert any(character.isdigit() for character in properties.source)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_parameters_cannot_be_changed_misspelt_or_infinite(name: str) -> None:
    kind = MECHANISMS[name]
    mechanism = kind(**FIELDS[name])
    assert kind.model_validate(mechanism.model_dump()) == mechanism
    field = next(f for f in kind.model_fields if not isinstance(getattr(mechanism, f), str | None))
    infinite: Any = float("inf")
    if isinstance(getattr(mechanism, field), tuple):
        infinite = (infinite,)
    with pytest.raises(ValueError, match="frozen"):
        setattr(mechanism, field, 1.0)
    with pytest.raises(ValueError, match="Extra inputs"):
        kind.model_validate(FIELDS[name] | {"buget": 1.0})
    with pytest.raises(ValueError, match="finite"):
        kind.model_validate(FIELDS[name] | {field: infinite})
