"""Threats to leave, and shares before and after, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.theory.holdup import hold_up, settled_again

money = st.floats(-100, 100)


@given(money, money, st.floats(-200, 200))
def test_the_transfer_is_the_nash_bargain(share: float, loss: float, other: float) -> None:
    found = hold_up(share, loss)
    if loss <= share:
        assert not found.works
        return

    def product(transfer: float) -> float:
        return (share + transfer) * (loss - transfer)

    assert found.transfer == pytest.approx((loss - share) / 2)
    assert product(found.transfer) >= product(other) - 1e-6


def test_an_additive_game_settles_to_what_each_brings() -> None:
    worth = np.array([1.0, 2.0, 5.0])
    masks = np.arange(8)
    table = ((masks[:, None] >> np.arange(3)) & 1) @ worth
    before, after = settled_again(CoalitionGame.from_table(table), 1, 16.0)
    np.testing.assert_allclose(before, [2, 4, 10])
    np.testing.assert_allclose(after, [2, 0, 10])  # nobody's worth depended on the leaver


worths = st.lists(st.integers(0, 20), min_size=8, max_size=8)


@given(worths, st.integers(0, 2), st.floats(0, 100))
def test_the_pot_is_shared_whole_and_the_leaver_gets_nothing(
    values: list[int], leaver: int, pot: float
) -> None:
    table = np.array([0.0, *values[1:]])
    before, after = settled_again(CoalitionGame.from_table(table), leaver, pot)
    assert before.sum() == pytest.approx(pot)
    assert (before >= 0).all()
    assert (after >= 0).all()
    assert after[leaver] == 0
    left = table[7 - (1 << leaver)]
    assert after.sum() == pytest.approx(pot * left / table[7] if table[7] > 0 else 0)


def test_bad_input() -> None:
    with pytest.raises(UserError, match="finite"):
        hold_up(float("nan"), 1.0)
    with pytest.raises(UserError, match="cannot leave"):
        settled_again(CoalitionGame.from_table([0, 1, 2, 3]), 2, 1.0)
