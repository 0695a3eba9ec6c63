"""The no-free-lunch bound on beliefs and on measured updates, and fronts by brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.pareto import pareto_front
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.no_free_lunch import (
    NoFreeLunch,
    bound,
    jensen_shannon,
    membership_beliefs,
)
from fedfm_sim.security.privacy.protection import GaussianMechanism

seeds = st.integers(0, 2**32 - 1)


def test_divergence_is_that_of_scipy_and_by_hand() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.random((2, 50))
    expected = [jensenshannon([a, 1 - a], [b, 1 - b]) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(jensen_shannon(p, q), expected, atol=1e-12)
    ends = jensen_shannon(np.array([0.0, 0.3]), np.array([1.0, 0.3]))
    np.testing.assert_allclose(ends, [np.log(2), 0], atol=1e-12)


@given(seeds, st.integers(1, 4))
def test_no_beliefs_break_the_bound(seed: int, participants: int) -> None:
    rng = np.random.default_rng(seed)
    trained = [rng.random(20) for _ in range(participants)]
    sent = [rng.random(20) for _ in range(participants)]
    both = bound(trained, sent, 0.1)
    assert both.slack >= -1e-12
    assert 0 <= both.leakage <= np.log(2) ** 0.5
    same = bound(trained, trained, 0.0)
    assert same.distortion == 0
    assert same.slack == pytest.approx(0)
    assert np.isnan(same.price_of_privacy)


def test_the_price_is_what_a_unit_of_leakage_avoided_costs() -> None:
    both = NoFreeLunch(0.5, 0.3, 0.4, utility_loss=0.1, efficiency_loss=0)
    assert both.price_of_privacy == pytest.approx(0.5)
    assert both.slack == pytest.approx(0.2)


def test_on_updates_protection_moves_beliefs(backbone: Backbone, digits: SplitData) -> None:
    settings = TrainingSettings(epochs=15, batch_size=8, learning_rate=0.01)
    federation = Federation.create(backbone, LoraSettings(rank=8, alpha=16.0), settings, 0)
    members = digits.private.select(slice(0, 40))
    trained = federation.train([members], [np.random.default_rng(0)]).adapters[0]
    noise = GaussianMechanism(clip=5.0, noise_multiplier=0.1)
    sent = noise.protect(trained, federation.adapter, np.random.default_rng(1))

    def beliefs(row: Tensor, protect: Callable[[Tensor], Tensor] | None = None) -> Array:
        seen = Observation(
            federation,
            federation.adapter,
            trained,
            members,
            digits.test,
            digits.public,
            np.random.default_rng(2),
        )
        return membership_beliefs(replace(seen, sent=row), shadows=2, protect=protect)

    as_trained, as_sent = beliefs(trained), beliefs(sent)
    assert as_trained.shape == (80,)
    assert as_trained[:40].mean() > as_trained[40:].mean() + 0.05, "members are believed more"
    result = bound([as_trained], [as_sent], utility_loss=0.2)
    assert result.unprotected > 0.03
    assert result.distortion > 0.1
    # Of shadows that are shown as they began, an attacker that knows so learns nothing.
    told = beliefs(trained, lambda row: federation.adapter)
    assert np.abs(told - 0.5).max() < 0.5 * np.abs(as_trained - 0.5).max()


@given(seeds, st.integers(1, 12), st.integers(1, 3))
def test_the_front_by_brute_force(seed: int, count: int, width: int) -> None:
    points = np.random.default_rng(seed).integers(0, 4, (count, width)).astype(float)
    expected = [
        not any((other <= point).all() and (other < point).any() for other in points)
        for point in points
    ]
    assert pareto_front(points).tolist() == expected
