"""What holds of every mechanism in the registry, whatever is offered to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import MECHANISMS, CoalitionGame, Market, Mechanism, Offers

FIELDS: dict[str, dict[str, Any]] = {
    "posted-price": {},
    "reputation-auction": {"budget": 50.0, "threshold": 0.3},
    "contribution-share": {"budget": 50.0},
}


def test_each_has_an_example_here() -> None:
    assert sorted(FIELDS) == list(MECHANISMS)


def test_unknown_mechanisms_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'posted-price'"):
        MECHANISMS["posted-prize"]


@pytest.mark.parametrize("name", sorted(FIELDS))
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5))
def test_only_those_who_offer_and_are_selected_are_paid(name: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    mechanism: Mechanism = MECHANISMS[name](**FIELDS[name])
    price = mechanism.announce(
        Market(rng.uniform(0, 0.1, n), rng.uniform(0, 1e-3, n), rng.uniform(0, 500, n))
    )
    units = rng.uniform(0, 500, n) * (rng.random(n) < 0.7)
    offers = Offers(units, rng.uniform(0, 20, n), rng.random(n))
    allocation = mechanism.allocate(offers, price)
    game = CoalitionGame.from_table(rng.normal(size=1 << n)) if mechanism.uses_game else None
    pay = mechanism.pay(allocation, game)

    assert price >= 0
    assert allocation.selected.dtype == np.bool_
    assert allocation.selected.shape == allocation.promised.shape == pay.shape == (n,)
    assert not allocation.selected[units == 0].any()
    for money in (allocation.promised, pay):
        assert np.isfinite(money).all()
        assert (money >= 0).all()
        assert (money[~allocation.selected] == 0).all()
    if name != "contribution-share":
        asked = offers.asks[allocation.selected]
        assert (pay[allocation.selected] >= asked * (1 - 1e-8)).all()
    if "budget" in FIELDS[name]:
        assert pay.sum() <= FIELDS[name]["budget"] * (1 + 1e-12)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_parameters_cannot_be_changed_misspelt_or_infinite(name: str) -> None:
    kind = MECHANISMS[name]
    mechanism = kind(**FIELDS[name])
    assert kind.model_validate(mechanism.model_dump()) == mechanism
    field = next(iter(kind.model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(mechanism, field, 1.0)
    with pytest.raises(ValueError, match="Extra inputs"):
        kind.model_validate(FIELDS[name] | {"buget": 1.0})
    with pytest.raises(ValueError, match="finite"):
        kind.model_validate(FIELDS[name] | {field: float("inf")})
