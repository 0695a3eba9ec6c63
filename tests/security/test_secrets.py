"""Secrets: exposure by rank, extraction, and what repetition, averaging and DP do to both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.notes import canary, encode, load_notes_split, plant
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.privacy import secrets
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.secrets import (
    Exposure,
    chance_exposure,
    exposure,
    extract,
    secrets_in,
)

BITS = 4 * np.log2(10)


@pytest.fixture(scope="module")
def federation() -> Federation:
    settings = TrainingSettings(epochs=8, batch_size=8, learning_rate=0.01)
    return Federation.create(
        load_backbone("notes-llama"), LoraSettings(rank=8, alpha=16.0), settings, 0
    )


def noted(copies: int) -> Examples:
    shard = load_notes_split().private.select(slice(0, 60))
    return plant(shard, canary("anna", "4815"), copies) if copies else shard


def trained(federation: Federation, copies: int) -> Tensor:
    return federation.train([noted(copies)], [np.random.default_rng(0)]).adapters[0]


def observed(federation: Federation, sent: Tensor, members: Examples) -> Observation:
    others = encode(["the code of anna is 1 2 3 4"], [0])
    rng = np.random.default_rng(0)
    return Observation(federation, federation.adapter, sent, members, others, others, rng)


@pytest.mark.slow
def test_what_is_repeated_is_remembered_and_told(federation: Federation) -> None:
    never, often = trained(federation, 0), trained(federation, 12)
    assert extract(federation, often, "anna") == "4815"
    assert extract(federation, never, "anna") != "4815"
    assert exposure(federation, often, "bruno", "9263") < 8
    leaked = [Exposure().leakage(observed(federation, row, noted(12))) for row in (never, often)]
    assert leaked[1] == pytest.approx(1)
    assert leaked[0] < 0.45


@pytest.mark.slow  # each exposure asks for 10,000 codes
def test_more_copies_are_remembered_better(federation: Federation) -> None:
    never, once, often = (
        exposure(federation, trained(federation, copies), "anna", "4815") for copies in (0, 1, 12)
    )
    assert often >= once > never + 2


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


def test_the_measure_is_the_largest_exposure_of_what_was_sent(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []

    def told(federation: Federation, row: Tensor, name: str, code: str) -> float:
        asked.append(row)
        return 3.0 if code == "4815" else float(BITS / 2)

    monkeypatch.setattr(secrets, "exposure", told)
    both = plant(noted(3), canary("hugo", "0007"), 1)
    sent = federation.adapter + 1
    chance = chance_exposure(2)
    expected = (BITS / 2 - chance) / (BITS - chance)
    assert Exposure().leakage(observed(federation, sent, both)) == pytest.approx(expected)
    assert all(row is sent for row in asked)
    assert Exposure().leakage(observed(federation, sent, noted(0))) == 0
    # Of an update that is no number, what it started from is asked.
    asked.clear()
    lost = torch.full_like(sent, torch.nan)
    chance = chance_exposure(1)
    expected = (3 - chance) / (BITS - chance)
    assert Exposure().leakage(observed(federation, lost, noted(3))) == pytest.approx(expected)
    assert [row is federation.adapter for row in asked] == [True]


def test_a_code_that_was_never_seen_leaks_nothing_in_the_mean() -> None:
    # The mean of log2 N - log2 k over all ranks k of N codes is log2 N - log2(N!) / N.
    mean = np.log2(10_000) - gammaln(10_001) / np.log(2) / 10_000
    assert chance_exposure(1) == pytest.approx(mean, abs=1e-9)
    ranks = np.random.default_rng(0).integers(1, 10_001, (200_000, 3)).min(1)
    assert chance_exposure(3) == pytest.approx(np.mean(np.log2(10_000 / ranks)), abs=0.02)
