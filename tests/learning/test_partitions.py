"""Partitions divide: nothing lost, nothing shared, nobody empty; shards differ as asked."""

from __future__ import annotations

import itertools
import time

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedfm_sim.core.arrays import Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.partitions import (
    DataSettings,
    Parts,
    across_domains,
    at_round,
    concept_shift,
    duplicate,
    in_domain,
    noisy_labels,
    partition,
    private_shards,
)

SCHEMES = ["iid", "dirichlet", "quantity"]
seeds = st.integers(0, 2**32 - 1)
label_lists = st.lists(st.integers(0, 9), min_size=1, max_size=80)


def divide(scheme: str, labels: Index, participants: int, alpha: float, seed: int = 0) -> Parts:
    chosen = DataSettings.model_validate({"partition": scheme, "alpha": alpha})
    return partition(labels, participants, chosen, np.random.default_rng(seed))


def assert_partition(parts: Parts, participants: int, count: int) -> None:
    assert len(parts) == participants
    assert min(map(len, parts)) >= 1
    assert np.sort(np.concatenate(parts)).tolist() == list(range(count))


@given(
    scheme=st.sampled_from(SCHEMES),
    labels=label_lists,
    data=st.data(),
    alpha=st.floats(1e-12, 1e6),
    seed=seeds,
)
def test_is_a_partition(
    scheme: str, labels: list[int], data: st.DataObject, alpha: float, seed: int
) -> None:
    participants = data.draw(st.integers(1, len(labels)))
    given_labels = np.array(labels)
    parts = divide(scheme, given_labels, participants, alpha, seed)
    assert_partition(parts, participants, len(labels))
    again = divide(scheme, given_labels, participants, alpha, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("alpha", [0.1, 1e-6, 1000])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_ends_at_once_for_any_alpha(scheme: str, alpha: float) -> None:
    labels = np.arange(2000) % 10
    start = time.perf_counter()
    parts = divide(scheme, labels, 500, alpha)
    assert time.perf_counter() - start < 1
    assert_partition(parts, 500, 2000)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_as_many_participants_as_examples(scheme: str) -> None:
    parts = divide(scheme, np.arange(30) % 3, 30, 0.1)
    assert [len(part) for part in parts] == [1] * 30
    with pytest.raises(UserError, match=r"participants: 31 can't share 30 .* at most 30$"):
        divide(scheme, np.arange(30) % 3, 31, 0.1)


@given(label_lists, st.data(), seeds)
def test_iid_sizes_differ_by_at_most_one(labels: list[int], data: st.DataObject, seed: int) -> None:
    participants = data.draw(st.integers(1, len(labels)))
    sizes = [len(part) for part in divide("iid", np.array(labels), participants, 1.0, seed)]
    assert max(sizes) - min(sizes) <= 1


def class_shares(alpha: float) -> npt.NDArray[np.float64]:
    """Return each participant's share of each of 10 classes of 400, (8, 10)."""
    labels = np.arange(4000) % 10
    parts = divide("dirichlet", labels, 8, alpha)
    return np.array([np.bincount(labels[part], minlength=10) / 400 for part in parts])


def test_alpha_sets_the_skew() -> None:
    # A share of Dirichlet(alpha, ..., alpha) over 8 has mean 1/8 and variance
    # (1/8) (7/8) / (8 alpha + 1); at a huge alpha all are equal.
    for alpha in (0.1, 1.0, 10.0):
        expected = np.sqrt(7 / 64 / (8 * alpha + 1))
        assert class_shares(alpha).std() == pytest.approx(expected, rel=0.25)
    np.testing.assert_allclose(class_shares(1e6), 1 / 8, atol=0.005)
    assert (class_shares(1e-6).max(axis=0) > 0.98).all()


def test_quantity_skews_sizes_and_not_classes() -> None:
    labels = np.arange(4000) % 10
    parts = divide("quantity", labels, 8, 0.5)
    sizes = np.array([len(part) for part in parts])
    assert sizes.max() > 4 * sizes.min()
    shares = np.bincount(labels[max(parts, key=len)], minlength=10) / sizes.max()
    np.testing.assert_allclose(shares, 0.1, atol=0.03)


# Shards


def numbered(count: int, classes: int = 10) -> Examples:
    """Return images that hold their own number, and labels in turn."""
    numbers = torch.arange(count)
    images = numbers.float()[:, None, None, None].expand(count, 1, 4, 4).contiguous()
    return Examples({"pixel_values": images}, numbers % classes)


def numbers_of(examples: Examples) -> list[int]:
    return [int(value) for value in examples.inputs["pixel_values"][:, 0, 0, 0]]


@given(st.integers(1, 60), st.floats(0, 1), st.integers(2, 10), seeds)
@example(count=10, share=0.25, classes=2, seed=0)
def test_noise_moves_exactly_its_share_to_another_class(
    count: int, share: float, classes: int, seed: int
) -> None:
    shard = numbered(count, classes)
    before = shard.labels.clone()
    noisy = noisy_labels(shard, share, classes, np.random.default_rng(seed))
    assert int((noisy.labels != before).sum()) == round(share * count)
    assert int(noisy.labels.min()) >= 0
    assert int(noisy.labels.max()) < classes
    assert torch.equal(shard.labels, before)
    assert torch.equal(noisy.inputs["pixel_values"], shard.inputs["pixel_values"])


def test_noise_reaches_every_other_class() -> None:
    shard = Examples({"x": torch.zeros(900)}, torch.full((900,), 3))
    labels = noisy_labels(shard, 1.0, 10, np.random.default_rng(0)).labels
    counts = np.bincount(labels, minlength=10)
    assert counts[3] == 0
    # 100 expected of each of nine, standard deviation 9.4.
    assert (np.abs(np.delete(counts, 3) - 100) < 40).all()


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, [0, 1, 2, 3, 4, 5]),
        (0.5, [0, 1, 2, 0, 1, 2]),
        (2 / 3, [0, 1, 0, 1, 0, 1]),
        (1.0, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_duplicates_by_hand(share: float, expected: list[int]) -> None:
    shard = duplicate(numbered(6), share)
    assert numbers_of(shard) == expected
    assert shard.labels.tolist() == expected


@given(st.integers(1, 60), st.floats(0, 1))
def test_duplicates_keep_the_size(count: int, share: float) -> None:
    shard = duplicate(numbered(count), share)
    assert len(shard) == count
    assert len(set(numbers_of(shard))) == max(1, count - round(share * count))


def test_concept_shift_by_hand() -> None:
    shard = numbered(12)
    shifted = concept_shift(shard, 10)
    assert shifted.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert numbers_of(shifted) == list(range(12))


def test_gradual_arrival_by_hand() -> None:
    shard = numbered(10)
    chosen = DataSettings(arrival="gradual")
    held = [numbers_of(at_round(shard, shard, chosen, t, 4)) for t in range(4)]
    assert [len(h) for h in held] == [2, 5, 8, 10]
    assert all(h == list(range(len(h))) for h in held)
    assert len(at_round(numbered(1), numbered(1), chosen, 0, 100)) == 1
    at_once = [len(at_round(shard, shard, DataSettings(), t, 4)) for t in range(4)]
    assert at_once == [10] * 4


def test_drift_by_hand() -> None:
    plain = numbered(3)
    own = Examples({"pixel_values": torch.full((3, 1, 4, 4), 8.0)}, plain.labels)
    chosen = DataSettings(drift=True)
    seen = [
        at_round(own, plain, chosen, t, 4).inputs["pixel_values"][:, 0, 0, 0].tolist()
        for t in range(4)
    ]
    # From 0, 1 and 2 to 8 in quarters.
    assert seen == [[2, 2.75, 3.5], [4, 4.5, 5], [6, 6.25, 6.5], [8, 8, 8]]
    assert numbers_of(plain) == [0, 1, 2]


# All together


def test_shards_divide_the_private_examples() -> None:
    private = numbered(57)
    chosen = DataSettings(partition="dirichlet", domains=("original",))
    shards = private_shards(private, 6, 10, chosen, Streams(3))
    held = [numbers_of(shard) for shard in shards]
    assert sorted(itertools.chain(*held)) == list(range(57))
    assert any(h != sorted(h) for h in held)
    for shard in shards:
        assert shard.labels.tolist() == [n % 10 for n in numbers_of(shard)]
    again = private_shards(private, 6, 10, chosen, Streams(3))
    assert held == [numbers_of(shard) for shard in again]
    other = private_shards(private, 6, 10, chosen, Streams(4))
    assert held != [numbers_of(shard) for shard in other]


def test_participants_take_domains_in_turn() -> None:
    private = numbered(40)
    chosen = DataSettings(domains=("original", "inverted", "faded"))
    plain = private_shards(private, 5, 10, DataSettings(domains=("original",)), Streams(1))
    mixed = private_shards(private, 5, 10, chosen, Streams(1))
    images = [shard.inputs["pixel_values"] for shard in plain]
    expected = [images[0], 1 - images[1], 0.5 + 0.5 * images[2], images[3], 1 - images[4]]
    assert all(
        torch.equal(shard.inputs["pixel_values"], image)
        for shard, image in zip(mixed, expected, strict=True)
    )


def test_the_last_participants_are_concept_shifted() -> None:
    chosen = DataSettings(domains=("original",), concept_shift=0.4)
    shards = private_shards(numbered(50), 5, 10, chosen, Streams(1))
    offsets = [
        {(int(label) - n) % 10 for n, label in zip(numbers_of(s), s.labels, strict=True)}
        for s in shards
    ]
    assert offsets == [{0}, {0}, {0}, {1}, {1}]


def test_noise_and_duplicates_reach_every_shard() -> None:
    chosen = DataSettings(domains=("original",), label_noise=0.5, duplicates=0.5)
    for shard in private_shards(numbered(60), 3, 10, chosen, Streams(1)):
        numbers = numbers_of(shard)
        assert len(set(numbers)) == 10
        assert sum(int(y) != n % 10 for n, y in zip(numbers, shard.labels, strict=True)) == 10


def test_across_domains_by_hand() -> None:
    mixed = across_domains(numbered(5), ("original", "inverted"), np.random.default_rng(0))
    assert mixed.labels.tolist() == [0, 2, 4, 1, 3]
    assert numbers_of(mixed) == [0, 2, 4, 0, -2]


def test_domains_of_images_need_images() -> None:
    texts = Examples({"input_ids": torch.zeros(2, 3, dtype=torch.int64)}, torch.zeros(2))
    assert in_domain(texts, "original", np.random.default_rng(0)) is texts
    with pytest.raises(UserError, match="'rotated' is a domain of images"):
        in_domain(texts, "rotated", np.random.default_rng(0))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0),
        ("alpha", float("inf")),
        ("label_noise", 1.1),
        ("domains", ()),
        ("domains", ("no-such",)),
        ("typo", 1),
    ],
)
def test_settings_out_of_range(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        DataSettings.model_validate({field: value})
