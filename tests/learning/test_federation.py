"""A federation: it learns, its round games value what they say, and work is counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.core.random import Streams
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.aggregation import FedAvg, Uploads
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import evaluate
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.partitions import DataSettings, across_domains, private_shards
from fedfm_sim.learning.trainer import TrainingSettings


@pytest.fixture(scope="module")
def shards(digits: SplitData) -> list[Examples]:
    few = digits.private.select(slice(0, 300))
    return private_shards(few, 5, digits.classes, DataSettings(), Streams(0))


@pytest.fixture(scope="module")
def mixed(digits: SplitData) -> Examples:
    return across_domains(digits.test, DataSettings().domains, np.random.default_rng(0))


@pytest.fixture
def federation(backbone: Backbone) -> Federation:
    return Federation.create(backbone, LoraSettings(rank=4, alpha=8.0), TrainingSettings(), seed=0)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(k) for k in range(count)]


def accuracy(federation: Federation, adapter: Tensor, examples: Examples) -> float:
    return float(federation.evaluate(adapter[None], examples).accuracy(examples.labels)[0])


def test_rounds_of_fedavg_raise_accuracy(
    federation: Federation, shards: list[Examples], mixed: Examples
) -> None:
    start = accuracy(federation, federation.adapter, mixed)
    sizes = np.array([len(shard) for shard in shards], dtype=np.float64)
    for number in range(8):
        streams = Streams(number)
        trained = federation.train(shards, [streams.generator(k) for k in range(5)])
        federation.adapter = (
            FedAvg()
            .aggregate(Uploads(trained.adapters, federation.adapter, sizes, federation.layout))
            .adapter
        )
    assert start < 0.6
    assert accuracy(federation, federation.adapter, mixed) > start + 0.2


def test_training_starts_from_the_global_adapter(
    federation: Federation, shards: list[Examples]
) -> None:
    empty = shards[0].select(slice(0, 0))
    trained = federation.train([empty, empty], generators(2))
    assert torch.equal(trained.adapters, federation.adapter.repeat(2, 1))
    starts = torch.stack([federation.adapter, 2 * federation.adapter])
    assert torch.equal(federation.train([empty, empty], generators(2), starts).adapters, starts)


@pytest.mark.parametrize("measure", ["accuracy", "likelihood"])
def test_round_game_by_definition(
    measure: str, federation: Federation, shards: list[Examples], mixed: Examples
) -> None:
    federation.settings = TrainingSettings(learning_rate=2e-2)
    updates = federation.train(shards[:4], generators(4)).adapters
    updates[3] = federation.adapter
    samples = np.array([60.0, 60.0, 30.0, 0.0])
    result = FedAvg().aggregate(Uploads(updates, federation.adapter, samples, federation.layout))

    def measured(adapter: Tensor) -> float:
        found = evaluate(federation.backbone, federation.layout, adapter[None], mixed)
        if measure == "accuracy":
            return float((found.predictions[0] == mixed.labels.numpy()).mean())
        return -float(found.losses[0].astype(np.float64).mean())

    game = federation.round_game(updates, result.weights, mixed, measure)
    # An image between two classes may fall either way by rounding.
    near = 1.5 / len(mixed) if measure == "accuracy" else 1e-5
    assert game.players == 4
    assert game.value() == pytest.approx(measured(federation.adapter), abs=near)
    assert game.value(0, 1, 2, 3) == pytest.approx(measured(result.adapter), abs=near)
    for player in range(3):
        assert game.value(player) == pytest.approx(measured(updates[player]), abs=near)
    pair = (2 * updates[0] + updates[2]) / 3
    assert game.value(0, 2) == pytest.approx(measured(pair), abs=near)
    assert len(np.unique(game.table().round(4))) >= 7
    # Who sent nothing changes nothing.
    table = game.table()
    np.testing.assert_allclose(table[8:], table[:8], atol=near)


def test_training_flops_by_hand(federation: Federation, digits: SplitData) -> None:
    # Per example, 17 rows of width 48; see the test of the forward pass.
    forward = federation.backbone.forward_flops(digits.private)
    linear = 3 * (4 * 2 * 17 * 48 * 48 + 2 * 2 * 17 * 48 * 96) + 2 * 48 * 10
    attention = 3 * 2 * 2 * 17 * 17 * 48
    # An adapter of rank 4 adds 2 rows 4 (in + out).
    adapters = 3 * 2 * 17 * 4 * (4 * (48 + 48) + 2 * (48 + 96)) + 2 * 4 * (48 + 10)
    # Backwards, frozen layers give the gradient of their input only; attention
    # and adapters that of both factors. The first block's query, key and value
    # have no trained layer below them, so theirs is left out.
    nothing_below = 3 * (2 * 17 * 48 * 48 + 2 * 17 * 4 * 48)
    backward = linear + 2 * attention + 2 * adapters - nothing_below
    expected = forward + adapters + backward
    assert federation.training_flops(digits.private) == expected
    assert federation.training_flops(digits.private) == expected
