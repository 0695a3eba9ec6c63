"""What an update tells of class shares, and a model of what its classes look like."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.privacy import LEAKAGE
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.model_inversion import generate_class, invert_class, likeness
from fedfm_sim.security.privacy.property_inference import PropertyInference, error_avoided


@pytest.fixture(scope="module")
def federation(backbone: Backbone) -> Federation:
    return Federation.create(backbone, LoraSettings(rank=8, alpha=16.0), TrainingSettings(), 0)


def observation(federation: Federation, digits: SplitData, members: Examples) -> Observation:
    sent = federation.train([members], [np.random.default_rng(3)]).adapters[0]
    rng = np.random.default_rng(4)
    return Observation(
        federation, federation.adapter, sent, members, digits.test, digits.public, rng
    )


def test_class_shares_are_told_by_the_update(federation: Federation, digits: SplitData) -> None:
    labels, told = digits.private.labels, []
    for first in (0, 3, 6):
        members = digits.private.select(((labels == first) | (labels == first + 1)).numpy())
        seen = observation(federation, digits, members.select(slice(0, 40)))
        told.append(PropertyInference(shadows=24).leakage(seen))
    # A guess without looking, that all classes are alike, has none of the error avoided.
    assert np.mean(told) > 0.3
    even = digits.private.select(
        np.concatenate([np.flatnonzero(labels.numpy() == c)[:4] for c in range(10)])
    )
    assert PropertyInference(shadows=24).leakage(observation(federation, digits, even)) == 0


shares = st.lists(st.integers(0, 8), min_size=5, max_size=5).map(lambda n: np.array(n) / 8)


@given(shares, shares)
def test_shares_dealt_at_random_avoid_no_error_in_the_mean(guess: Array, truth: Array) -> None:
    dealt = [error_avoided(guess, np.array(own)) for own in permutations(truth)]
    assert np.mean(dealt) == pytest.approx(0, abs=1e-6)
    assert error_avoided(truth, truth) == pytest.approx(float(np.ptp(truth) > 0))


@pytest.mark.parametrize("name", sorted(set(LEAKAGE) - {"exposure"}))
def test_an_update_that_says_nothing_leaks_little(
    name: str, federation: Federation, digits: SplitData
) -> None:
    members = digits.private.select((digits.private.labels < 2).numpy()).select(slice(0, 40))
    for sent in (federation.adapter, torch.full_like(federation.adapter, torch.nan)):
        silent = Observation(
            federation,
            federation.adapter,
            sent,
            members,
            digits.test.select((digits.test.labels < 2).numpy()),
            digits.public,
            np.random.default_rng(0),
        )
        few = {"shadows": 16} if "shadows" in LEAKAGE[name].model_fields else {}
        measure = LEAKAGE[name].model_validate(few)
        assert measure.leakage(silent) < 0.35
    assert "[0, 1]" in LEAKAGE[name].unit


@pytest.mark.slow
def test_classes_are_drawn_out_of_the_model(federation: Federation, digits: SplitData) -> None:
    args = federation.backbone, federation.layout, federation.adapter
    images = [
        invert_class(*args, label, (1, 8, 8), np.random.default_rng(label)) for label in range(10)
    ]
    found = [likeness(image[None], label, digits.private) for label, image in enumerate(images)]
    assert np.mean(found) >= 0.3  # a judge that never saw the model; by chance 0.1
    own = federation.evaluate(
        federation.adapter[None],
        Examples({"pixel_values": torch.stack(images)}, torch.arange(10)),
    )
    assert own.accuracy(torch.arange(10))[0] == 1


def test_a_generator_learns_a_class_it_has_no_example_of(
    federation: Federation, digits: SplitData
) -> None:
    own = digits.private.select((digits.private.labels != 3).numpy())
    made = generate_class(
        federation.backbone,
        federation.layout,
        federation.adapter,
        3,
        own,
        np.random.default_rng(3),
    )
    assert made.shape == (16, 1, 8, 8)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert likeness(made, 3, digits.private) > 0.4
    # The judge itself knows real images.
    real = digits.test.select((digits.test.labels == 3).numpy()).inputs["pixel_values"]
    assert likeness(real, 3, digits.private) > 0.9
