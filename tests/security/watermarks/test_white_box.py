"""White-box marks against the dense matrix E they stand for, and their chance distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.white_box import (
    Directions,
    directions,
    embed,
    hinge,
    read_bits,
    responses,
    unmarked_deviation,
)

seeds = st.integers(0, 2**32 - 1)


def keys(count: int, seed: int = 0, bits: int = 8) -> list[Key]:
    rng = np.random.default_rng(seed)
    return [Key.draw(str(k), rng, bits) for k in range(count)]


def adapter(layout: AdapterLayout, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=layout.size))


def dense(layout: AdapterLayout, of: Directions, key: int) -> Tensor:
    """Return E (M, N) of one key, in the order of `changes`."""
    parts = [
        torch.einsum("no,ni->noi", of.left[module][key], of.right[module][key]).flatten(1)
        for module in layout.modules
    ]
    return torch.cat(parts, dim=1).T.double()


@given(seeds)
def test_responses_are_those_of_the_dense_matrix(seed: int) -> None:
    layout = small()
    rows = torch.stack([adapter(layout, seed), adapter(layout, seed + 1)])
    of = directions(layout, keys(2, seed))
    weights = changes(layout, rows, torch.zeros(layout.size, dtype=torch.float64))
    expected = torch.stack([weights[k] @ dense(layout, of, k) for k in range(2)])
    torch.testing.assert_close(responses(layout, rows, of), expected, rtol=1e-5, atol=1e-6)
    lengths = weights.norm(dim=1) / weights.shape[1] ** 0.5
    torch.testing.assert_close(unmarked_deviation(layout, rows, of), lengths)


@given(seeds)
def test_another_gauge_has_the_same_responses(seed: int) -> None:
    layout, rng = small(), np.random.default_rng(seed)
    row = adapter(layout, seed)[None]
    of = directions(layout, keys(1, seed))
    before = responses(layout, row, of)
    turned = row.clone()
    for a, b in layout.factors(turned).values():
        q = torch.from_numpy(rng.normal(size=(2, 2)) + 3 * np.eye(2))
        a[0], b[0] = q @ a[0], b[0] @ torch.linalg.inv(q)
    assert not torch.allclose(turned, row)
    torch.testing.assert_close(responses(layout, turned, of), before, rtol=1e-6, atol=1e-6)


def test_the_hinge_is_the_gradient_of_fedipr_penalty() -> None:
    layout = small()
    rows = torch.stack([adapter(layout, k) for k in range(3)]).float()
    of = directions(layout, keys(3))
    weight, margin = 0.7, 1.5
    free = rows.clone().requires_grad_()
    weights = changes(layout, free, torch.zeros(layout.size))
    level = margin * unmarked_deviation(layout, rows, of).double()
    gaps = [level[k] - of.signs[k] * (weights[k] @ dense(layout, of, k)) for k in range(3)]
    penalty = torch.stack(gaps).clamp(min=0).sum()
    (expected,) = torch.autograd.grad(weight * penalty, [free])
    members = np.array([2, 0])  # the trainer asks for those still training, in its own order
    found = torch.ones(2, layout.size)
    hinge(layout, of, weight, margin)(rows[members], found, members)
    torch.testing.assert_close(found - 1, expected[members], rtol=1e-4, atol=1e-5)


@given(seed=seeds, margin=st.floats(0.5, 8))
@settings(max_examples=15)
def test_embedding_brings_every_bit_to_the_margin(
    layout: AdapterLayout, seed: int, margin: float
) -> None:
    row = adapter(layout, seed)
    of = directions(layout, keys(1, seed, bits=64))
    marked = embed(layout, row, of, margin)[None]
    assert read_bits(layout, marked, of).all()
    reached = responses(layout, marked, of) * of.signs / unmarked_deviation(layout, marked, of)
    assert float(reached.min()) >= 0.99 * margin


def test_embedding_changes_nothing_where_the_bits_are_there(small_layout: AdapterLayout) -> None:
    row = adapter(small_layout, 3)
    of = directions(small_layout, keys(1, bits=2))
    once = embed(small_layout, row, of, 0.5)
    assert torch.equal(embed(small_layout, once, of, 0.49), once)


def test_what_cannot_be_embedded_is_said(small_layout: AdapterLayout) -> None:
    of = directions(small_layout, keys(1, bits=64))  # 64 bits, and 22 weights
    with pytest.raises(UserError, match="64 bits do not fit"):
        embed(small_layout, adapter(small_layout, 0), of)
    with pytest.raises(UserError, match="changes nothing yet"):
        embed(small_layout, torch.zeros(small_layout.size), of)


def test_foreign_keys_read_fair_coins(layout: AdapterLayout) -> None:
    """Of 500 keys of 64 bits, hits have the mean 32 and the deviation 4 of the binomial."""
    rng = np.random.default_rng(0)
    row = torch.from_numpy(rng.normal(size=layout.size)).float()
    marked = embed(layout, row, directions(layout, keys(1, 1, 64)))
    foreign = directions(layout, keys(500, 2, 64))
    hits = read_bits(layout, marked.expand(500, -1), foreign).sum(1)
    assert abs(hits.mean() - 32) < 4 * 4 / 500**0.5
    assert 3.4 < hits.std() < 4.6
    assert hits.max() < 54  # P(Binom(64, 1/2) >= 54) = 1e-8


def small() -> AdapterLayout:
    from fedfm_sim.learning.adapters import LoraSettings

    shapes = {
        "base_model.model.one.lora_A.weight": (2, 6),
        "base_model.model.one.lora_B.weight": (5, 2),
        "base_model.model.two.lora_A.weight": (2, 5),
        "base_model.model.two.lora_B.weight": (4, 2),
    }
    return AdapterLayout(("one", "two"), shapes, LoraSettings(rank=2, alpha=3.0))
