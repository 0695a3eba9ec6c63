"""The retrained game values what a federation of the coalition alone learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fedfm_sim as fs
from fedfm_sim.learning.aggregation import FedAvg, Uploads
from fedfm_sim.simulation.coalitions import retrained_game, train_coalitions
from fedfm_sim.simulation.result import RunResult
from fedfm_sim.simulation.setting import Setting

NOISY = [
    "participants.count=3",
    "rounds=2",
    "training.epochs=1",
    "data.label_noise=[0.0, 0.0, 0.9]",
    'data.domains=["original"]',
    "contribution.every=0",
    "deviations.rounds=0",
]


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting.create(fs.load_scenario("honest-only", NOISY), 1)


def test_a_coalitions_value_is_that_of_its_own_federation(setting: Setting) -> None:
    game, federation = retrained_game(setting), setting.federation
    shards, validation = setting.holdings.shards, setting.holdings.validation
    adapter = federation.initial
    for number in range(2):
        rows = [
            federation.train(
                [shards[k]], [setting.streams.generator("train", number, k)], adapter[None]
            ).adapters[0]
            for k in (0, 2)
        ]
        sizes = np.array([len(shards[0]), len(shards[2])], dtype=np.float64)
        uploads = Uploads(torch.stack(rows), adapter, sizes, federation.layout)
        adapter = FedAvg().aggregate(uploads).adapter
    losses = federation.evaluate(adapter[None], validation).losses
    assert game.value(0, 2) == pytest.approx(-losses.mean(), abs=1e-5)
    empty = federation.evaluate(federation.initial[None], validation).losses
    assert game.value() == pytest.approx(-empty.mean(), abs=1e-6)
    # The one whose labels are wrong does harm.
    assert game.value(0, 1) > game.value(0, 1, 2)
    assert game.value(0) > game.value(2)
    assert torch.equal(federation.adapter, federation.initial)


@pytest.mark.parametrize("defence", ["fedavg", "fltrust", "centred-clipping"])
def test_the_grand_coalition_is_the_run_itself(defence: str) -> None:
    overrides = [*NOISY, f"defence={defence}"]
    run = fs.run("honest-only", seed=4, overrides=overrides)
    assert isinstance(run, RunResult)
    setting = Setting.create(fs.load_scenario("honest-only", overrides), 4)
    adapters = train_coalitions(setting, np.ones((1, 3), dtype=np.bool_))
    assert torch.equal(adapters[0], run.adapter)
