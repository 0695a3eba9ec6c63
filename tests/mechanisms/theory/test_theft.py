"""When theft stops paying: closed form against played lotteries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.theory.theft import theft_threshold


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_equal_sales_by_hand() -> None:
    found = theft_threshold(np.full(200, 3.0), np.ones(200, bool), 12.0, rng())
    assert found.closed_form == pytest.approx(0.25)
    assert found.simulated == pytest.approx(0.25, abs=0.01)
    # Of 200 that were traced, no gain uncertain: the least share at 97.5 % is 0.0125^(1/200).
    assert (found.low, found.high) == pytest.approx((0.25, 0.25 / 0.0125 ** (1 / 200)))


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 1.0), st.floats(6.0, 50.0))
def test_closed_form_and_lotteries_agree(seed: int, detection: float, fine: float) -> None:
    draws = np.random.default_rng(seed)
    gains = draws.lognormal(0, 0.5, 60)
    traced = draws.random(60) < detection
    traced[0] = True
    found = theft_threshold(gains, traced, fine, draws)
    if np.isinf(found.closed_form):
        assert found.simulated > 0.98
    else:
        # The count of fines that eat the gains is Poisson: five standard errors.
        count = gains.sum() * 200 / fine
        assert found.simulated == pytest.approx(found.closed_form, rel=5 / count**0.5)


def test_a_higher_fine_or_better_tracing_needs_less_watching() -> None:
    gains, traced = np.full(50, 2.0), np.arange(50) % 2 == 0
    low, high = (theft_threshold(gains, traced, fine, rng()) for fine in (10.0, 20.0))
    better = theft_threshold(gains, np.ones(50, bool), 10.0, rng())
    assert high.simulated < low.simulated
    assert better.simulated < low.simulated
    assert low.closed_form == pytest.approx(2 / (0.5 * 10))


def test_what_nothing_deters_and_what_needs_no_deterring() -> None:
    untraced = theft_threshold(np.full(9, 2.0), np.zeros(9, bool), 10.0, rng())
    assert np.isinf([untraced.closed_form, untraced.simulated, untraced.high]).all()
    # None of nine: up to 38.6 % may be traced, the rest of the exact 97.5 % interval.
    assert untraced.low == pytest.approx(2 / (10 * (1 - 0.0125 ** (1 / 9))))
    dear = theft_threshold(np.full(9, 2.0), np.ones(9, bool), 1.5, rng())
    assert np.isinf([dear.closed_form, dear.simulated]).all()
    free = theft_threshold(np.full(9, 2.0), np.ones(9, bool), 0.0, rng())
    assert np.isinf(free.simulated)
    loss = theft_threshold(np.full(9, -1.0), np.ones(9, bool), 10.0, rng())
    assert (loss.closed_form, loss.simulated) == (0, 0)


@pytest.mark.parametrize(
    ("gains", "fine"), [([], 1.0), ([1.0, 2.0], 1.0), ([np.nan], 1.0), ([1.0], -1.0)]
)
def test_what_says_nothing(gains: list[float], fine: float) -> None:
    with pytest.raises(UserError):
        theft_threshold(np.array(gains), np.ones(1 if gains else 0, bool), fine, rng())


def test_the_interval_covers_the_threshold_of_few_sales() -> None:
    """Gains of mean 2, four of five traced: the threshold at a fine of 10 is 0.25."""
    covered = 0
    for seed in range(300):
        draws = np.random.default_rng(seed)
        gains, traced = draws.gamma(8, 0.25, 6), draws.random(6) < 0.8
        found = theft_threshold(gains, traced, 10.0, draws)
        covered += found.low <= 0.25 <= found.high
    assert covered >= 0.95 * 300  # both parts hold together at 95 % or more
    alone = theft_threshold(np.array([2.0]), np.array([True]), 10.0, rng())
    assert (alone.low, alone.high) == (0, np.inf)
