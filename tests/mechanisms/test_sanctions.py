"""Sanctions: what they may be, and audit draws."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Sanctions, draw_audits

probability = st.floats(0, 1)


def test_audits_come_at_their_rate() -> None:
    mask = draw_audits(0.3, 100_000, np.random.default_rng(1))
    assert mask.shape == (100_000,)
    # Within 4 standard deviations of a binomial share.
    assert abs(mask.mean() - 0.3) < 4 * (0.3 * 0.7 / 100_000) ** 0.5
    assert not draw_audits(0.0, 1000, np.random.default_rng(1)).any()
    assert draw_audits(1.0, 1000, np.random.default_rng(1)).all()


@given(probability, probability, st.integers(0, 2**32 - 1))
def test_a_higher_rate_only_adds_audits(a: float, b: float, seed: int) -> None:
    assume(a <= b)
    few, many = (draw_audits(rate, 50, np.random.default_rng(seed)) for rate in (a, b))
    assert not (few & ~many).any()


@pytest.mark.parametrize("rate", [-0.1, 1.1, nan])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(UserError, match="audit rate"):
        draw_audits(rate, 3, np.random.default_rng(0))


def test_the_bounty_is_paid_out_of_the_fine() -> None:
    assert Sanctions(fine=5, bounty=5).bounty == 5
    with pytest.raises(ValueError, match=r"bounty .* cannot be more"):
        Sanctions(fine=5, bounty=5.1)


@pytest.mark.parametrize(
    "field", [{"audit_rate": 1.1}, {"fine": -1}, {"tolerance": nan}, {"fines": 1}]
)
def test_sanctions_are_checked(field: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Sanctions.model_validate(field)


def test_no_sanctions_unless_asked_for() -> None:
    assert set(Sanctions().model_dump().values()) == {0.0}
