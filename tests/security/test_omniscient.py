"""Attacks that see the honest updates: their bounds, and what they do in a round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import fedfm_sim as fs
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.attacks import Attack, View
from fedfm_sim.security.attacks.inner_product import InnerProduct
from fedfm_sim.security.attacks.little_is_enough import LittleIsEnough, largest_z
from fedfm_sim.security.attacks.min_max import MinMax, MinSum

WIDTH = 3
LAYOUT = AdapterLayout(
    ("m",),
    {"base_model.model.m.lora_A.weight": (1, 1), "base_model.model.m.lora_B.weight": (WIDTH, 1)},
    LoraSettings(rank=1, alpha=2.0),
)
REFERENCE = torch.tensor([1.0, 0.0, 0.0, 0.0])

seeds = st.integers(0, 2**32 - 1)


def updates_at(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    b = torch.as_tensor(points, dtype=torch.float32) / 2
    return torch.cat([torch.ones(len(b), 1), b], dim=1)


def sent(
    attack: Attack, points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], attackers: int = 1
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the change (3,) that the attack sends among honest points."""
    view = View(REFERENCE, LAYOUT, updates_at(points), attackers)
    row = attack.corrupt(REFERENCE, view, np.random.default_rng(0))
    return np.asarray(changes(LAYOUT, row[None], REFERENCE)[0].numpy())


@given(seeds, st.integers(1, 8), st.integers(1, 4))
def test_inner_products_turn_the_mean_past_a_scale(seed: int, honest: int, attackers: int) -> None:
    points = np.random.default_rng(seed).normal(size=(honest, WIDTH))
    mean, limit = points.mean(0), honest / attackers
    for scale, sign in ((0.9 * limit, 1), (1.1 * limit, -1)):
        bad = np.tile(sent(InnerProduct(scale=scale), points), (attackers, 1))
        np.testing.assert_allclose(bad[0], -scale * mean, atol=1e-4)
        total = np.vstack([points, bad]).mean(0)
        assert np.sign(total @ mean) == sign


@pytest.mark.parametrize(
    ("honest", "attackers", "z"),
    # n = 5, f = 1 and n = 10, f = 2 are void; n = 50, f = 12: s = 14, z = Phi^-1(24 / 38).
    [(4, 1, 0.0), (8, 2, 0.0), (38, 12, 0.33604), (16, 4, 0.15731), (1, 3, 0.0), (2, 9, 0.0)],
)
def test_z_by_hand(honest: int, attackers: int, z: float) -> None:
    assert largest_z(honest, attackers) == pytest.approx(z, abs=1e-4)


@given(seeds, st.integers(2, 8), st.floats(0, 3))
def test_a_little_stays_within_z_deviations(seed: int, honest: int, z: float) -> None:
    points = np.random.default_rng(seed).normal(size=(honest, WIDTH))
    expected = points.mean(0) - z * points.std(0)
    np.testing.assert_allclose(sent(LittleIsEnough(z=z), points), expected, atol=1e-4)


@given(seeds, st.integers(3, 8))
def test_min_max_is_as_far_as_the_honest_are_apart(seed: int, honest: int) -> None:
    points = np.random.default_rng(seed).normal(size=(honest, WIDTH))
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    far = ((points - sent(MinMax(), points)) ** 2).sum(-1)
    assert far.max() == pytest.approx(squares.max(), rel=1e-3)
    near = ((points - sent(MinSum(), points)) ** 2).sum(-1)
    assert near.sum() == pytest.approx(squares.sum(1).max(), rel=1e-3)


@given(seeds, st.sampled_from(["deviation", "mean", "sign"]))
def test_min_max_moves_against_its_direction(seed: int, direction: str) -> None:
    points = np.random.default_rng(seed).normal(size=(5, WIDTH))
    mean = points.mean(0)
    towards = {"deviation": points.std(0), "mean": mean, "sign": np.sign(mean)}[direction]
    moved = sent(MinMax.model_validate({"direction": direction}), points) - mean
    cosine = moved @ -towards / (np.linalg.norm(moved) * np.linalg.norm(towards))
    assert cosine == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "attack", [InnerProduct(), LittleIsEnough(), MinMax(), MinSum()], ids=lambda a: type(a).__name__
)
def test_with_nobody_to_see_the_honest_update_is_sent(attack: Attack) -> None:
    update = torch.tensor([1.0, 2.0, 3.0, 4.0])
    view = View(REFERENCE, LAYOUT)
    assert torch.equal(attack.corrupt(update, view, np.random.default_rng(0)), update)


def test_honest_updates_that_agree_leave_no_room() -> None:
    points = np.tile([[1.0, 2.0, 3.0]], (4, 1))
    for attack in (MinMax(), MinSum(), LittleIsEnough(z=2.0)):
        np.testing.assert_allclose(sent(attack, points), points[0], atol=1e-5)


def test_in_a_round_attackers_see_the_honest_of_that_round_and_audits_catch_them() -> None:
    result = fs.run(
        "honest-only",
        0,
        overrides=[
            "rounds=1",
            "participants.malicious=3",
            'policies.malicious={name="fixed", action="inner-product"}',
            'action_sets.malicious=["inner-product"]',
            "sanctions.audit_rate=1",
            "sanctions.fine=1",
            "sanctions.tolerance=0.05",
            "contribution.every=0",
            "deviations.rounds=0",
        ],
    )
    table = result.participants
    bad = table["kind"] == "malicious"
    assert table.loc[bad, "convicted"].all()
    assert not table.loc[~bad, "convicted"].any()
    # Three send -5 times the mean of seven: 8 sevenths against the seven's own.
    assert result.summary["accuracy_after"] < result.summary["accuracy_before"] - 0.05
