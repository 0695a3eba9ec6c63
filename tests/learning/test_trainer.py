"""The batched trainer is the loop over plain peft, faster, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from fedfm_sim.learning import reference
from fedfm_sim.learning.adapters import (
    AdapterLayout,
    LoraSettings,
    adapter_layout,
    initial_adapter,
)
from fedfm_sim.learning.backbone import Backbone, freeze
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import (
    StackedLinear,
    Trained,
    TrainingSettings,
    batch_plan,
    stacked,
    train,
)

VOCABULARY, LENGTH = 31, 7


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(k) for k in range(count)]


def random_starts(layout: AdapterLayout, count: int, seed: int = 0) -> Tensor:
    """Return unequal adapters with neither factor zero, so that both get gradients."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(0.1 * rng.standard_normal((count, layout.size), dtype=np.float32))


def shards_of(examples: Examples, sizes: list[int]) -> list[Examples]:
    ends = np.cumsum(sizes)
    return [
        examples.select(slice(int(end) - size, int(end)))
        for size, end in zip(sizes, ends, strict=True)
    ]


def assert_same(batched: Trained, plain: Trained, layout: AdapterLayout) -> None:
    expected = layout.views(plain.adapters)
    for name, tensor in layout.views(batched.adapters).items():
        assert (tensor - expected[name]).abs().max() <= 1e-5, name
    np.testing.assert_allclose(batched.losses, plain.losses, atol=1e-5, equal_nan=True)
    np.testing.assert_array_equal(batched.samples, plain.samples)


