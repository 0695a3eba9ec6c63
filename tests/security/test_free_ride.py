"""Free riders send the global adapter back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.security.attacks import ATTACKS, View
from fedfm_sim.security.attacks.free_ride import FreeRide

SIZE = 20_000


def seen(reference: Tensor) -> View:
    """Return a view of which these attacks only read the reference."""
    return View(reference, AdapterLayout((), {}, LoraSettings(rank=4, alpha=8.0)))


@pytest.fixture(scope="module")
def reference() -> Tensor:
    return torch.from_numpy(3 * np.random.default_rng(0).standard_normal(SIZE, dtype=np.float32))


def sent(attack: FreeRide, update: Tensor, reference: Tensor, seed: int = 0) -> Tensor:
    return attack.corrupt(update, seen(reference), np.random.default_rng(seed))


def test_without_disguise_it_is_the_global_adapter(reference: Tensor) -> None:
    assert torch.equal(sent(FreeRide(disguise=0), torch.ones(SIZE), reference), reference)


@pytest.mark.parametrize("disguise", [0.05, 0.5])
def test_the_disguise_has_its_size(disguise: float, reference: Tensor) -> None:
    noise = sent(FreeRide(disguise=disguise), reference, reference) - reference
    # Entries of the global adapter have standard deviation 3.
    assert float(noise.std()) == pytest.approx(disguise * 3, rel=0.03)
    assert abs(float(noise.mean())) < 4 * disguise * 3 / SIZE**0.5


def test_what_was_trained_is_not_sent(reference: Tensor) -> None:
    attack = FreeRide()
    given = [sent(attack, update, reference) for update in (reference, torch.zeros(SIZE))]
    assert torch.equal(given[0], given[1])
    assert not torch.equal(sent(attack, reference, reference, seed=1), given[0])


def test_does_no_work() -> None:
    assert ATTACKS["free-ride"]() == FreeRide(disguise=0.05)
    assert not FreeRide.trains
    assert FreeRide.goal == "save-effort"
