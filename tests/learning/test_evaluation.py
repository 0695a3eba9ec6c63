"""Evaluating many adapters at once equals one plain peft forward pass for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import set_peft_model_state_dict
from torch import Tensor, nn

from fedfm_sim.learning import evaluation
from fedfm_sim.learning.adapters import AdapterLayout, attach, initial_adapter
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import BLOCK_ROWS, Evaluation, evaluate, evaluate_each
from fedfm_sim.learning.examples import Examples


def random_rows(layout: AdapterLayout, count: int) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(0.1 * rng.standard_normal((count, layout.size), dtype=np.float32))


def plain_logits(
    backbone: Backbone, layout: AdapterLayout, adapters: Tensor, examples: Examples
) -> Tensor:
    model = attach(backbone, layout.settings)
    logits = []
    for row in adapters:
        views = layout.views(row[None])
        set_peft_model_state_dict(model, {name: view[0] for name, view in views.items()})
        with torch.no_grad():
            logits.append(model(**examples.inputs).logits)
    return torch.stack(logits)


# Adapters per pass: 512 // 70 = 7 (15 = 2 * 7 + 1), 1 (as 512 < 2 * 300), exactly 2, and 512.
@pytest.mark.parametrize(("adapters", "size"), [(15, 70), (3, 300), (4, 256), (2, 1)])
def test_equals_plain_peft(
    adapters: int, size: int, backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    assert BLOCK_ROWS == 512
    examples = digits.private.select(slice(0, size))
    rows = random_rows(layout, adapters)
    result = evaluate(backbone, layout, rows, examples)
    logits = plain_logits(backbone, layout, rows, examples)
    losses = nn.functional.cross_entropy(
        logits.transpose(1, 2), examples.labels.expand(adapters, -1), reduction="none"
    )
    np.testing.assert_allclose(result.losses, losses, atol=1e-4)
    top = logits.topk(2).values
    clear = (top[..., 0] - top[..., 1] > 1e-4).numpy()
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(result.predictions[clear], logits.argmax(-1).numpy()[clear])


def test_the_initial_adapter_is_the_backbone(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    row = initial_adapter(backbone, layout, seed=0)[None]
    with torch.no_grad():
        logits = backbone.model(**digits.test.inputs).logits
    result = evaluate(backbone, layout, row, digits.test)
    losses = nn.functional.cross_entropy(logits, digits.test.labels, reduction="none")
    np.testing.assert_allclose(result.losses[0], losses, atol=1e-5)


@settings(max_examples=8)
@given(rows=st.integers(1, 40), adapters=st.integers(0, 5))
def test_blocks_do_not_show(
    rows: int, adapters: int, backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    examples, matrix = digits.test.select(slice(0, 12)), random_rows(layout, adapters)
    whole = evaluate(backbone, layout, matrix, examples)
    assert whole.losses.shape == whole.predictions.shape == (adapters, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "BLOCK_ROWS", rows)
        blocked = evaluate(backbone, layout, matrix, examples)
    np.testing.assert_allclose(blocked.losses, whole.losses, atol=1e-5)


def test_several_jobs_in_lanes_are_those_done_alone(
    backbone: Backbone,
    layout: AdapterLayout,
    digits: SplitData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = random_rows(layout, 40)
    jobs = [
        (rows[2 * k : 2 * k + 1 + k % 2], digits.test.select(slice(k, 2 * k + 1)))
        for k in range(20)
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = [evaluate(backbone, layout, *job) for job in jobs]
    in_one = evaluate_each(backbone, layout, jobs)
    torch.set_num_threads(2)
    monkeypatch.setattr(evaluation, "BLOCK_ROWS", 64)  # as many passes as two lanes need
    in_two = evaluate_each(backbone, layout, jobs)
    torch.set_num_threads(1)
    same = evaluate_each(backbone, layout, jobs)
    torch.set_num_threads(threads)
    assert evaluate_each(backbone, layout, []) == []
    for one, joined, two, again in zip(alone, in_one, in_two, same, strict=True):
        for other in (joined, two):
            np.testing.assert_allclose(one.losses, other.losses, atol=1e-5)
            np.testing.assert_array_equal(one.predictions, other.predictions)
        np.testing.assert_array_equal(two.losses, again.losses)


def test_accuracy_by_hand() -> None:
    predictions = np.array([[0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 2, 0]])
    result = Evaluation(np.zeros((3, 4), dtype=np.float32), predictions)
    assert result.accuracy(torch.tensor([0, 1, 2, 0])).tolist() == [0.75, 0.5, 0.75]


def test_leaves_the_backbone_as_it_was_after_an_error(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    wrong = Examples(digits.test.inputs, torch.full((300,), 99))
    with pytest.raises(IndexError):
        evaluate(backbone, layout, random_rows(layout, 2), wrong)
    after = backbone.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
