"""What a participant can send and what of it reaches an aggregate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import FedAvg, Uploads
from fedfm_sim.learning.quarantine import LARGEST_ENTRY, inspect_upload, receive
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.defences.multi_krum import MultiKrum

SIZE = 28
FIRST, LAST = "base_model.model.one.lora_A.weight", "base_model.model.two.lora_B.weight"

seeds = st.integers(0, 2**32 - 1)


def random_rows(count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((count, SIZE), dtype=np.float32))


def by_name(layout: AdapterLayout, row: Tensor) -> dict[str, Tensor]:
    return {name: view[0] for name, view in layout.views(row[None]).items()}


def with_entry(value: float) -> Callable[[AdapterLayout, Tensor, int], Any]:
    def corrupt(layout: AdapterLayout, row: Tensor, position: int) -> Tensor:
        row = row.clone()
        row[position] = value
        return row

    return corrupt


def named_with_entry(value: float) -> Callable[[AdapterLayout, Tensor, int], Any]:
    def corrupt(layout: AdapterLayout, row: Tensor, position: int) -> dict[str, Tensor]:
        return by_name(layout, with_entry(value)(layout, row, position))

    return corrupt


#: What is sent, and words of the reason that is given.
CORRUPTIONS: dict[str, tuple[Callable[[AdapterLayout, Tensor, int], Any], str]] = {
    "NaN": (with_entry(torch.nan), "holds NaN"),
    "Inf": (with_entry(torch.inf), "holds Inf"),
    "minus Inf": (with_entry(-torch.inf), "holds Inf"),
    "1e30": (with_entry(1e30), "holds an entry of size 1e+30, above 1e+06"),
    "-2e6": (with_entry(-2e6), "holds an entry of size 2e+06, above 1e+06"),
    "NaN by name": (named_with_entry(torch.nan), "holds NaN"),
    "1e30 by name": (named_with_entry(1e30), "above 1e+06"),
    "1e300 in double": (lambda _, r, p: with_entry(1e300)(_, r.double(), p), "holds Inf"),
    "too short": (lambda _, r, p: r[:-1], "shape (27,), expected (28,)"),
    "a matrix": (lambda _, r, p: r.view(4, 7), "shape (4, 7), expected (28,)"),
    "empty": (lambda _, r, p: torch.empty(0), "shape (0,), expected (28,)"),
    "integers": (lambda _, r, p: r.int(), "type torch.int32, expected a float"),
    "booleans": (lambda _, r, p: r > 0, "type torch.bool, expected a float"),
    "complex": (lambda _, r, p: r.to(torch.complex64), "type torch.complex64, expected a float"),
    "sparse": (lambda _, r, p: r.to_sparse(), "expected a dense tensor"),
    "without data": (lambda _, r, p: r.to("meta"), "expected a dense tensor"),
    "missing name": (
        lambda layout, r, p: {n: t for n, t in by_name(layout, r).items() if n != LAST},
        f"missing tensor '{LAST}'",
    ),
    "unknown name": (
        lambda layout, r, p: by_name(layout, r) | {"surplus": r},
        "unknown tensor 'surplus'",
    ),
    "name that is no text": (
        lambda layout, r, p: by_name(layout, r) | {7: r},
        "unknown tensor 7",
    ),
    "misshapen by name": (
        lambda layout, r, p: by_name(layout, r) | {FIRST: r[:6].view(3, 2)},
        f"tensor '{FIRST}' has shape (3, 2), expected (2, 3)",
    ),
    "broadcastable by name": (
        lambda layout, r, p: by_name(layout, r) | {FIRST: r[:1]},
        f"tensor '{FIRST}' has shape (1,), expected (2, 3)",
    ),
    "integers by name": (
        lambda layout, r, p: by_name(layout, r) | {FIRST: torch.ones(2, 3, dtype=torch.int64)},
        f"tensor '{FIRST}' has type torch.int64, expected a float",
    ),
    "sparse by name": (
        lambda layout, r, p: by_name(layout, r) | {FIRST: torch.ones(2, 3).to_sparse()},
        "expected a dense tensor",
    ),
    "no tensors": (lambda layout, r, p: {}, f"missing tensor '{FIRST}'"),
    "an array by name": (
        lambda layout, r, p: by_name(layout, r) | {FIRST: np.ones((2, 3))},
        "a dict, expected tensors by name",
    ),
    "an array": (lambda _, r, p: r.numpy(), "a ndarray, expected tensors by name"),
    "a list": (lambda _, r, p: r.tolist(), "a list, expected tensors by name"),
    "bytes": (lambda _, r, p: b"\x80\x04.", "a bytes, expected tensors by name"),
    "nothing": (lambda _, r, p: None, "a NoneType, expected tensors by name"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_says_what_is_wrong(name: str, small_layout: AdapterLayout) -> None:
    corrupt, reason = CORRUPTIONS[name]
    with pytest.raises(UserError) as error:
        inspect_upload(corrupt(small_layout, random_rows(1)[0], 3), small_layout)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@given(
    sent=st.lists(st.sampled_from(["valid", *CORRUPTIONS]), max_size=6),
    position=st.integers(0, SIZE - 1),
    seed=seeds,
)
def test_what_is_wrong_is_named_and_never_aggregated(
    sent: list[str], position: int, seed: int, small_layout: AdapterLayout
) -> None:
    reference, rows = random_rows(1, seed + 1)[0], random_rows(len(sent), seed)
    uploads = [
        row if name == "valid" else CORRUPTIONS[name][0](small_layout, row, position)
        for name, row in zip(sent, rows, strict=True)
    ]
    received = receive(uploads, reference, small_layout)
    valid = [k for k, name in enumerate(sent) if name == "valid"]
    assert sorted(received.reasons) == [k for k, name in enumerate(sent) if name != "valid"]
    assert all(CORRUPTIONS[sent[k]][1] in reason for k, reason in received.reasons.items())
    assert torch.equal(received.updates[valid], rows[valid])
    assert all(torch.equal(received.updates[k], reference) for k in received.reasons)

    accepted = Uploads(
        rows[valid], reference, np.ones(len(valid)), small_layout, server=rows[:1].mean(0)
    )
    for rule in DEFENCES:
        result = DEFENCES[rule]().aggregate(accepted)
        assert result.adapter.isfinite().all(), rule
        assert result.weights.shape == (len(valid),)
    samples = np.array([float(name == "valid") for name in sent])
    aggregate = FedAvg().aggregate(Uploads(received.updates, reference, samples, small_layout))
    expected = rows[valid].mean(0) if valid else reference
    torch.testing.assert_close(aggregate.adapter, expected)
    krum = MultiKrum().aggregate(Uploads(received.updates, reference, samples, small_layout))
    assert krum.adapter.isfinite().all()
    assert not krum.weights[list(received.reasons)].any()


@given(seeds)
def test_valid_uploads_pass_unchanged(small_layout: AdapterLayout, seed: int) -> None:
    row = random_rows(1, seed)[0]
    assert torch.equal(inspect_upload(row, small_layout), row)
    assert torch.equal(inspect_upload(by_name(small_layout, row), small_layout), row)
    assert torch.equal(inspect_upload(row.double(), small_layout), row)
    assert torch.equal(inspect_upload(row.half(), small_layout), row.half().float())


def test_the_largest_entry_passes(small_layout: AdapterLayout) -> None:
    row = torch.full((SIZE,), LARGEST_ENTRY)
    received = receive([row, -row], torch.zeros(SIZE), small_layout)
    assert not received.reasons
    # Distances between the largest entries that pass are finite.
    assert small_layout.change_gram(received.updates, torch.zeros(SIZE)).isfinite().all()


@pytest.mark.parametrize("named", [False, True])
def test_received_rows_are_cut_off_from_their_sender(
    named: bool, small_layout: AdapterLayout
) -> None:
    sent = random_rows(1)[0]
    row = sent.clone().requires_grad_()
    received = receive(
        [by_name(small_layout, row) if named else row], torch.zeros(SIZE), small_layout
    )
    assert not received.updates.requires_grad
    with torch.no_grad():
        row += 1
    assert torch.equal(received.updates[0], sent)
