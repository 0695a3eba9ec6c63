"""Backdoors: what is poisoned and scaled by hand, and that a model learns the trigger."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings, initial_adapter
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import evaluate
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import TrainingSettings, train
from fedfm_sim.security.attacks import ATTACKS, View
from fedfm_sim.security.attacks.backdoor import Backdoor


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def numbered(count: int, side: int = 4, channels: int = 1) -> Examples:
    """Return grey images; all their pixels are their number plus a half."""
    pixels = torch.arange(count)[:, None, None, None].expand(count, channels, side, side) + 0.5
    return Examples({"pixel_values": pixels, "other": torch.arange(count)}, torch.arange(count) % 3)


def test_the_stamp_by_hand() -> None:
    stamped = Backdoor(size=3).trigger(numbered(1)).inputs["pixel_values"][0, 0]
    assert stamped.tolist() == [
        [0.5, 0.5, 0.5, 0.5],
        [1.0, 0.0, 1.0, 0.5],
        [0.0, 1.0, 0.0, 0.5],
        [1.0, 0.0, 1.0, 0.5],
    ]


@given(st.integers(0, 5), st.integers(1, 8), st.integers(1, 10), st.integers(1, 3))
def test_the_stamp_touches_the_patch_only(count: int, side: int, size: int, channels: int) -> None:
    examples = numbered(count, side, channels)
    before = examples.inputs["pixel_values"].clone()
    stamped = Backdoor(size=size).trigger(examples)
    inside = min(size, side)
    changed = stamped.inputs["pixel_values"] != before
    assert changed[..., -inside:, :inside].all()
    assert int(changed.sum()) == count * channels * inside**2
    assert torch.equal(examples.inputs["pixel_values"], before)
    assert torch.equal(stamped.inputs["other"], examples.inputs["other"])
    assert stamped.labels.tolist() == [0] * count


@pytest.mark.parametrize(("poisoned", "copies"), [(1.0, 10), (0.5, 5), (0.24, 2), (0.001, 1)])
def test_poison_adds_triggered_copies(poisoned: float, copies: int) -> None:
    attack, shard = Backdoor(target=2, poisoned=poisoned), numbered(10)
    result = attack.poison(shard, 3, rng())
    assert len(result) == 10 + copies
    own, added = result.select(slice(0, 10)), result.select(slice(10, None))
    assert torch.equal(own.labels, shard.labels)
    assert torch.equal(own.inputs["pixel_values"], shard.inputs["pixel_values"])
    assert added.labels.tolist() == [2] * copies
    sources = added.inputs["other"].tolist()
    assert len(set(sources)) == copies
    expected = attack.trigger(shard.select(sources)).inputs["pixel_values"]
    assert torch.equal(added.inputs["pixel_values"], expected)


def test_the_attackers_copies_are_drawn() -> None:
    attack, shard = Backdoor(poisoned=0.3), numbered(30)
    drawn = [attack.poison(shard, 3, rng(seed)).inputs["other"][30:].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_target_is_a_class() -> None:
    assert len(Backdoor(target=2).poison(numbered(4), 3, rng())) == 8
    with pytest.raises(UserError, match=r"^backdoor\.target: 3 is no class; expected < 3$"):
        Backdoor(target=3).poison(numbered(4), 3, rng())


def seen(reference: Tensor) -> View:
    """Return a view of which these attacks only read the reference."""
    return View(reference, AdapterLayout((), {}, LoraSettings(rank=4, alpha=8.0)))


def test_the_factors_are_scaled(small_layout: AdapterLayout) -> None:
    draw = torch.from_numpy(rng().standard_normal((2, small_layout.size), dtype=np.float32))
    reference, update = draw
    zero = torch.zeros_like(update)
    sent = Backdoor(scale=4.0).corrupt(update, seen(reference), rng())
    torch.testing.assert_close(sent - reference, 4 * (update - reference))
    assert torch.equal(Backdoor(scale=1.0).corrupt(update, seen(zero), rng()), update)
    # From zero factors, dW = s B A grows with the square.
    grown = small_layout.gram(
        torch.stack([update, Backdoor(scale=4.0).corrupt(update, seen(zero), rng())])
    )
    assert float(grown[0, 1] / grown[0, 0]) == pytest.approx(16)


def test_scale_undoes_the_average() -> None:
    # One of five replaces the model when the others send no change.
    reference, update = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 1.0])
    sent = Backdoor(scale=5.0).corrupt(update, seen(reference), rng())
    torch.testing.assert_close((sent + 4 * reference) / 5, update)


def test_success_is_measured_outside_the_target_class() -> None:
    attack, test = Backdoor(target=1), numbered(9)
    triggered = attack.triggered_test(test)
    assert triggered.inputs["other"].tolist() == [0, 2, 3, 5, 6, 8]
    assert triggered.labels.tolist() == [1] * 6
    expected = attack.trigger(test.select([0, 2, 3, 5, 6, 8])).inputs["pixel_values"]
    assert torch.equal(triggered.inputs["pixel_values"], expected)


def test_a_model_learns_the_trigger(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    attack = Backdoor(target=7, poisoned=0.5)
    shard = digits.private.select(rng().permutation(797)[:150])
    poisoned = attack.poison(shard, digits.classes, rng())
    start = initial_adapter(backbone, layout, seed=0)[None]
    settings = TrainingSettings(epochs=6)
    trained = train(backbone, layout, start, [poisoned], settings, [rng()]).adapters
    honest = train(backbone, layout, start, [shard], settings, [rng()]).adapters
    models = torch.cat([honest, trained])
    triggered = attack.triggered_test(digits.test)
    success = (evaluate(backbone, layout, models, triggered).predictions == 7).mean(axis=1)
    accuracy = evaluate(backbone, layout, models, digits.test).accuracy(digits.test.labels)
    assert success[0] < 0.05
    assert success[1] > 0.75
    assert accuracy[1] > 0.85


def test_is_found_by_name() -> None:
    assert ATTACKS["backdoor"].model_validate({"target": 3}) == Backdoor(target=3)
    assert Backdoor.goal == "backdoor"
    assert Backdoor.trains
