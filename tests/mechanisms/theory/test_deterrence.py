"""The cheapest deterrent: closed forms, Becker's limit, brute force, and what cannot deter."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import deterrence_rate
from fedfm_sim.mechanisms.theory.deterrence import Temptations, cheapest_deterrent, frontier

seeds = st.integers(0, 2**32 - 1)


def one(benefit: float, confiscated: float = 0.0, convicted: float = 1.0) -> Temptations:
    return Temptations(np.array([benefit]), np.array([confiscated]), np.array([convicted]))


@given(st.floats(0.1, 10), st.floats(0, 20), st.floats(0.1, 1), st.booleans())
def test_one_deviation_needs_the_rate_of_the_formula(
    gain: float, fine: float, detection: float, confiscate: bool
) -> None:
    taken = detection * gain if confiscate else 0.0
    rate = one(gain, taken, detection).least_rates(np.array([fine]))[0]
    assert rate == pytest.approx(deterrence_rate(gain, fine, detection, confiscate=confiscate))


def test_the_least_cost_in_closed_form() -> None:
    # w_p b / (c + F d) + w_F F is least at F = sqrt(w_p b / (w_F d)) - c / d.
    found = cheapest_deterrent(one(8.0, 1.0, 0.9), 2.0, 0.05, largest_fine=1000)
    fine = sqrt(2.0 * 8.0 / (0.05 * 0.9)) - 1.0 / 0.9
    assert found.fine == pytest.approx(fine, rel=1e-6)
    assert found.rate == pytest.approx(8.0 / (1.0 + 0.9 * fine), rel=1e-6)
    assert found.cost == pytest.approx(2.0 * found.rate + 0.05 * fine)


def test_a_fine_that_costs_nothing_is_the_largest() -> None:
    found = cheapest_deterrent(one(5.0), 1.0, 0.0, largest_fine=200)
    assert found.fine == 200
    assert found.rate == pytest.approx(5 / 200)


def test_nothing_to_deter_costs_nothing() -> None:
    found = cheapest_deterrent(one(-1.0), 1.0, 1.0, largest_fine=10)
    assert (found.rate, found.fine, found.cost) == (0, 0, 0)


@given(seeds, st.floats(0, 0.5))
def test_against_brute_force(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    own = Temptations(rng.normal(1, 2, 6), rng.uniform(0, 2, 6), rng.uniform(0.2, 1, 6))
    weights = rng.uniform(0.01, 2, 2)
    found = cheapest_deterrent(own, *weights, largest_fine=50, margin=margin)
    # It deters, and by the margin.
    sanction = found.rate * (own.confiscated + found.fine * own.convicted)
    assert (sanction >= own.benefit * (1 + margin * (own.benefit > 0)) - 1e-9).all()
    assert (own.gains(found.rate, found.fine) <= 1e-9).all()
    # Nothing on a fine grid that deters is cheaper.
    rates, fines = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 50, 201))
    sanctions = rates[..., None] * (own.confiscated + fines[..., None] * own.convicted)
    deters = (sanctions >= own.benefit * (1 + margin * (own.benefit > 0))).all(-1)
    costs = np.where(deters, weights[0] * rates + weights[1] * fines, np.inf)
    assert found.cost <= costs.min() + 1e-9
    if found.rate > 0:
        needs = own.benefit[found.binding] * (1 + margin)
        assert sanction[found.binding] == pytest.approx(needs)


def test_four_fifths_of_the_rate_no_longer_deter() -> None:
    own = Temptations(np.array([4.0, 6.0]), np.array([0.5, 0.5]), np.array([1.0, 0.8]))
    found = cheapest_deterrent(own, 1.0, 0.02, largest_fine=100, margin=0.1)
    assert own.gains(found.rate, found.fine).max() < 0
    assert own.gains(0.8 * found.rate, found.fine).max() > 0


def test_audits_that_accuse_the_honest_have_an_upper_limit() -> None:
    # Staying out forgoes 1; an audit takes 4 from the honest: more than 1 in 4 drives them out.
    own = Temptations(np.array([2.0, -1.0]), np.array([0.0, 0.0]), np.array([1.0, -0.4]))
    rates = own.least_rates(np.array([1.0, 10.0, 100.0]))
    # 2 / F against 1 / (0.4 F): enough room at every fine, once 2 / F is at most 1.
    np.testing.assert_allclose(rates, [np.inf, 0.2, 0.02])
    harsh = Temptations(np.array([2.0, -1.0]), np.array([0.0, 0.0]), np.array([1.0, -0.6]))
    assert np.isinf(harsh.least_rates(np.array([10.0, 100.0]))).all()


def test_the_frontier_falls() -> None:
    line = frontier(one(3.0, 0.2), largest_fine=40)
    assert (np.diff(line["rate"]) < 0).all()
    np.testing.assert_allclose(line["rate"], 3 / (0.2 + line["fine"]))
    assert line["rate"].iloc[0] <= 1


@pytest.mark.parametrize(
    ("own", "fine", "message"),
    [
        (one(5.0), 1.0, "fine up to 1 deters deviation 0: it gains 5"),
        (one(5.0, 0.0, 0.0), 100.0, "convicts with chance 0"),
    ],
)
def test_what_no_sanction_deters(own: Temptations, fine: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cheapest_deterrent(own, 1.0, 1.0, largest_fine=fine)


def test_bad_temptations() -> None:
    with pytest.raises(UserError, match="finite"):
        one(np.nan)
    with pytest.raises(UserError, match="at least 1"):
        Temptations(np.zeros(0), np.zeros(0), np.zeros(0))
    with pytest.raises(UserError, match="one length"):
        Temptations(np.zeros(2), np.zeros(1), np.zeros(2))
    with pytest.raises(UserError, match="at least 0"):
        cheapest_deterrent(one(1.0), -1.0, 1.0, largest_fine=1)
