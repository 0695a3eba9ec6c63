"""Secrets: exposure by rank, extraction, and what repetition, averaging and DP do to both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.notes import canary, encode, load_notes_split, plant
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.secrets import Exposure, exposure, extract, secrets_in

BITS = 4 * np.log2(10)


@pytest.fixture(scope="module")
def federation() -> Federation:
    settings = TrainingSettings(epochs=8, batch_size=8, learning_rate=0.01)
    return Federation.create(
        load_backbone("notes-llama"), LoraSettings(rank=8, alpha=16.0), settings, 0
    )


def trained(federation: Federation, copies: int) -> Tensor:
    shard = load_notes_split().private.select(slice(0, 60))
    shard = plant(shard, canary("anna", "4815"), copies) if copies else shard
    return federation.train([shard], [np.random.default_rng(0)]).adapters[0]


def test_what_is_repeated_is_remembered_and_told(federation: Federation) -> None:
    exposures = dict.fromkeys((0, 1, 12), 0.0)
    for copies in exposures:
        adapter = trained(federation, copies)
        exposures[copies] = exposure(federation, adapter, "anna", "4815")
        if copies == 12:
            assert extract(federation, adapter, "anna") == "4815"
            assert exposure(federation, adapter, "bruno", "9263") < 8
        if copies == 0:
            assert extract(federation, adapter, "anna") != "4815"
    assert exposures[12] == pytest.approx(BITS)
    assert exposures[0] < 6
    assert exposures[12] >= exposures[1] >= exposures[0] - 2


@pytest.mark.slow
def test_exposure_is_a_rank(federation: Federation) -> None:
    # Over all codes of a model that never saw one, exposures are those of ranks 1 to 10,000.
    codes = [f"{k:04d}" for k in np.random.default_rng(1).integers(0, 10_000, 12)]
    found = [exposure(federation, federation.adapter, "anna", code) for code in codes]
    assert all(0 <= bits <= BITS for bits in found)
    assert np.mean(found) < 4  # its mean over ranks drawn evenly is log2(e) = 1.44
    huge = torch.full_like(federation.adapter, 1e25)  # finite, and its losses are not
    assert exposure(federation, huge, "anna", "4815") == 0
    with pytest.raises(UserError, match="expected 4 digits"):
        exposure(federation, federation.adapter, "anna", "48x5")


def test_secrets_are_found_in_notes() -> None:
    shard = load_notes_split().private.select(slice(0, 10))
    both = plant(plant(shard, canary("anna", "4815"), 3), canary("hugo", "0007"), 1)
    assert secrets_in(both) == [("anna", "4815"), ("hugo", "0007")]
    assert secrets_in(shard) == []


def test_as_a_measure_of_leakage(federation: Federation) -> None:
    shard = plant(load_notes_split().private.select(slice(0, 60)), canary("anna", "4815"), 12)

    def leakage(sent: Tensor) -> float:
        others = encode(["the code of anna is 1 2 3 4"], [0])
        rng = np.random.default_rng(0)
        seen = Observation(federation, federation.adapter, sent, shard, others, others, rng)
        return Exposure().leakage(seen)

    assert leakage(trained(federation, 12)) == pytest.approx(1)
    assert leakage(trained(federation, 0)) < 0.5
    assert leakage(torch.full_like(federation.adapter, torch.nan)) < 0.5