SETTINGS = {
    "adamw": TrainingSettings(epochs=3, batch_size=4),
    "adamw with decay": TrainingSettings(
        epochs=2, batch_size=4, learning_rate=1e-2, weight_decay=0.5
    ),
    "sgd": TrainingSettings(epochs=3, batch_size=4, learning_rate=0.1, optimizer="sgd"),
    "sgd clipped": TrainingSettings(
        epochs=2, batch_size=4, learning_rate=0.5, optimizer="sgd", clip_norm=0.05
    ),
    "proximal": TrainingSettings(epochs=2, batch_size=4, proximal=0.5, weight_decay=0.1),
    "frozen A": TrainingSettings(epochs=2, batch_size=4, freeze_a=True, weight_decay=0.5),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_equals_the_loop_over_peft(
    name: str, backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    starts = random_starts(layout, 5)
    shards = shards_of(digits.private, [10, 0, 1, 13, 4])
    batched = train(backbone, layout, starts, shards, SETTINGS[name], generators(5))
    plain = reference.train(backbone, layout, starts, shards, SETTINGS[name], generators(5))
    assert_same(batched, plain, layout)
    moved = (batched.adapters - starts).abs().amax(1)
    assert (moved[[0, 2, 3, 4]] > 1e-3).all()
    assert torch.equal(batched.adapters[1], starts[1])
    assert np.isnan(batched.losses[1])
    np.testing.assert_array_equal(
        batched.samples, np.array([10, 0, 1, 13, 4]) * SETTINGS[name].epochs
    )


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


PRIVATE = TrainingSettings(epochs=2, batch_size=4, example_clip=1.0, example_noise=1.0)


@pytest.mark.parametrize("chosen", [SETTINGS["adamw"], SETTINGS["frozen A"], PRIVATE])
@pytest.mark.usefixtures("two_threads")
def test_in_two_lanes_everybody_trains_as_in_one(
    chosen: TrainingSettings, backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    sizes = [10, 0, 1, 13, 4, 4, 7, 9, 12, 2, 3, 5, 8, 11, 6, 1, 0]
    starts = random_starts(layout, len(sizes))
    shards = shards_of(digits.private, sizes)
    told: dict[int, int] = {}

    def adjust(rows: Tensor, gradients: Tensor, members: np.ndarray) -> None:
        for row, member in enumerate(members):
            told[int(member)] = told.get(int(member), 0) + 1
            gradients[row] += 0.01 * int(member) * rows[row]

    def made() -> Trained:
        drawn = generators(len(sizes))
        return train(backbone, layout, starts, shards, chosen, drawn, adjust)

    two, again = made(), made()
    steps, threads = dict(told), torch.get_num_threads()
    torch.set_num_threads(1)
    one = made()
    assert threads == 2  # lanes leave the setting as it was
    assert torch.equal(two.adapters, again.adapters)
    assert_same(two, one, layout)
    assert steps == {k: 2 * chosen.epochs * -(-size // 4) for k, size in enumerate(sizes) if size}


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_lane_is_raised_and_leaves_the_threads(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    shards = shards_of(digits.private, [4] * 16)
    starts = random_starts(layout, 16)
    with pytest.raises(ZeroDivisionError):
        train(backbone, layout, starts, shards, SETTINGS["sgd"], generators(16), fails)
    assert torch.get_num_threads() == 2
    assert not any(isinstance(m, StackedLinear) for m in backbone.model.modules())


@settings(max_examples=12)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    batch_size=st.integers(1, 8),
    epochs=st.integers(1, 2),
    optimizer=st.sampled_from(["adamw", "sgd"]),
)
def test_equals_the_loop_over_peft_for_any_shard_sizes(
    sizes: list[int],
    batch_size: int,
    epochs: int,
    optimizer: str,
    backbone: Backbone,
    digits: SplitData,
) -> None:
    layout = adapter_layout(backbone, LoraSettings(rank=2, targets=("q_proj", "fc2")))
    chosen = TrainingSettings.model_validate(
        {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer}
    )
    starts = random_starts(layout, len(sizes))
    shards = shards_of(digits.private, sizes)
    batched = train(backbone, layout, starts, shards, chosen, generators(len(sizes)))
    plain = reference.train(backbone, layout, starts, shards, chosen, generators(len(sizes)))
    assert_same(batched, plain, layout)


def bert() -> Backbone:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        num_labels=3,
    )
    return freeze("bert", BertForSequenceClassification(config))


def llama() -> Backbone:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        max_position_embeddings=16,
    )
    return freeze("llama", LlamaForCausalLM(config))


def texts(count: int, causal: bool) -> Examples:
    """Return padded token sequences with classes, or with their own tokens, as labels."""
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(0, VOCABULARY, (count, LENGTH)))
    lengths = torch.from_numpy(rng.integers(3, LENGTH + 1, count))
    mask = (torch.arange(LENGTH) < lengths[:, None]).long()
    labels = torch.from_numpy(rng.integers(0, 3, count))
    if causal:
        labels = tokens.masked_fill(mask == 0, -100)
    return Examples({"input_ids": tokens, "attention_mask": mask}, labels)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("causal", [False, True], ids=["bert", "llama"])
def test_equals_the_loop_over_peft_on_language_models(name: str, causal: bool) -> None:
    backbone = llama() if causal else bert()
    layout = adapter_layout(backbone, LoraSettings(rank=2, alpha=8.0))
    starts = random_starts(layout, 4)
    shards = shards_of(texts(15, causal), [5, 1, 0, 9])
    batched = train(backbone, layout, starts, shards, SETTINGS[name], generators(4))
    plain = reference.train(backbone, layout, starts, shards, SETTINGS[name], generators(4))
    assert_same(batched, plain, layout)
    assert ((batched.adapters - starts).abs().amax(1)[[0, 1, 3]] > 1e-3).all()


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_participant_does_not_depend_on_its_company(
    name: str, backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    starts = random_starts(layout, 6)
    shards = shards_of(digits.private, [10, 3, 1, 16, 0, 7])
    together = train(backbone, layout, starts, shards, SETTINGS[name], generators(6))
    for company in ([0], [3], [5, 1], [2, 4, 0]):
        apart = train(
            backbone,
            layout,
            starts[company],
            [shards[k] for k in company],
            SETTINGS[name],
            [generators(6)[k] for k in company],
        )
        assert (apart.adapters - together.adapters[company]).abs().max() <= 1e-6
        np.testing.assert_allclose(apart.losses, together.losses[company], atol=1e-6)


def test_bad_numbers_stay_with_their_owner(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    starts = random_starts(layout, 3)
    shards = shards_of(digits.private, [6, 6, 6])
    clean = train(backbone, layout, starts, shards, SETTINGS["adamw"], generators(3))
    broken = Examples({"pixel_values": torch.full((6, 1, 8, 8), torch.nan)}, shards[1].labels)
    dirty = train(
        backbone, layout, starts, [shards[0], broken, shards[2]], SETTINGS["adamw"], generators(3)
    )
    assert torch.equal(dirty.adapters[[0, 2]], clean.adapters[[0, 2]])
    assert torch.isnan(dirty.adapters[1]).any()
    assert np.isnan(dirty.losses).tolist() == [False, True, False]


def test_is_deterministic_and_leaves_its_input_alone(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    starts = random_starts(layout, 3)
    before = starts.clone()
    shards = shards_of(digits.private, [9, 5, 2])
    first, second = (
        train(backbone, layout, starts, shards, TrainingSettings(), generators(3)) for _ in range(2)
    )
    assert torch.equal(first.adapters, second.adapters)
    np.testing.assert_array_equal(first.losses, second.losses)
    assert torch.equal(starts, before)


def test_the_first_step_of_adamw_decays_and_follows_the_sign(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    # At B = 0 the gradient of A is exactly 0, so A only decays, by 1 - 0.1 * 0.2.
    # A first Adam step is lr * g / (|g| + eps), just below lr where g >> eps.
    start = initial_adapter(backbone, layout, seed=0)[None]
    chosen = TrainingSettings(epochs=1, batch_size=8, learning_rate=0.1, weight_decay=0.2)
    shards = shards_of(digits.private, [8])
    after = layout.factors(train(backbone, layout, start, shards, chosen, generators(1)).adapters)
    for module, (a, b) in layout.factors(start).items():
        torch.testing.assert_close(after[module][0], a * 0.98, rtol=1e-6, atol=0)
        assert not b.any()
        assert (after[module][1].abs() < 0.1).all()
    assert after["classifier"][1].abs().median() == pytest.approx(0.1, rel=0.01)


def test_sgd_moves_by_the_clipped_norm(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    start = random_starts(layout, 2)
    chosen = TrainingSettings(
        epochs=1, batch_size=8, learning_rate=10.0, optimizer="sgd", clip_norm=0.01
    )
    after = train(
        backbone, layout, start, shards_of(digits.private, [8, 5]), chosen, generators(2)
    ).adapters
    np.testing.assert_allclose((after - start).norm(dim=1), [0.1, 0.1], rtol=1e-3)


def test_no_participants(backbone: Backbone, layout: AdapterLayout) -> None:
    trained = train(backbone, layout, torch.empty(0, layout.size), [], TrainingSettings(), [])
    assert trained.adapters.shape == (0, layout.size)
    assert trained.losses.shape == trained.samples.shape == (0,)


def snapshot(backbone: Backbone) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}


def assert_untouched(backbone: Backbone, before: dict[str, Tensor]) -> None:
    assert not any(isinstance(module, StackedLinear) for module in backbone.model.modules())
    after = backbone.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not any(p.requires_grad or p.grad is not None for p in backbone.model.parameters())


def test_leaves_the_backbone_as_it_was(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    before = snapshot(backbone)
    with stacked(backbone, layout):
        assert sum(isinstance(m, StackedLinear) for m in backbone.model.modules()) == 19
    shards = shards_of(digits.private, [6, 3])
    train(backbone, layout, random_starts(layout, 2), shards, TrainingSettings(), generators(2))
    assert_untouched(backbone, before)


def test_leaves_the_backbone_as_it_was_after_an_error(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    before = snapshot(backbone)
    with pytest.raises(LookupError), stacked(backbone, layout):
        raise LookupError
    assert_untouched(backbone, before)
    # An unknown class raises in the middle of a step.
    wrong = Examples(digits.private.select(slice(0, 4)).inputs, torch.full((4,), 99))
    with pytest.raises(IndexError):
        train(
            backbone, layout, random_starts(layout, 1), [wrong], TrainingSettings(), generators(1)
        )
    assert_untouched(backbone, before)
    # A layout of another model raises while the layers are being put in.
    foreign = AdapterLayout(("classifier", "no.such.layer"), layout.shapes, layout.settings)
    with pytest.raises(AttributeError), stacked(backbone, foreign):
        pass
    assert_untouched(backbone, before)


@given(
    count=st.integers(0, 50),
    batch_size=st.integers(1, 20),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_a_plan_goes_through_all_examples_once_an_epoch(
    count: int, batch_size: int, epochs: int, seed: int
) -> None:
    chosen = TrainingSettings(epochs=epochs, batch_size=batch_size)
    plan = batch_plan(count, chosen, np.random.default_rng(seed))
    per_epoch = -(-count // batch_size)
    assert len(plan) == epochs * per_epoch
    assert all(len(batch) <= batch_size for batch in plan)
    for epoch in range(epochs if count else 0):
        batches = plan[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(np.concatenate(batches).tolist()) == list(range(count))
        assert all(len(batch) == batch_size for batch in batches[:-1])


def test_a_plan_is_shuffled_anew_each_epoch() -> None:
    def flat(seed: int) -> list[int]:
        plan = batch_plan(40, TrainingSettings(epochs=2), np.random.default_rng(seed))
        drawn: list[int] = np.concatenate(plan).tolist()
        return drawn

    first = flat(0)
    assert first[:40] != first[40:]
    assert first[:40] != sorted(first[:40])
    assert first == flat(0) != flat(1)
