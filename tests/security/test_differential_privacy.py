"""Epsilon against the literature, calibration, what protections send, and DP-SGD itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout, initial_adapter
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import TrainingSettings, example_gradients, train
from fedfm_sim.security.privacy.accounting import calibrated_noise, epsilon
from fedfm_sim.security.privacy.protection import GaussianMechanism, Quantise, RandomK, TopK

seeds = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("noise", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 10])
def test_one_gaussian_by_its_closed_form(noise: float, steps: int) -> None:
    # Balle and Wang (ICML 2018), theorem 8; T releases are one of noise / sqrt T.
    spent, scale = epsilon(noise, steps, 1.0, 1e-5), noise / np.sqrt(steps)
    delta = norm.cdf(0.5 / scale - spent * scale) - np.exp(spent) * norm.cdf(
        -0.5 / scale - spent * scale
    )
    assert delta == pytest.approx(1e-5, rel=0.02)


def test_dp_sgd_of_abadi() -> None:
    # Abadi et al. (CCS 2016), section 3.2: q = 0.01, sigma = 4, T = 10,000, delta = 1e-5 cost
    # 1.26 by the moments accountant; the tighter accounting must not cost more.
    spent = epsilon(4.0, 10_000, 0.01, 1e-5)
    assert 0.9 < spent <= 1.26


def test_epsilon_is_monotone_and_knows_its_ends() -> None:
    usual = epsilon(1.0, 20, 0.1, 1e-5)
    assert epsilon(2.0, 20, 0.1, 1e-5) < usual
    assert epsilon(1.0, 40, 0.1, 1e-5) > usual
    assert epsilon(1.0, 20, 0.2, 1e-5) > usual
    assert epsilon(1.0, 20, 0.1, 1e-6) > usual
    assert epsilon(1.0, 0, 0.1, 1e-5) == 0
    assert epsilon(0.0, 1, 0.1, 1e-5) == float("inf")


@pytest.mark.parametrize("target", [0.5, 1.0, 4.0])
def test_calibration_spends_what_is_allowed(target: float) -> None:
    noise = calibrated_noise(target, 60, 0.25, 1e-4)
    assert 0.98 * target < epsilon(noise, 60, 0.25, 1e-4) <= target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1, 0.5, 1e-5), "noise multiplier"),
        ((1.0, -1, 0.5, 1e-5), "steps"),
        ((1.0, 1, 0.0, 1e-5), "sampling rate"),
        ((1.0, 1, 1.5, 1e-5), "sampling rate"),
        ((1.0, 1, 0.5, 1.0), "delta"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[float, int, float, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        epsilon(*arguments)
    with pytest.raises(UserError, match="epsilon: 0"):
        calibrated_noise(0.0, 1, 0.5, 1e-5)


def pair(seed: int, size: int = 400) -> tuple[Tensor, Tensor]:
    draws = rng(seed).standard_normal((2, size), dtype=np.float32)
    reference, update = torch.from_numpy(draws)
    return update, reference


@given(seeds, st.floats(0.1, 50))
def test_the_gaussian_mechanism_clips(seed: int, clip: float) -> None:
    update, reference = pair(seed)
    sent = GaussianMechanism(clip=clip, noise_multiplier=0.0).protect(update, reference, rng())
    length = min(clip, float((update - reference).norm()))
    assert float((sent - reference).norm()) == pytest.approx(length, rel=1e-4)
    direction = torch.cosine_similarity(sent - reference, update - reference, dim=0)
    assert float(direction) == pytest.approx(1, abs=1e-4)


def test_the_gaussian_mechanism_adds_what_it_says() -> None:
    update, reference = pair(0, 100_000)
    mechanism = GaussianMechanism(clip=2.0, noise_multiplier=1.5, participants=4)
    noise = mechanism.protect(update, reference, rng(1)) - mechanism.model_copy(
        update={"noise_multiplier": 0.0}
    ).protect(update, reference, rng(1))
    assert float(noise.std()) == pytest.approx(1.5 * 2.0 / 2, rel=0.02)


@given(seeds, st.floats(0.01, 1))
def test_compression_keeps_what_it_says(seed: int, share: float) -> None:
    update, reference = pair(seed)
    change, kept = update - reference, max(1, round(share * 400))
    top = TopK(share=share).protect(update, reference, rng()) - reference
    assert int((top != 0).sum()) == kept
    moved = change[(top != 0)].abs()
    left = change[(top == 0)].abs()
    assert not len(left) or moved.min() >= left.max() - 1e-5
    assert RandomK(share=share).size_bytes(400) == 4 * kept
    levels = Quantise(bits=3).protect(update, reference, rng()) - reference
    step = 2 * float(change.abs().max()) / 7
    steps = levels.numpy() / step + 3.5
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert -0.01 <= steps.min() <= steps.max() <= 7.01
    assert float((levels - change).abs().max()) <= step * 1.001


@pytest.mark.parametrize("protection", [RandomK(share=0.2), Quantise(bits=2)])
def test_random_compression_is_right_on_average(protection: RandomK | Quantise) -> None:
    update, reference = pair(3, 50)
    draw = rng(0)
    mean = torch.stack([protection.protect(update, reference, draw) for _ in range(4000)]).mean(0)
    assert float((mean - update).abs().max()) < 0.3
    assert torch.equal(protection.protect(reference, reference, draw), reference)


PRIVATE = TrainingSettings(
    epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.1, clip_norm=1e6, example_clip=0.5
)


def test_dp_sgd_is_the_slow_obvious_sum(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    shard = digits.private.select(slice(0, 16))
    start = initial_adapter(backbone, layout, 0)
    trained = train(backbone, layout, start[None], [shard], PRIVATE, [rng(4)]).adapters[0]
    draw, row = rng(4), start.clone()
    batches = [np.flatnonzero(draw.random(16) < 0.5) for _ in range(2)]
    for index in batches:
        each = example_gradients(backbone, layout, row, shard.select(index))
        cut = each * (0.5 / each.norm(dim=1, keepdim=True)).clamp(max=1)
        row = row - 0.1 * cut.sum(0) / 8
    assert float((trained - row).abs().max()) < 1e-5
    assert float((trained - start).abs().max()) > 1e-3


def test_one_example_that_is_no_number_does_not_show_in_dp_sgd(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    shard = digits.private.select(slice(0, 4))
    images = shard.inputs["pixel_values"].clone()
    images[0] = torch.nan
    broken = Examples({**shard.inputs, "pixel_values": images}, shard.labels)
    start = initial_adapter(backbone, layout, 0)
    settings = PRIVATE.model_copy(update={"batch_size": 4})
    moved = train(backbone, layout, start[None], [broken], settings, [rng()]).adapters[0]
    each = example_gradients(backbone, layout, start, shard.select(slice(1, 4)))
    cut = each * (0.5 / each.norm(dim=1, keepdim=True)).clamp(max=1)
    assert float((moved - (start - 0.1 * cut.sum(0) / 4)).abs().max()) < 1e-5


def test_dp_sgd_has_the_noise_it_says_and_each_its_own(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    shards = [digits.private.select(slice(0, 16)), digits.private.select(slice(16, 40))]
    starts = initial_adapter(backbone, layout, 0).repeat(2, 1)
    noisy = PRIVATE.model_copy(update={"example_noise": 50.0})
    plain, moved = (
        train(backbone, layout, starts, shards, settings, [rng(1), rng(2)]).adapters
        for settings in (PRIVATE, noisy)
    )
    # Steps: 2 for 16 examples, 3 for 24; each adds 0.1 * 50 * 0.5 / 8 times a normal.
    for row, steps in ((0, 2), (1, 3)):
        deviation = float((moved - plain)[row].std())
        assert deviation == pytest.approx(0.1 * 50 * 0.5 / 8 * steps**0.5, rel=0.05)
    assert abs(float(torch.corrcoef(moved - plain)[0, 1])) < 0.05
    alone = train(backbone, layout, starts[:1], shards[:1], noisy, [rng(1)]).adapters
    assert float((alone - moved[:1]).abs().max()) < 1e-4


@pytest.mark.slow
def test_a_protection_is_declared_and_costs_accuracy_and_bytes() -> None:
    only = [
        "rounds=2",
        "training.epochs=1",
        "contribution.every=0",
        "deviations.rounds=0",
        "sanctions.audit_rate=1",
    ]
    sections = {
        "none": 'protection="none"',
        "noise": 'protection={name="gaussian-mechanism", clip=0.2, noise_multiplier=1.0}',
        "top-k": 'protection={name="top-k", share=0.1}',
    }
    results = {
        name: fs.run("honest-only", 0, overrides=[*only, section])
        for name, section in sections.items()
    }
    after = {name: result.summary["accuracy_after"] for name, result in results.items()}
    assert after["none"] > results["none"].summary["accuracy_before"] + 0.1
    # Clipping alone would slow the learning; noise undoes what was known.
    assert after["noise"] < results["noise"].summary["accuracy_before"] - 0.1
    sent = {name: result.rounds["megabytes"][0] for name, result in results.items()}
    # Down come 4 bytes a number, up go 8 for a tenth of them: 4.8 in place of 8.
    assert sent["top-k"] / sent["none"] == pytest.approx(0.6, rel=0.01)
    for result in results.values():
        assert not result.rounds["convicted"].any()
