"""Reputation over a finite horizon: Kreps and Wilson's beliefs, and nobody gains by deviating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.reputation import ReputationPath, reputation_value

HONOURED, BETRAYED, OUTSIDE = 2.0, 5.0, 0.5


def path(prior: float, horizon: int, threshold: float) -> ReputationPath:
    return reputation_value(prior, horizon, threshold, HONOURED, BETRAYED, OUTSIDE)


def test_the_chain_store_by_hand() -> None:
    """Kreps and Wilson (1982), b = 1/2 and p = 1/10: p falls short of b**k from k = 3 on."""
    found = path(0.1, 6, 0.5)
    np.testing.assert_allclose(found.belief, [0.1, 0.1, 0.1, 1 / 8, 1 / 4, 1 / 2])
    # At k = 4 the total chance of good behaviour is p / b**3 = 0.8: (0.8 - 0.1) / 0.9.
    np.testing.assert_allclose(found.honour, [1, 1, 7 / 9, 3 / 7, 1 / 3, 0])
    mixed = (BETRAYED - HONOURED) / (BETRAYED - OUTSIDE)
    np.testing.assert_allclose(found.trust, [1, 1, 1, mixed, mixed, mixed])


@given(st.floats(0.001, 0.95), st.integers(1, 12), st.floats(0.1, 0.9))
def test_trust_if_and_only_if_the_posterior_is_not_below_b_to_the_k(
    prior: float, horizon: int, threshold: float
) -> None:
    found = path(prior, horizon, threshold)
    left = np.arange(horizon, 0, -1)
    np.testing.assert_array_equal(found.trust > 0, found.belief >= threshold**left)
    good = found.belief + (1 - found.belief) * found.honour
    if not found.trust.any():
        np.testing.assert_array_equal(found.belief, prior)  # untested, unlearned
        assert (good < threshold + 1e-9).all()
        assert found.gain == pytest.approx(0, abs=1e-9)
        return
    assert (good >= threshold - 1e-9).all()  # the server is right to trust
    indifferent = found.trust < 1
    np.testing.assert_allclose(good[indifferent], threshold)  # and right to mix
    after = found.belief / good
    np.testing.assert_allclose(after[:-1], found.belief[1:])  # Bayes, along good behaviour


@given(st.floats(0.001, 0.95), st.integers(1, 12), st.floats(0.1, 0.9))
def test_the_malicious_one_does_not_gain_by_deviating(
    prior: float, horizon: int, threshold: float
) -> None:
    found = path(prior, horizon, threshold)
    if not found.trust.any():
        np.testing.assert_allclose(found.value, OUTSIDE * np.arange(horizon, 0, -1))
        return
    later = np.r_[found.value[1:], 0]
    keep = HONOURED + later
    betray = BETRAYED + OUTSIDE * np.arange(horizon - 1, -1, -1)
    best = np.maximum(keep, betray)
    chosen = found.honour * keep + (1 - found.honour) * betray
    np.testing.assert_allclose(chosen, best)
    assert found.gain > 0


def test_a_good_name_is_kept_longer_where_there_is_more_to_lose() -> None:
    """Sure good behaviour while ``p >= b**(k - 1)``: log p / log b rounds from the end."""
    for prior in (0.01, 0.2):
        found = path(prior, 30, 0.5)
        sure = int((found.honour == 1).sum())
        assert sure == 30 - 1 - int(np.floor(np.log(prior) / np.log(0.5)))
    assert path(0.2, 30, 0.5).gain > path(0.01, 30, 0.5).gain
    assert path(0.1, 3, 0.5).gain == 0  # 0.1 < 1/8: too short and too little known


def test_known_kinds_and_long_horizons() -> None:
    assert path(0.0, 5, 0.5).gain == 0
    assert path(0.0, 5, 0.5).honour.tolist() == [0] * 5
    endless = path(0.3, 3000, 0.5)
    assert endless.honour[:2990].min() == 1
    assert path(0.0, 3000, 0.5).gain == 0
    assert path(0.0, 3000, 0.5).honour.max() == 0
    (last,) = path(0.9, 1, 0.5).honour
    assert last == 0  # it betrays at the end


def test_hostile_input() -> None:
    for prior, horizon, threshold in ((1.0, 3, 0.5), (-0.1, 3, 0.5), (0.5, 0, 0.5), (0.5, 3, 1.0)):
        with pytest.raises(UserError, match="reputation needs a prior"):
            path(prior, horizon, threshold)
    for payoffs in ((2.0, 1.0, 0.0), (0.0, 1.0, 0.0), (1.0, np.nan, 0.0), (1.0, np.inf, 0.0)):
        with pytest.raises(UserError, match="betrayed > honoured > outside"):
            reputation_value(0.5, 3, 0.5, *payoffs)
