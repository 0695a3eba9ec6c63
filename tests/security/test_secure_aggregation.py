"""Secure aggregation: exact sums with drop-outs, shares, masks that tell nothing, a round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import AggregationRule, FedAvg, Uploads
from fedfm_sim.security.defences.secure_sum import SecureSum
from fedfm_sim.security.privacy.secure_aggregation import (
    Member,
    agree,
    from_fixed,
    masked,
    recover,
    secure_sum,
    share,
    stream,
    to_fixed,
)

seeds = st.integers(0, 2**32 - 1)


def drawn(count: int, width: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(-(2**50), 2**50, (count, width))


def test_with_a_third_gone_the_sum_is_exact() -> None:
    values = drawn(20, 1000)
    gone = [1, 4, 7, 11, 13, 19]  # 30 %
    total = secure_sum(values, gone, 11, np.random.default_rng(1))
    np.testing.assert_array_equal(total, np.delete(values, gone, axis=0).sum(0))


@given(seeds, st.integers(1, 7), st.data())
def test_the_sum_is_exact_for_any_survivors(seed: int, count: int, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    threshold = data.draw(st.integers(1, count - len(gone)))
    values = drawn(count, 5, seed)
    total = secure_sum(values, gone, threshold, np.random.default_rng(seed))
    np.testing.assert_array_equal(total, np.delete(values, sorted(gone), axis=0).sum(0))


def test_too_few_survivors_and_overflows_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="2 of 5 stayed, expected at least the threshold 3"):
        secure_sum(drawn(5, 2), [0, 1, 2], 3, rng)
    with pytest.raises(UserError, match="threshold 6, expected 1 to 5"):
        secure_sum(drawn(5, 2), [], 6, rng)
    with pytest.raises(UserError, match="overflow"):
        secure_sum(np.full((4, 1), 2**61, dtype=np.int64), [], 2, rng)


def test_what_one_sends_looks_like_noise() -> None:
    rng = np.random.default_rng(3)
    members = [Member.draw(k, rng) for k in range(3)]
    publics = [member.public for member in members]
    sent = masked(members[1], np.zeros(20_000, dtype=np.uint64), publics)
    bits = np.unpackbits(sent.view(np.uint8))
    assert abs(bits.mean() - 0.5) < 0.002
    counts = np.bincount(sent.view(np.uint8), minlength=256)
    assert chisquare(counts).pvalue > 1e-4
    # Even the sum of all but one tells nothing: it still holds the masks of that one.
    rest = masked(members[0], np.zeros(20_000, dtype=np.uint64), publics) + sent
    assert chisquare(np.bincount(rest.view(np.uint8), minlength=256)).pvalue > 1e-4


def test_a_pair_agrees_and_the_stream_is_chacha20() -> None:
    rng = np.random.default_rng(0)
    one, two = Member.draw(0, rng), Member.draw(1, rng)
    assert agree(one.key, two.public) == agree(two.key, one.public)
    assert agree(one.key, two.public) != agree(one.key, one.public)
    # RFC 8439, A.1, test vector 1: key, nonce and counter 0.
    assert stream(bytes(32), 1)[0] == int.from_bytes(bytes.fromhex("76b8e0ada0f13d90"), "little")


@given(st.binary(min_size=32, max_size=32), st.integers(1, 6), seeds)
def test_any_threshold_of_shares_recovers_and_fewer_do_not(
    secret: bytes, threshold: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = share(secret, 6, threshold, rng)
    chosen = [points[k] for k in rng.permutation(6)]
    assert recover(chosen[:threshold]) == secret
    if threshold > 1:
        assert recover(chosen[: threshold - 1]) != secret


def test_fixed_points_are_exact_to_half_a_unit() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 50)) * 100
    assert np.abs(from_fixed(to_fixed(rows, 24), 24) - rows).max() <= 2.0**-25


def uploads(layout: AdapterLayout, count: int) -> Uploads:
    import torch

    rng = np.random.default_rng(5)
    rows = torch.from_numpy(rng.standard_normal((count + 1, layout.size), dtype=np.float32))
    return Uploads(rows[1:], rows[0], rng.integers(1, 50, count).astype(float), layout, seed=9)


def test_the_rule_is_fedavg_of_the_survivors(small_layout: AdapterLayout) -> None:
    given = uploads(small_layout, 10)
    whole, plain = SecureSum().aggregate(given), FedAvg().aggregate(given)
    assert float((whole.adapter - plain.adapter).abs().max()) < 1e-6
    part = SecureSum(dropout=0.3).aggregate(given)
    stayed = np.flatnonzero(part.weights)
    assert len(stayed) == 7
    rest = FedAvg().aggregate(given.select(stayed))
    assert float((part.adapter - rest.adapter).abs().max()) < 1e-6
    assert np.isnan(part.suspicion).all()
    assert np.flatnonzero(~part.dropped).tolist() == stayed.tolist()
    few = SecureSum(dropout=0.6).aggregate(given)
    assert float((few.adapter - given.reference).abs().max()) == 0
    assert not few.weights.any()
    assert few.dropped.sum() == 6, "who dropped out is told where too few stay, too"


@pytest.mark.parametrize("rule", [FedAvg(), SecureSum()])
def test_nobody_dropped_out_unless_told(rule: AggregationRule, small_layout: AdapterLayout) -> None:
    for count in (0, 4):
        dropped = rule.aggregate(uploads(small_layout, count)).dropped
        assert dropped.dtype == np.bool_
        assert dropped.tolist() == [False] * count


def test_who_declares_no_samples_did_not_drop_out(small_layout: AdapterLayout) -> None:
    given = replace(uploads(small_layout, 4), samples=np.array([0.0, 10, 10, 10]))
    assert not SecureSum().aggregate(given).dropped.any()


def test_in_a_round_only_the_mean_leaks() -> None:
    only = [
        "rounds=2",
        "contribution.every=0",
        "deviations.rounds=0",
        "training.learning_rate=0.02",
    ]
    plain, hidden = (
        fs.run("honest-only", 0, overrides=[*only, f"defence={name}"])
        for name in ("fedavg", "secure-sum")
    )
    # The aggregate remembers any one participant's examples less than its own update does.
    assert hidden.participants["privacy"].mean() < 0.7 * plain.participants["privacy"].mean()
    # And so at least as many take part in the next round.
    assert hidden.rounds["selected"].sum() >= plain.rounds["selected"].sum()
    assert hidden.rounds["detection_auc"].isna().all()
