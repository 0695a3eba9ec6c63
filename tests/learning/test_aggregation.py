"""FedAvg: a weighted mean of factors, by hand and by its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import (
    FedAvg,
    Uploads,
    distance_from_mean,
    normalised,
    weighted_mean,
)

seeds = st.integers(0, 2**32 - 1)


def random_rows(layout: AdapterLayout, count: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((count, layout.size), dtype=np.float32))


def constant_rows(layout: AdapterLayout, *values: float) -> Tensor:
    return torch.tensor(values)[:, None].repeat(1, layout.size)


def test_by_hand(small_layout: AdapterLayout) -> None:
    updates = constant_rows(small_layout, 1.0, 4.0, -2.0)
    samples = np.array([1.0, 2.0, 5.0])
    result = FedAvg().aggregate(
        Uploads(updates, torch.zeros(small_layout.size), samples, small_layout)
    )
    # (1 * 1 + 2 * 4 - 5 * 2) / 8
    torch.testing.assert_close(result.adapter, torch.full((small_layout.size,), -0.125))
    assert result.weights.tolist() == [0.125, 0.25, 0.625]


def test_suspicion_is_the_distance_of_effective_changes(small_layout: AdapterLayout) -> None:
    # All entries c: every entry of s B A is 1.5 * 2 c^2 = 3 c^2, and there are
    # 4 * 3 + 2 * 5 = 22 of them. For c = 0, 1, -2: 0, 3 and 12, whose mean is 5.
    updates = constant_rows(small_layout, 0.0, 1.0, -2.0)
    reference = random_rows(small_layout, 1, 0)[0]
    result = FedAvg().aggregate(
        Uploads(updates, reference, np.array([1.0, 7.0, 3.0]), small_layout)
    )
    np.testing.assert_allclose(result.suspicion, np.sqrt(22) * np.array([5, 2, 7]))


@given(seeds, st.integers(1, 5))
def test_order_of_participants_does_not_matter(
    small_layout: AdapterLayout, seed: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    updates, reference = random_rows(small_layout, count, seed), torch.zeros(small_layout.size)
    samples = rng.integers(0, 9, count).astype(float)
    order = rng.permutation(count)
    plain = FedAvg().aggregate(Uploads(updates, reference, samples, small_layout))
    moved = FedAvg().aggregate(Uploads(updates[order], reference, samples[order], small_layout))
    torch.testing.assert_close(moved.adapter, plain.adapter)
    np.testing.assert_array_equal(moved.weights, plain.weights[order])
    np.testing.assert_allclose(moved.suspicion, plain.suspicion[order], atol=1e-6)


@given(seeds, st.integers(1, 5), st.floats(1e-3, 1e3))
def test_is_a_mean(small_layout: AdapterLayout, seed: int, count: int, unit: float) -> None:
    updates, reference = random_rows(small_layout, count, seed), torch.zeros(small_layout.size)
    samples = np.random.default_rng(seed).integers(1, 9, count).astype(float)
    result = FedAvg().aggregate(Uploads(updates, reference, samples, small_layout))
    assert (result.adapter <= updates.amax(0) + 1e-5).all()
    assert (result.adapter >= updates.amin(0) - 1e-5).all()
    # The unit in which samples are counted is of no account.
    scaled = FedAvg().aggregate(Uploads(updates, reference, unit * samples, small_layout))
    torch.testing.assert_close(scaled.adapter, result.adapter)
    # Nor is a participant of weight zero.
    strange = torch.cat([updates, torch.full((1, small_layout.size), 1e6)])
    with_it = FedAvg().aggregate(Uploads(strange, reference, np.append(samples, 0.0), small_layout))
    torch.testing.assert_close(with_it.adapter, result.adapter)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_weight_the_reference_stays(small_layout: AdapterLayout, count: int) -> None:
    reference = random_rows(small_layout, 1, 9)[0]
    result = FedAvg().aggregate(
        Uploads(random_rows(small_layout, count, 0), reference, np.zeros(count), small_layout)
    )
    assert torch.equal(result.adapter, reference)
    assert result.weights.tolist() == [0.0] * count
    assert result.suspicion.shape == (count,)


def test_normalised_by_hand() -> None:
    assert normalised(np.array([1.0, 3.0])).tolist() == [0.25, 0.75]
    assert normalised(np.zeros(2)).tolist() == [0, 0]
    assert normalised(np.zeros(0)).tolist() == []


def test_weighted_means_by_hand() -> None:
    updates = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    reference = torch.tensor([7.0, 8.0])
    assert weighted_mean(updates, reference, np.array([0.5, 0.5])).tolist() == [2, 4]
    assert weighted_mean(updates, reference, np.zeros(2)).tolist() == [7, 8]
    many = weighted_mean(updates, reference, np.array([[1.0, 0.0], [0.0, 0.0], [0.25, 0.75]]))
    assert many.tolist() == [[1, 2], [7, 8], [2.5, 5]]


def test_distance_from_mean_by_hand() -> None:
    points = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 3.0]])
    # The mean is (2, 1).
    np.testing.assert_allclose(
        distance_from_mean(points @ points.T), np.sqrt([4 + 1, 16 + 1, 4 + 4])
    )
    assert distance_from_mean(np.zeros((0, 0))).tolist() == []


@given(seeds, st.integers(1, 6), st.integers(1, 4))
def test_distance_from_mean_is_what_it_says(seed: int, count: int, width: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, width))
    expected = np.linalg.norm(points - points.mean(0), axis=1)
    np.testing.assert_allclose(distance_from_mean(points @ points.T), expected, atol=1e-6)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError, match="attackers"):
        FedAvg.model_validate({"attackers": 1})
