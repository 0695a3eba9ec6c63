"""DataInf: its gradients, its closed form against exact inverses, and mislabelled data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning import reference
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.influence import data_influence, influence
from fedfm_sim.learning.trainer import TrainingSettings, example_gradients, train


def adapter_of(layout: AdapterLayout, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(0.1 * rng.standard_normal(layout.size, dtype=np.float32))


def exact_influence(
    gradients: Array, target: Array, layout: AdapterLayout, damping: float
) -> Array:
    """Return the influence with the damped mean of squared gradients inverted as it is."""
    scores, at = np.zeros(len(gradients)), 0
    for shape in layout.shapes.values():
        part = slice(at, at := at + int(np.prod(shape)))
        rows, aim = gradients[:, part], target[part]
        least = damping * (rows**2).mean()
        hessian = rows.T @ rows / len(rows) + least * np.eye(rows.shape[1])
        scores += rows @ np.linalg.solve(hessian, aim)
    return scores / len(gradients)


def bound(gradients: Array, target: Array, layout: AdapterLayout, damping: float) -> Array:
    """Return the documented bound on the error of every influence."""
    total, at = np.zeros(len(gradients)), 0
    for shape in layout.shapes.values():
        part = slice(at, at := at + int(np.prod(shape)))
        rows, aim = gradients[:, part], target[part]
        least = damping * (rows**2).mean()
        lengths = np.linalg.norm(rows, axis=1)
        gap = 1 / least - 1 / (least + lengths.max() ** 2)
        total += np.linalg.norm(aim) * lengths * gap
    return total / len(gradients)


def random_gradients(layout: AdapterLayout, count: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.standard_normal((count, layout.size))),
        torch.from_numpy(rng.standard_normal(layout.size)),
    )


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1e4))
def test_one_example_has_its_exact_influence(
    small_layout: AdapterLayout, seed: int, damping: float
) -> None:
    rows, aim = random_gradients(small_layout, 1, seed)
    expected = exact_influence(rows.numpy(), aim.numpy(), small_layout, damping)
    np.testing.assert_allclose(
        data_influence(rows, aim, small_layout, damping=damping), expected, rtol=1e-6
    )


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(0.1, 1e3))
def test_it_is_off_by_no_more_than_documented(
    small_layout: AdapterLayout, seed: int, count: int, damping: float
) -> None:
    rows, aim = random_gradients(small_layout, count, seed)
    scores = data_influence(rows, aim, small_layout, damping=damping)
    expected = exact_influence(rows.numpy(), aim.numpy(), small_layout, damping)
    allowed = bound(rows.numpy(), aim.numpy(), small_layout, damping)
    assert (np.abs(scores - expected) <= allowed * (1 + 1e-9)).all()


def test_strong_damping_makes_it_exact(small_layout: AdapterLayout) -> None:
    rows, aim = random_gradients(small_layout, 20, 1)
    scores = data_influence(rows, aim, small_layout, damping=1e5)
    expected = exact_influence(rows.numpy(), aim.numpy(), small_layout, 1e5)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-9)


def test_it_is_linear_in_the_validation_gradient(small_layout: AdapterLayout) -> None:
    rows, one = random_gradients(small_layout, 8, 2)
    _, other = random_gradients(small_layout, 1, 3)
    parts = [data_influence(rows, aim, small_layout) for aim in (one, other)]
    both = data_influence(rows, one + 2 * other, small_layout)
    np.testing.assert_allclose(both, parts[0] + 2 * parts[1], rtol=1e-9)


def test_gradients_are_those_of_one_example_at_a_time(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    # A step of plain peft without momentum moves by minus the gradient.
    settings = TrainingSettings(
        epochs=1, batch_size=1, learning_rate=1.0, optimizer="sgd", clip_norm=1e9
    )
    few, start = digits.private.select(slice(0, 3)), adapter_of(layout)
    gradients = example_gradients(backbone, layout, start, few)
    for number in range(3):
        shard = few.select(slice(number, number + 1))
        generator = [np.random.default_rng(0)]
        moved = reference.train(backbone, layout, start[None], [shard], settings, generator)
        np.testing.assert_allclose(
            gradients[number].numpy(), (start - moved.adapters[0]).numpy(), atol=2e-5
        )


@pytest.fixture(scope="module")
def mislabelled(digits: SplitData) -> tuple[list[Examples], list[Array]]:
    """Return six shards of 60, and which labels of each are wrong: none up to half."""
    rng = np.random.default_rng(0)
    shards, wrong = [], []
    for number in range(6):
        shard = digits.private.select(slice(60 * number, 60 * number + 60))
        flipped = rng.uniform(size=60) < 0.1 * number
        away = torch.from_numpy(rng.integers(1, digits.classes, 60) * flipped)
        shards.append(Examples(shard.inputs, (shard.labels + away) % digits.classes))
        wrong.append(flipped.astype(np.float64))
    return shards, wrong


@pytest.fixture(scope="module")
def trained(
    backbone: Backbone, layout: AdapterLayout, mislabelled: tuple[list[Examples], list[Array]]
) -> Tensor:
    pool = Examples.concatenate(mislabelled[0])
    start = adapter_of(layout)[None]
    generator = [np.random.default_rng(1)]
    return train(backbone, layout, start, [pool], TrainingSettings(epochs=1), generator).adapters[0]


def test_mislabelled_examples_harm(
    backbone: Backbone,
    layout: AdapterLayout,
    digits: SplitData,
    mislabelled: tuple[list[Examples], list[Array]],
    trained: Tensor,
) -> None:
    shards, wrong = mislabelled
    result = influence(backbone, layout, trained, shards, digits.validation)
    scores, flipped = np.concatenate(result.examples), np.concatenate(wrong)
    assert roc_auc_score(flipped, -scores) > 0.8
    assert scores[flipped == 1].mean() < 0 < scores[flipped == 0].mean()
    # Half of the last participant's labels are wrong, none of the first's.
    assert result.participants[0] > result.participants[5]
    assert np.corrcoef(result.participants, np.arange(6))[0, 1] < -0.5


def test_participants_are_the_sums_of_their_examples(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    sizes = [5, 0, 7]
    ends = np.cumsum(sizes)
    shards = [
        digits.private.select(slice(int(e) - s, int(e))) for s, e in zip(sizes, ends, strict=True)
    ]
    validation = digits.validation.select(slice(0, 20))
    result = influence(backbone, layout, adapter_of(layout), shards, validation)
    assert [len(part) for part in result.examples] == sizes
    assert result.participants == pytest.approx([part.sum() for part in result.examples])
    assert result.participants[1] == 0
    merged = influence(
        backbone, layout, adapter_of(layout), [Examples.concatenate(shards)], validation
    )
    assert merged.participants[0] == pytest.approx(result.participants.sum(), rel=1e-4)


def test_tensors_without_gradient_are_left_out(small_layout: AdapterLayout) -> None:
    rows, aim = random_gradients(small_layout, 4, 4)
    first = int(np.prod(next(iter(small_layout.shapes.values()))))
    rows[:, :first] = 0
    scores = data_influence(rows, aim, small_layout)
    assert np.isfinite(scores).all()
    aim[:first] = 1e6
    np.testing.assert_array_equal(data_influence(rows, aim, small_layout), scores)


def test_impossible_input_is_refused(
    backbone: Backbone, layout: AdapterLayout, small_layout: AdapterLayout, digits: SplitData
) -> None:
    rows, aim = random_gradients(small_layout, 4, 5)
    with pytest.raises(UserError, match=r"\(N, P\)"):
        data_influence(rows, aim[:-1], small_layout)
    with pytest.raises(UserError, match="damping"):
        data_influence(rows, aim, small_layout, damping=0.0)
    rows[0, 0] = torch.nan
    with pytest.raises(UserError, match="NaN"):
        data_influence(rows, aim, small_layout)
    none, some = digits.private.select(slice(0, 0)), digits.private.select(slice(0, 2))
    for shards, validation in (([none], some), ([some], none)):
        with pytest.raises(UserError, match="needs training examples"):
            influence(backbone, layout, adapter_of(layout), shards, validation)
