"""Aggregating products: exact means, how far averaged factors stray, stacks, a frozen A."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.aggregation import FedAvg, Uploads
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.learning.product_aggregation import Exact, FrozenA, astray, stack
from fedfm_sim.learning.proximal import FedProx
from fedfm_sim.learning.trainer import TrainingSettings

seeds = st.integers(0, 2**32 - 1)


def uploads(layout: AdapterLayout, count: int, seed: int) -> Uploads:
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(rng.standard_normal((count + 1, layout.size), dtype=np.float32))
    return Uploads(rows[1:], rows[0], rng.integers(1, 9, count).astype(float), layout)


def mean_change(given: Uploads) -> Tensor:
    return torch.from_numpy(given.samples / given.samples.sum()) @ given.changes


def test_astray_by_hand() -> None:
    # A = B = 1 and A = B = 3 of one number, scaling 1: mean of products 5, of factors 2 * 2.
    shapes = {
        "base_model.model.m.lora_A.weight": (1, 1),
        "base_model.model.m.lora_B.weight": (1, 1),
    }
    layout = AdapterLayout(("m",), shapes, LoraSettings(rank=1, alpha=1.0))
    updates = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    halves = np.array([0.5, 0.5])
    assert astray(layout, updates, torch.zeros(2), halves) == pytest.approx(1 / 5)
    exact = Exact().aggregate(Uploads(updates, torch.zeros(2), halves, layout)).adapter
    assert float(exact[0] * exact[1]) == pytest.approx(5, abs=1e-5)


@given(seeds, st.integers(1, 5))
def test_exact_is_nearest_to_the_mean_of_products(
    small_layout: AdapterLayout, seed: int, count: int
) -> None:
    given = uploads(small_layout, count, seed)
    result, wanted = Exact().aggregate(given), mean_change(given)
    change = changes(small_layout, result.adapter[None], given.reference)[0]
    lost = float((change - wanted).norm() / wanted.norm())
    assert lost == pytest.approx(result.residual, abs=1e-4)
    averaged = changes(small_layout, FedAvg().aggregate(given).adapter[None], given.reference)[0]
    assert lost <= float((averaged - wanted).norm() / wanted.norm()) + 1e-5


@given(seeds, st.integers(1, 5))
def test_a_stack_is_the_mean_of_products(
    small_layout: AdapterLayout, seed: int, count: int
) -> None:
    given = uploads(small_layout, count, seed)
    shares = given.samples / given.samples.sum()
    layout, adapter = stack(small_layout, given.updates, shares)
    assert layout.settings.rank == count * small_layout.settings.rank
    assert layout.scaling == pytest.approx(small_layout.scaling)
    nothing = torch.zeros(small_layout.size)
    wanted = torch.from_numpy(shares) @ changes(small_layout, given.updates, nothing)
    product = changes(layout, adapter[None], torch.zeros(layout.size))[0]
    torch.testing.assert_close(product, wanted, atol=1e-4, rtol=1e-4)


def test_with_a_frozen_factors_average_exactly(backbone: Backbone, digits: SplitData) -> None:
    lora, plain = LoraSettings(rank=2, alpha=4.0), TrainingSettings(epochs=1, weight_decay=0.1)
    strays = {}
    for name, settings in (("all", plain), ("frozen", FrozenA().prescribe(plain))):
        federation = Federation.create(backbone, lora, settings, 0)
        shards = [digits.private.select(slice(60 * k, 60 * k + 60)) for k in range(3)]
        rows = federation.train(shards, [np.random.default_rng(k) for k in range(3)]).adapters
        frozen = federation.layout.positions_of_a
        assert torch.equal(rows[:, frozen], federation.adapter[frozen].expand(3, -1)) == (
            name == "frozen"
        )
        assert not torch.equal(rows[:, ~frozen], federation.adapter[~frozen].expand(3, -1))
        strays[name] = astray(federation.layout, rows, federation.adapter, np.full(3, 1 / 3))
    assert strays["frozen"] < 1e-6
    assert strays["all"] > 0.01


def test_the_proximal_term_holds_training_back(backbone: Backbone, digits: SplitData) -> None:
    shard, lengths = digits.private.select(slice(0, 64)), []
    for mu in (None, 1.0, 100.0):
        base = TrainingSettings(epochs=3, optimizer="sgd", learning_rate=0.01)
        settings = FedProx(proximal=mu).prescribe(base) if mu else base
        federation = Federation.create(backbone, LoraSettings(rank=2, alpha=8.0), settings, 0)
        row = federation.train([shard], [np.random.default_rng(0)]).adapters[0]
        lengths.append(float((row - federation.adapter).norm()))
    assert lengths[0] > lengths[1] > 1.5 * lengths[2] > 0
