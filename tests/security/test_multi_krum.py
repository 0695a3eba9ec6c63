"""Multi-Krum: scores by hand, its guarantee, and where the guarantee ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.aggregation import Aggregate, FedAvg, Uploads
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.defences.multi_krum import MultiKrum, krum_scores

WIDTH = 3
LAYOUT = AdapterLayout(
    ("m",),
    {"base_model.model.m.lora_A.weight": (1, 1), "base_model.model.m.lora_B.weight": (WIDTH, 1)},
    LoraSettings(rank=1, alpha=2.0),
)
REFERENCE = torch.tensor([1.0, 0.0, 0.0, 0.0])

seeds = st.integers(0, 2**32 - 1)


def updates_at(points: npt.ArrayLike) -> Tensor:
    """Return adapters whose effective change of weights is ``points`` (n, 3): A = 1, B = half."""
    b = torch.as_tensor(np.asarray(points), dtype=torch.float32) / 2
    return torch.cat([torch.ones(len(b), 1), b], dim=1)


def aggregate(points: npt.ArrayLike, attackers: int) -> Aggregate:
    updates = updates_at(points)
    return MultiKrum(attackers=attackers).aggregate(
        Uploads(updates, REFERENCE, np.ones(len(updates)), LAYOUT)
    )


def on_a_line(*values: float) -> npt.NDArray[np.float64]:
    points = np.zeros((len(values), WIDTH))
    points[:, 0] = values
    return points


@pytest.mark.parametrize(
    ("attackers", "scores"),
    [
        # Two nearest others of each: 1, 3 | 0, 3 | 1, 0 | 3, 1.
        (0, [1 + 9, 1 + 4, 4 + 9, 49 + 81]),
        # One nearest other.
        (1, [1, 1, 4, 49]),
        (2, [0, 0, 0, 0]),
        (9, [0, 0, 0, 0]),
    ],
)
def test_scores_by_hand(attackers: int, scores: list[float]) -> None:
    points = on_a_line(0, 1, 3, 10)
    assert krum_scores(points @ points.T, attackers).tolist() == scores


def test_by_hand() -> None:
    # n = 5 covers f = 1. Two nearest others (squared): 0 -> 1, 2: 5; 1 -> 0, 2: 2;
    # 2 -> 1, 0 (or 4): 5; 4 -> 2, 1: 13; 50 -> 4, 2: 2116 + 2304.
    result = aggregate(on_a_line(0, 1, 2, 4, 50), attackers=1)
    np.testing.assert_allclose(result.suspicion, [5, 2, 5, 13, 4420], rtol=1e-5)
    assert result.weights.tolist() == [0.25, 0.25, 0.25, 0.25, 0]
    # Mean of the four is 7/4, so B is 7/8.
    torch.testing.assert_close(result.adapter, torch.tensor([1.0, 0.875, 0, 0]))


def test_kept_updates_are_weighted_by_samples() -> None:
    updates = updates_at(on_a_line(0, 1, 2, 4, 50))
    samples = np.array([1.0, 0.0, 1.0, 2.0, 900.0])
    result = MultiKrum(attackers=1).aggregate(Uploads(updates, REFERENCE, samples, LAYOUT))
    assert result.weights.tolist() == [0.25, 0, 0.25, 0.5, 0]


@pytest.mark.parametrize("attackers", [0, 1, 2, 50])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_few_updates_are_averaged(count: int, attackers: int) -> None:
    # The theorem covers no attacker below five updates, so none is left out.
    points = on_a_line(*range(count))
    result = aggregate(points, attackers)
    plain = FedAvg().aggregate(Uploads(updates_at(points), REFERENCE, np.ones(count), LAYOUT))
    torch.testing.assert_close(result.adapter, plain.adapter)
    np.testing.assert_array_equal(result.weights, plain.weights)
    assert result.suspicion.shape == (count,)


@given(seeds, st.integers(0, 3), st.integers(0, 4), st.booleans())
def test_far_attackers_get_nothing(seed: int, attackers: int, more: int, together: bool) -> None:
    rng = np.random.default_rng(seed)
    count = 2 * attackers + 3 + more
    points = rng.normal(size=(count, WIDTH))
    bad = rng.permutation(count)[:attackers]
    away = rng.normal(size=(1 if together else attackers, WIDTH))
    points[bad] += 1000 * away / np.linalg.norm(away, axis=1, keepdims=True)
    result = aggregate(points, attackers)
    assert not result.weights[bad].any()
    np.testing.assert_allclose(np.delete(result.weights, bad), 1 / (count - attackers))
    honest = updates_at(np.delete(points, bad, axis=0)).mean(0)
    torch.testing.assert_close(result.adapter, honest, atol=1e-4, rtol=0)


def test_too_many_attackers_win() -> None:
    # Outside the theorem: 4 of 7 stand together, f = 2. What is left out is honest.
    result = aggregate(on_a_line(0, 1, 2, 100, 100, 100, 100), attackers=2)
    assert (result.weights[3:] == 0.2).all()
    # And more attackers than was declared: f = 1, two attackers of seven.
    result = aggregate(on_a_line(0, 1, 2, 3, 4, 100, 200), attackers=1)
    assert result.weights[5] > 0
    assert result.weights[6] == 0


@given(seeds, st.integers(1, 9), st.integers(0, 3))
def test_order_of_participants_does_not_matter(seed: int, count: int, attackers: int) -> None:
    rng = np.random.default_rng(seed)
    points, order = rng.normal(size=(count, WIDTH)), rng.permutation(count)
    plain, moved = aggregate(points, attackers), aggregate(points[order], attackers)
    np.testing.assert_allclose(moved.suspicion, plain.suspicion[order], atol=1e-6)
    np.testing.assert_allclose(moved.weights, plain.weights[order])
    torch.testing.assert_close(moved.adapter, plain.adapter)


@given(seeds, st.integers(5, 9))
def test_the_choice_is_the_same_in_every_gauge(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    updates = updates_at(rng.normal(size=(count, WIDTH)))
    gauge = torch.from_numpy(rng.uniform(0.1, 10, (count, 1)).astype(np.float32))
    moved = torch.cat([updates[:, :1] * gauge, updates[:, 1:] / gauge], dim=1)
    rule, samples = MultiKrum(attackers=1), np.ones(count)
    plain = rule.aggregate(Uploads(updates, REFERENCE, samples, LAYOUT))
    other = rule.aggregate(Uploads(moved, REFERENCE, samples, LAYOUT))
    np.testing.assert_allclose(other.suspicion, plain.suspicion, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(other.weights, plain.weights)


@given(seeds, st.integers(1, 7), st.integers(0, 5))
def test_scores_by_definition(seed: int, count: int, attackers: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, WIDTH))
    expected = []
    for k in range(count):
        squares = sorted(
            float(((points[k] - points[j]) ** 2).sum()) for j in range(count) if j != k
        )
        expected.append(sum(squares[: max(0, count - attackers - 2)]))
    np.testing.assert_allclose(krum_scores(points @ points.T, attackers), expected, atol=1e-9)


def test_is_found_by_name() -> None:
    assert DEFENCES["multi-krum"].model_validate({"attackers": 1}) == MultiKrum(attackers=1)
    assert DEFENCES["fedavg"]() == FedAvg()
