"""The row-space test on matrices, and on real gradients of a language model's adapter."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from fedfm_sim.learning.adapters import LoraSettings, adapter_layout, initial_adapter
from fedfm_sim.learning.backbone import freeze
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import example_gradients
from fedfm_sim.security.privacy.row_space import (
    recovered_share,
    row_space_distances,
    tokens_from_a,
    tokens_from_b,
)

seeds = st.integers(0, 2**32 - 1)
RANK, WIDTH, VOCABULARY = 6, 24, 60


@given(seeds, st.integers(1, 9))
def test_on_matrices_it_tells_all_or_nothing(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(VOCABULARY, WIDTH), (RANK, WIDTH), (30, RANK), (count, 30)]
    embeddings, a, b, outward = (torch.from_numpy(rng.normal(size=size)) for size in sizes)
    present = np.sort(rng.permutation(VOCABULARY)[:count])
    inputs = embeddings[torch.from_numpy(present)]
    # In double precision a word not present is nearer than 1e-9 in one of 10^7 cases.
    from_a = tokens_from_a(b.T @ outward.T @ inputs, embeddings, tolerance=1e-9)
    assert from_a.tolist() == (present.tolist() if count <= RANK else [])
    from_b = tokens_from_b(outward.T @ (inputs @ a.T), a, embeddings, tolerance=1e-9)
    assert from_b.tolist() == (present.tolist() if count < RANK else [])


def test_no_gradient_and_a_full_space_tell_nothing() -> None:
    vectors = torch.eye(3)
    assert row_space_distances(torch.zeros(2, 3), vectors).tolist() == [1, 1, 1]
    assert row_space_distances(torch.eye(3), vectors).tolist() == [1, 1, 1]
    inside = row_space_distances(torch.tensor([[1.0, 0, 0], [0, 1, 0]]), vectors)
    np.testing.assert_allclose(inside, [0, 0, 1], atol=1e-9)
    half = row_space_distances(torch.tensor([[1.0, 0, 0]]), torch.tensor([[1.0, 1, 0]]))
    assert float(half[0]) == pytest.approx(0.5**0.5)


def test_shares_by_hand() -> None:
    ids = np.array([1, 2, 3, 4])
    assert recovered_share(ids, ids, 60) == 1
    assert recovered_share(np.array([1, 2]), ids, 60) == 0.5
    assert recovered_share(np.array([1, 9]), ids, 60) == 1 / 4 - 1 / 56
    assert recovered_share(np.array([], dtype=np.int64), ids, 60) == 0
    assert recovered_share(np.arange(60), ids, 60) == 0  # all is no answer
    # Of all answers of two tokens of six, the mean knows nothing.
    guesses = [np.array(pair) for pair in combinations(range(6), 2)]
    mean = np.mean([recovered_share(guess, np.array([1, 4, 5]), 6) for guess in guesses])
    assert mean == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("count", [3, 5, 8])
@pytest.mark.parametrize("trained", [False, True])
def test_on_a_language_model(count: int, trained: bool) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )
    backbone = freeze("tiny", model)
    lora = LoraSettings(rank=RANK, alpha=12.0, targets=("q_proj", "v_proj"))
    layout = adapter_layout(backbone, lora)
    adapter = initial_adapter(backbone, layout, 0)
    if trained:
        adapter = adapter + 0.05 * torch.randn(adapter.shape)
    rng = np.random.default_rng(count)
    present = np.sort(rng.permutation(VOCABULARY)[:count])
    tokens = torch.from_numpy(rng.permutation(np.concatenate([present, present]))[None])
    text = Examples({"input_ids": tokens}, tokens.clone())
    gradient = example_gradients(backbone, layout, adapter, text)
    module = "model.layers.0.self_attn.v_proj"
    grad_a, grad_b = (part[0] for part in layout.pair(layout.views(gradient), module))
    a = layout.pair(layout.views(adapter[None]), module)[0][0]
    with torch.no_grad():
        first = model.model.layers[0].input_layernorm
        embeddings = first(model.model.embed_tokens.weight)
    from_a = tokens_from_a(grad_a, embeddings)
    from_b = tokens_from_b(grad_b, a, embeddings)
    told = [recovered_share(found, present, VOCABULARY) for found in (from_a, from_b)]
    assert told == [int(trained and count <= RANK), int(count < RANK)]
