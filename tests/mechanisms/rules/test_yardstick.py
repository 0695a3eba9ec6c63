"""Yardstick competition: the terms make the wanted speed everybody's best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Announcement, Delivery, Offers, Yardstick
from fedfm_sim.mechanisms.rules.yardstick import YardstickTerms, yardstick_rewards, yardstick_terms

above = st.floats(0.1, 10)


def test_by_hand() -> None:
    assert yardstick_terms(1, 0.5, 2) == YardstickTerms(2.0, 8.0)
    rewards = yardstick_rewards([0.5, 0.5, 1.0], YardstickTerms(2.0, 8.0))
    assert rewards == pytest.approx([4, 4, -2])


@given(above, above, above, above)
def test_no_speed_is_better_whatever_the_others_do(
    work: float, kappa: float, speed: float, others: float
) -> None:
    terms = yardstick_terms(work, kappa, speed)

    def loss(own: float) -> float:
        reward = yardstick_rewards([work / own, work / others], terms)[0]
        return float(kappa * own**2 - reward)

    best = minimize_scalar(loss, bounds=(speed / 10, speed * 10), method="bounded")
    assert loss(speed) <= best.fun + 1e-6 * abs(best.fun) + 1e-9
    # In the symmetric equilibrium nobody gains or loses.
    equal = yardstick_rewards([work / speed] * 2, terms)
    assert equal == pytest.approx([kappa * speed**2] * 2)


@given(st.lists(above, min_size=2, max_size=6))
def test_what_one_wins_the_others_lose(times: list[float]) -> None:
    rewards = yardstick_rewards(times, YardstickTerms(3.0, 2.0))
    assert rewards.sum() == pytest.approx(3.0 * len(times))
    assert (np.diff(rewards[np.argsort(times)]) <= 1e-12).all()


def test_who_is_alone_gets_the_base() -> None:
    assert yardstick_rewards([9.0], YardstickTerms(2.0, 8.0)).tolist() == [2.0]
    assert yardstick_rewards([], YardstickTerms(2.0, 8.0)).tolist() == []


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan), (1, np.inf, 1)])
def test_impossible_terms_are_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="must be finite and above 0"):
        yardstick_terms(*bad)
    with pytest.raises(UserError, match="times"):
        yardstick_rewards([bad[1], -1], YardstickTerms(1, 1))


def test_the_mechanism_pays_the_fast_and_takes_nothing_from_the_slow() -> None:
    mechanism = Yardstick(units=100, kappa=1e-4)
    offers = Offers(np.array([100.0, 100, 0, 10]), np.zeros(4), np.zeros(4))
    allocation = mechanism.allocate(offers, Announcement())
    pay = mechanism.pay(allocation, Delivery(offers.units))
    # Times 1, 1 and 10; base 1, slope 2.
    assert pay == pytest.approx([1 + 2 * 4.5, 1 + 2 * 4.5, 0, 0])
