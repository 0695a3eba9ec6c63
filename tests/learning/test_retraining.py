"""The retrained game values what a federation of the coalition alone learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedfm_sim.core.random import Streams
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.aggregation import FedAvg, Uploads
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.partitions import DataSettings, private_shards
from fedfm_sim.learning.retraining import retrained_game
from fedfm_sim.learning.trainer import TrainingSettings

ROUNDS = 2
NOISE = (0.0, 0.0, 0.9)


@pytest.fixture(scope="module")
def federation(backbone: Backbone) -> Federation:
    return Federation.create(backbone, LoraSettings(), TrainingSettings(epochs=1), seed=0)


def test_a_coalitions_value_is_that_of_its_own_federation(
    federation: Federation, digits: SplitData
) -> None:
    data = DataSettings(domains=("original",), label_noise=NOISE)
    few = digits.private.select(slice(0, 240))
    shards = private_shards(few, len(NOISE), digits.classes, data, Streams(0))
    streams = Streams(1)
    game = retrained_game(federation, shards, ROUNDS, digits.validation, streams)

    adapter = federation.initial
    for number in range(ROUNDS):
        rows = [
            federation.train(
                [shards[k]], [streams.generator("retrain", number, k)], adapter[None]
            ).adapters[0]
            for k in (0, 2)
        ]
        sizes = np.array([len(shards[0]), len(shards[2])], dtype=np.float64)
        adapter = (
            FedAvg()
            .aggregate(Uploads(torch.stack(rows), adapter, sizes, federation.layout))
            .adapter
        )
    losses = federation.evaluate(adapter[None], digits.validation).losses
    assert game.value(0, 2) == pytest.approx(-losses.mean(), abs=1e-5)

    empty = federation.evaluate(federation.initial[None], digits.validation).losses
    assert game.value() == pytest.approx(-empty.mean(), abs=1e-6)
    # The one whose labels are wrong does harm.
    assert game.value(0, 1) > game.value(0, 1, 2)
    assert game.value(0) > game.value(2)
