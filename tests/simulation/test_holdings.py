"""Who holds what, and what membership inference compares it with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fedfm_sim as fs
from fedfm_sim.core.random import Streams
from fedfm_sim.simulation.holdings import Holdings


def dealt(*overrides: str) -> Holdings:
    scenario = fs.load_scenario("honest-only", overrides=["participants.count=4", *overrides])
    return Holdings.deal(scenario, Streams(3, "test"))


def test_non_members_are_labelled_as_the_participant_would() -> None:
    holdings = dealt("data.label_noise=[0.0, 0.4]", "data.concept_shift=0.25")
    for k, (truth, others) in enumerate(zip(holdings.held_out, holdings.others, strict=True)):
        assert torch.equal(truth.inputs["pixel_values"], others.inputs["pixel_values"])
        labels = truth.labels + (k == 3)  # the last one reads every label as the next class
        wrong = float((labels % 10 != others.labels).float().mean())
        assert wrong == pytest.approx([0.0, 0.4][k % 2], abs=0.005)


def test_non_members_drift_and_do_not_arrive() -> None:
    holdings = dealt("data.drift=true", "data.arrival=gradual", "rounds=4")
    plain = holdings.data.test.inputs["pixel_values"]
    own = holdings.others[1].inputs["pixel_values"]
    for number in range(4):
        found = holdings.others_at(1, number).inputs["pixel_values"]
        np.testing.assert_allclose(found, torch.lerp(plain, own, (number + 1) / 4), atol=1e-6)
    assert holdings.others_at(0, 0).labels is holdings.others[0].labels
