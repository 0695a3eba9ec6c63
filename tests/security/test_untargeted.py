"""Sign flips and Gaussian updates act on the change of weights, and hurt a real model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fedfm_sim as fs
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.attacks import ATTACKS, View
from fedfm_sim.security.attacks.gaussian import Gaussian
from fedfm_sim.security.attacks.sign_flip import SignFlip

seeds = st.integers(0, 2**32 - 1)


def drawn(layout: AdapterLayout, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = np.random.default_rng(seed).standard_normal((2, layout.size)).astype(np.float32)
    reference, update = torch.from_numpy(draws)
    for module in layout.modules:  # an untrained reference: every change has the rank
        layout.pair(layout.views(reference[None]), module)[1].zero_()
    return reference, update


@settings(max_examples=20)
@given(seed=seeds, scale=st.floats(0.5, 5))
def test_the_change_is_flipped_and_scaled(
    small_layout: AdapterLayout, seed: int, scale: float
) -> None:
    reference, update = drawn(small_layout, seed)
    rng = np.random.default_rng(0)
    sent = SignFlip(scale=scale).corrupt(update, View(reference, small_layout), rng)
    both = changes(small_layout, torch.stack([update, sent]), reference)
    torch.testing.assert_close(both[1], -scale * both[0], rtol=1e-3, atol=1e-3)


@settings(max_examples=20)
@given(seed=seeds)
def test_noise_is_as_long_as_said_and_differs_by_draw(
    small_layout: AdapterLayout, seed: int
) -> None:
    reference, update = drawn(small_layout, seed)
    view = View(reference, small_layout)
    sent = [
        Gaussian(scale=2.0).corrupt(update, view, np.random.default_rng(draw)) for draw in (0, 0, 1)
    ]
    assert torch.equal(sent[0], sent[1])
    assert not torch.equal(sent[0], sent[2])
    assert float((sent[0] - reference).norm() / (update - reference).norm()) == pytest.approx(2)
    # The direction owes nothing to the honest one.
    cosines = [
        torch.cosine_similarity(row - reference, update - reference, dim=0) for row in sent[1:]
    ]
    assert max(abs(float(c)) for c in cosines) < 0.9


@pytest.mark.parametrize("attack", ["sign-flip", pytest.param("gaussian", marks=pytest.mark.slow)])
def test_undefended_it_undoes_the_learning_and_the_median_holds(attack: str) -> None:
    overrides = [
        "rounds=2",
        "training.epochs=1",
        "participants.malicious=3",
        f'policies.malicious={{name="fixed", action="{attack}"}}',
        f'action_sets.malicious=["{attack}"]',
        "sanctions.audit_rate=0",
        "contribution.every=0",
        "deviations.rounds=0",
    ]
    undefended, defended = (
        fs.run("honest-only", 0, overrides=[*overrides, f"defence={name}"]).summary
        for name in ("fedavg", "median")
    )
    before = undefended["accuracy_before"]
    gained, lost = defended["accuracy_after"] - before, undefended["accuracy_after"] - before
    assert gained > 0.08
    assert lost < -0.05


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_what_is_known_and_where_it_was_published_is_said(name: str) -> None:
    kind = ATTACKS[name]
    assert kind.knowledge
    assert any(character.isdigit() for character in kind.source)
