"""Changes of weights as vectors, and the nearest adapter back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.low_rank import changes, fold

seeds = st.integers(0, 2**32 - 1)


def rows(layout: AdapterLayout, count: int, seed: int) -> torch.Tensor:
    draws = np.random.default_rng(seed).standard_normal((count, layout.size))
    return torch.from_numpy(draws.astype(np.float32))


def test_inner_products_are_those_of_the_gram(small_layout: AdapterLayout) -> None:
    adapters, reference = rows(small_layout, 4, 0), rows(small_layout, 1, 1)[0]
    vectors = changes(small_layout, adapters, reference)
    gram = small_layout.change_gram(adapters, reference)
    torch.testing.assert_close(vectors @ vectors.T, gram, rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(seed=seeds)
def test_what_has_the_rank_comes_back_whole(small_layout: AdapterLayout, seed: int) -> None:
    adapter, reference = rows(small_layout, 2, seed)
    change = changes(small_layout, adapter[None], reference)[0]
    folded, residual = fold(small_layout, change, reference)
    again = changes(small_layout, folded[None], reference)[0]
    torch.testing.assert_close(again, change, rtol=1e-4, atol=1e-4)
    assert residual == pytest.approx(0, abs=1e-6)


def test_the_mean_of_products_is_not_the_product_of_means(small_layout: AdapterLayout) -> None:
    adapters, reference = rows(small_layout, 6, 2), rows(small_layout, 1, 3)[0]
    exact = changes(small_layout, adapters, reference).mean(0)
    averaged = changes(small_layout, adapters.mean(0)[None], reference)[0]
    assert (averaged - exact).norm() > 0.2 * exact.norm()
    # Folding is as near as its rank allows: nearer than averaging the factors.
    folded, residual = fold(small_layout, exact, reference)
    nearest = changes(small_layout, folded[None], reference)[0]
    assert (nearest - exact).norm() <= (averaged - exact).norm()
    assert float((nearest - exact).norm() / exact.norm()) == pytest.approx(residual, rel=1e-3)


def test_no_change_of_an_untrained_adapter_can_still_learn(small_layout: AdapterLayout) -> None:
    reference = rows(small_layout, 1, 4)[0]
    for module in small_layout.modules:
        small_layout.pair(small_layout.views(reference[None]), module)[1].zero_()
    size = changes(small_layout, reference[None], reference).shape[1]
    folded, residual = fold(small_layout, torch.zeros(size), reference)
    assert residual == 0
    for a, b in small_layout.factors(folded[None]).values():
        assert (a.norm(dim=-1) > 0.1).all()
        assert not b.any()


@given(seed=seeds)
def test_folds_share_a_gauge(small_layout: AdapterLayout, seed: int) -> None:
    # B alone moves, in two ways. Folds of both changes have rows of A in one space, and one
    # turn of it, so that the mean of their factors is the mean of the changes.
    reference = rows(small_layout, 1, seed)[0]
    for module in small_layout.modules:
        a, _ = small_layout.pair(small_layout.views(reference[None]), module)
        a.copy_(2.0 * torch.linalg.qr(a[0].T)[0].T[None])
    moved = reference.repeat(2, 1)
    mask = ~small_layout.positions_of_a
    moved[:, mask] += rows(small_layout, 2, seed + 1)[:, mask]
    given = changes(small_layout, moved, reference)
    folds = torch.stack([fold(small_layout, change, reference)[0] for change in given])
    mean = changes(small_layout, folds.mean(0)[None], reference)[0]
    torch.testing.assert_close(mean, given.mean(0), atol=2e-3, rtol=1e-3)
    for a, _ in small_layout.factors(folds).values():
        lengths = a.norm(dim=2)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 2.0), rtol=1e-3, atol=1e-3)
