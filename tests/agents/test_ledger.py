"""Eq. 12 and the sanctions: facts, chances and beliefs are settled by the same sums."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.agents.ledger import LINES, REWARD, Verdicts, settle
from fedfm_sim.agents.prices import Prices
from fedfm_sim.mechanisms.sanctions import Sanctions

PRICES = Prices(reputation=2.0, privacy=3.0, efficiency=0.5)
SANCTIONS = Sanctions(fine=20.0, bounty=5.0, false_report_fee=1.0, theft_fine=30.0)
STAKES = {
    "payment": 7.0,
    "proceeds": 1.5,
    "cost": 2.0,
    "reputation": 0.25,
    "privacy": 0.1,
    "efficiency": 4.0,
}
chances = st.floats(0, 1)
money = st.floats(0, 1e3)


def by_hand(stakes: dict[str, float], v: Verdicts) -> float:
    payment = stakes["payment"] * (1 - v.convicted)
    fine = 20 * v.convicted + 30 * v.exposed + 1 * v.refuted
    utility = payment + 5 * v.upheld + stakes["proceeds"] - fine - stakes["cost"]
    priced = 2 * stakes["reputation"] - 3 * stakes["privacy"] - 0.5 * stakes["efficiency"]
    return float(utility + priced)


@given(chances, chances, chances, chances)
def test_it_is_equation_12(convicted: float, exposed: float, upheld: float, refuted: float) -> None:
    verdicts = Verdicts(convicted, exposed, upheld, refuted)
    settled = settle(STAKES, verdicts, SANCTIONS, PRICES)
    assert settled.total == pytest.approx(by_hand(STAKES, verdicts), abs=1e-12)
    assert settled.reward == pytest.approx(
        settled["payment"] + settled["bounty"] + settled["proceeds"] - settled["fine"]
    )


@given(chances, chances)
def test_a_chance_is_the_mean_over_the_facts(chance: float, traced: float) -> None:
    utilities = {
        (c, e): float(settle(STAKES, Verdicts(c, e), SANCTIONS, PRICES).total)
        for c in (0.0, 1.0)
        for e in (0.0, 1.0)
    }
    mean = sum(
        (chance if c else 1 - chance) * (traced if e else 1 - traced) * utility
        for (c, e), utility in utilities.items()
    )
    expected = settle(STAKES, Verdicts(chance, traced), SANCTIONS, PRICES).total
    assert expected == pytest.approx(mean, abs=1e-9)


@given(st.lists(st.tuples(money, money, money, chances, chances, money, st.booleans()), min_size=1))
def test_many_at_once_are_each_alone_bit_for_bit(rows: list[tuple[float, ...]]) -> None:
    columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]
    stakes = dict(zip(STAKES, columns[:6], strict=True))
    verdicts = Verdicts(columns[6] > 0, columns[3], columns[4], 1 - columns[4])
    together = settle(stakes, verdicts, SANCTIONS, PRICES)
    for k in range(len(rows)):
        own = {name: float(column[k]) for name, column in stakes.items()}
        alone = settle(own, verdicts.of(k), SANCTIONS, PRICES)
        assert alone.total == np.asarray(together.total)[k]
        assert alone.reward == np.asarray(together.reward)[k]


def test_the_convicted_lose_their_payment_and_what_they_stole_stays_theirs() -> None:
    settled = settle(STAKES, Verdicts(convicted=1.0), SANCTIONS, PRICES)
    assert (settled["payment"], settled["fine"], settled["proceeds"]) == (0, 20, 1.5)


def test_what_is_left_out_counts_for_nothing() -> None:
    some = {"payment": 3.0, "cost": 1.0}
    assert settle(some, Verdicts(), SANCTIONS, PRICES).total == 2.0


def test_every_line_has_its_price_and_every_amount_its_line() -> None:
    settled = settle(STAKES, Verdicts(), SANCTIONS, PRICES)
    names = [line.name for line in LINES]
    assert set(settled.amounts) == set(names)
    assert set(REWARD) < set(names)
    for line in LINES:
        assert line.price is None or line.price in Prices.model_fields
        assert abs(line.sign) == 1
        more = settle(STAKES | {line.name: 8.0}, Verdicts(), SANCTIONS, PRICES)
        if line.name in STAKES:
            price = 1.0 if line.price is None else getattr(PRICES, line.price)
            moved = line.sign * price * (8.0 - STAKES[line.name])
            assert more.total - settled.total == pytest.approx(moved)


def test_the_settled_stakes_stay_as_they_were() -> None:
    stakes = {name: np.full(3, amount) for name, amount in STAKES.items()}
    settled = settle(stakes, Verdicts(), SANCTIONS, PRICES)
    assert settled.total is not settled.total
    assert all((stakes[name] == amount).all() for name, amount in STAKES.items())
    with pytest.raises(dataclasses.FrozenInstanceError):
        settled.prices = Prices()  # type: ignore[misc]
