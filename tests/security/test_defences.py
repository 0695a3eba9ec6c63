"""What holds of every defence, and each rule by hand and at its breakdown point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.defences.bulyan import repeated_krum
from fedfm_sim.security.defences.clipping import CentredClipping, clipped
from fedfm_sim.security.defences.flame import Flame, cosine_distances, largest_cluster
from fedfm_sim.security.defences.fltrust import FLTrust
from fedfm_sim.security.defences.foolsgold import FoolsGold, foolsgold_weights
from fedfm_sim.security.defences.geometric_median import GeometricMedian, geometric_median_weights
from fedfm_sim.security.defences.spectral import spectral_scores

WIDTH = 3
# A row of rank 1: every change of weights is a vector of three numbers, and folds exactly.
LAYOUT = AdapterLayout(
    ("m",),
    {"base_model.model.m.lora_A.weight": (1, 1), "base_model.model.m.lora_B.weight": (WIDTH, 1)},
    LoraSettings(rank=1, alpha=2.0),
)
REFERENCE = torch.tensor([1.0, 0.0, 0.0, 0.0])
Points = npt.NDArray[np.float64]

seeds = st.integers(0, 2**32 - 1)

#: Attackers that each rule stands among ten, at its parameters here.
STANDS: dict[str, tuple[dict[str, Any], int]] = {
    "bulyan": ({"attackers": 1}, 1),
    "divide-and-conquer": ({"attackers": 2}, 2),
    "flame": ({}, 3),
    "fltrust": ({}, 9),
    "geometric-median": ({}, 4),
    "krum": ({"attackers": 3}, 3),
    "median": ({}, 4),
    "centred-clipping": ({}, 3),
    "multi-krum": ({"attackers": 3}, 3),
    "norm-clipping": ({}, 3),
    "trimmed-mean": ({"attackers": 4}, 4),
}
#: How many break it: attackers that stand together, far away.
BREAKS = {
    "bulyan": 8,
    "divide-and-conquer": 3,
    "flame": 6,
    "geometric-median": 6,
    "centred-clipping": 6,
    "krum": 6,
    "norm-clipping": 6,
    "median": 6,
    "multi-krum": 6,
    "trimmed-mean": 6,
}


def updates_at(points: npt.ArrayLike) -> Tensor:
    """Return adapters whose effective change of weights is ``points`` (n, 3): A = 1, B = half."""
    b = torch.as_tensor(np.asarray(points), dtype=torch.float32) / 2
    return torch.cat([torch.ones(len(b), 1), b], dim=1)


def rule_of(name: str) -> AggregationRule:
    return DEFENCES[name].model_validate(STANDS.get(name, ({}, 0))[0])


def aggregate(rule: AggregationRule, points: npt.ArrayLike) -> tuple[Points, Aggregate]:
    """Return the aggregated change (3,) and the aggregate; the server's own change is (1, 1, 1)."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, WIDTH)
    result = rule.aggregate(uploads_at(points))
    return changes(LAYOUT, result.adapter[None], REFERENCE)[0].numpy(), result


def uploads_at(points: npt.ArrayLike, members: list[int] | None = None) -> Uploads:
    updates = updates_at(points)
    senders = np.arange(len(updates)) if members is None else np.array(members)
    server = updates_at(np.ones((1, WIDTH)))[0]
    return Uploads(updates, REFERENCE, np.ones(len(updates)), LAYOUT, senders, server)


@pytest.mark.parametrize("name", sorted(DEFENCES))
@settings(max_examples=25)
@given(seed=seeds, count=st.integers(1, 9))
def test_order_does_not_matter_and_agreement_is_kept(name: str, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points, order = rng.normal(size=(count, WIDTH)), rng.permutation(count)
    change, result = aggregate(rule_of(name), points)
    moved, other = aggregate(rule_of(name), points[order])
    np.testing.assert_allclose(moved, change, atol=1e-4)
    np.testing.assert_allclose(other.weights, result.weights[order], atol=1e-6)
    assert result.suspicion.shape == (count,)
    if name == "fltrust":  # may trust nobody, and matches the server's length
        return
    assert result.weights.sum() == pytest.approx(1)
    same, _ = aggregate(rule_of(name), np.tile(points[:1], (count, 1)))
    np.testing.assert_allclose(same, points[0], atol=1e-4)


@pytest.mark.parametrize("name", sorted(DEFENCES))
def test_no_update_keeps_the_model(name: str) -> None:
    result = rule_of(name).aggregate(Uploads(torch.empty(0, 4), REFERENCE, np.zeros(0), LAYOUT))
    assert torch.equal(result.adapter, REFERENCE)
    assert result.weights.shape == result.suspicion.shape == (0,)


def world(seed: int, attackers: int) -> tuple[Points, npt.NDArray[np.int64]]:
    """Return ten points, honest ones near (1, 1, 1), attackers together and far away."""
    rng = np.random.default_rng(seed)
    points = 1 + 0.1 * rng.normal(size=(10, WIDTH))
    bad = rng.permutation(10)[:attackers]
    points[bad] = -50 + 0.1 * rng.normal(size=(attackers, WIDTH))
    return points, bad


@pytest.mark.parametrize("name", sorted(STANDS))
@settings(max_examples=20)
@given(seed=seeds)
def test_a_robust_rule_holds_up_to_its_breakdown_point(name: str, seed: int) -> None:
    points, bad = world(seed, STANDS[name][1])
    change, result = aggregate(rule_of(name), points)
    assert np.abs(change - 1).max() < 1.0
    honest = np.delete(np.arange(10), bad)
    assert result.suspicion[bad].min() > result.suspicion[honest].max()


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_robust_rule_fails_past_it(name: str) -> None:
    broken = [
        np.abs(aggregate(rule_of(name), world(seed, BREAKS[name])[0])[0] - 1).max() > 5
        for seed in range(10)
    ]
    assert np.mean(broken) > 0.5


def test_the_mean_breaks_at_one() -> None:
    change, _ = aggregate(DEFENCES["fedavg"](), world(0, 1)[0])
    assert np.abs(change - 1).max() > 4


LINE = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [4, 0, 0], [50, 0, 0]])


@pytest.mark.parametrize(
    ("name", "parameters", "expected", "weights"),
    [
        ("median", {}, 2.0, [0, 0, 1, 0, 0]),
        ("trimmed-mean", {"attackers": 1}, 7 / 3, None),
        ("krum", {"attackers": 1}, 1.0, [0, 1, 0, 0, 0]),
        ("norm-clipping", {"bound": 3.0}, (0 + 1 + 2 + 3 + 3) / 5, [0.2] * 5),
        ("norm-clipping", {}, (0 + 1 + 2 + 2 + 2) / 5, [0.2] * 5),
        ("divide-and-conquer", {"attackers": 1}, 7 / 4, [0.25, 0.25, 0.25, 0.25, 0]),
    ],
)
def test_by_hand(
    name: str, parameters: dict[str, Any], expected: float, weights: list[float] | None
) -> None:
    change, result = aggregate(DEFENCES[name].model_validate(parameters), LINE)
    np.testing.assert_allclose(change, [expected, 0, 0], atol=1e-5)
    if weights is not None and name != "median":
        np.testing.assert_allclose(result.weights, weights, atol=1e-9)


def test_bulyan_by_hand() -> None:
    # n = 7, f = 1: Krum is repeated on what is left until 5 are chosen, two being left out;
    # then the mean of the 3 nearest to their median.
    line = np.zeros((7, WIDTH))
    line[:, 0] = [0, 1, 2, 3, 4, 100, 5]
    chosen = repeated_krum(line @ line.T, 1, 5)
    assert 5 not in chosen
    kept = np.sort(line[chosen, 0])
    median = np.median(kept)
    nearest = sorted(kept, key=lambda x: (abs(x - median), x))[:3]
    change, _ = aggregate(DEFENCES["bulyan"].model_validate({"attackers": 1}), line)
    assert change[0] == pytest.approx(np.mean(nearest), abs=1e-5)


def test_bulyan_lowers_f_to_what_its_theorem_covers() -> None:
    points = world(3, 0)[0][:6]
    change, _ = aggregate(DEFENCES["bulyan"].model_validate({"attackers": 3}), points)
    np.testing.assert_allclose(change, points.mean(0), atol=1e-5)


def test_the_geometric_median_and_flame_by_hand() -> None:
    # On a line the geometric median is the median; a far point at weight 0.45 changes nothing.
    change, _ = aggregate(GeometricMedian(iterations=5000), LINE)
    np.testing.assert_allclose(change, [2, 0, 0], atol=1e-2)
    # Four alike in direction, of lengths 1, 2, 3, 9; one against them. The median length of
    # the five is 2: lengths become 1, 2, 2, 2.
    points = np.array([[1.0, 0, 0], [2, 0, 0], [3, 0, 0], [9, 0, 0], [-2, 0, 0]])
    change, result = aggregate(Flame(), points)
    np.testing.assert_allclose(change, [7 / 4, 0, 0], atol=1e-5)
    np.testing.assert_allclose(result.weights, [0.25, 0.25, 0.25, 0.25, 0])


@given(seeds, st.integers(3, 9))
def test_the_geometric_median_is_a_minimum(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, WIDTH))
    shares = np.full(count, 1 / count)
    weights = geometric_median_weights(points @ points.T, shares, 1e-6, 3000)

    def total(z: Points) -> float:
        return float(np.linalg.norm(points - z, axis=1).sum())

    best = weights @ points
    for direction in np.vstack([np.eye(WIDTH), -np.eye(WIDTH)]):
        assert total(best) <= total(best + 0.01 * direction) + 1e-6


def test_centred_clipping_remembers_and_is_pure_until_told() -> None:
    rule = CentredClipping(bound=1.0, iterations=1)
    points = np.tile([[10.0, 0, 0]], (4, 1))
    first, result = aggregate(rule, points)
    assert first == pytest.approx([1, 0, 0], abs=1e-5)
    assert aggregate(rule, points)[0] == pytest.approx(first)
    rule.learn(uploads_at(points), result)
    assert aggregate(rule, points)[0] == pytest.approx([2, 0, 0], abs=1e-5)


@given(seeds, st.floats(0.1, 5))
def test_clipping_keeps_direction_and_what_is_short(seed: int, bound: float) -> None:
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 3)) * 2)
    cut = clipped(rows, bound)
    assert (cut.norm(dim=1) <= bound + 1e-9).all()
    short = rows.norm(dim=1) <= bound
    torch.testing.assert_close(cut[short], rows[short])
    torch.testing.assert_close(
        torch.nn.functional.cosine_similarity(cut, rows), torch.ones(5, dtype=torch.float64)
    )


def test_spectral_scores_are_squared_projections() -> None:
    points = np.random.default_rng(0).normal(size=(6, WIDTH)) * [5, 1, 1]
    centred = points - points.mean(0)
    top = np.linalg.svd(centred)[2][0]
    np.testing.assert_allclose(spectral_scores(points @ points.T), (centred @ top) ** 2)


def test_directions_are_clustered_whatever_their_length() -> None:
    points = np.array([[1.0, 0, 0], [9, 0.1, 0], [2, 0, 0.1], [3, 0.1, 0.1], [-1, 0, 0], [0, 0, 0]])
    distances = cosine_distances(points @ points.T)
    assert distances[0, 4] == pytest.approx(2)
    assert distances[0, 5] == pytest.approx(1)
    assert largest_cluster(distances).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize("name", sorted(DEFENCES))
def test_what_is_assumed_and_where_it_was_published_is_said(name: str) -> None:
    kind = DEFENCES[name]
    assert kind.knowledge
    assert any(character.isdigit() for character in kind.source)


def test_fltrust_by_hand() -> None:
    # Cosines with (1, 1, 1): 1, 1 / sqrt 3, -1. Lengths become sqrt 3.
    points = np.array([[5.0, 5, 5], [2, 0, 0], [-1, -1, -1]])
    change, result = aggregate(FLTrust(), points)
    one = 1 / np.sqrt(3)
    np.testing.assert_allclose(result.weights, [1 / (1 + one), one / (1 + one), 0], atol=1e-6)
    expected = (np.ones(3) + one * np.array([np.sqrt(3), 0, 0])) / (1 + one)
    np.testing.assert_allclose(change, expected, atol=1e-5)
    np.testing.assert_allclose(result.suspicion, [0, 1 - one, 2], atol=1e-6)


def test_fltrust_trusts_nobody_against_the_server_and_breaks_with_it() -> None:
    rule, points = FLTrust(), -np.ones((3, WIDTH))
    change, result = aggregate(rule, points)
    assert result.weights.tolist() == [0, 0, 0]
    np.testing.assert_allclose(change, 0, atol=1e-6)
    # A server whose data is poisoned points the attackers' way: nine honest count nothing.
    bad = world(0, 1)[0]
    server = updates_at([[-1.0, -1, -1]])[0]
    uploads = Uploads(updates_at(bad), REFERENCE, np.ones(10), LAYOUT, np.arange(10), server)
    broken = changes(LAYOUT, rule.aggregate(uploads).adapter[None], REFERENCE)[0]
    assert float(broken.max()) < -0.9
    with pytest.raises(UserError, match="server's own"):
        rule.aggregate(Uploads(updates_at(bad), REFERENCE, np.ones(10), LAYOUT))


def test_foolsgold_by_hand() -> None:
    # Two the same, two at right angles to all: the same get nothing.
    cosines = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(foolsgold_weights(cosines), [0, 0, 1, 1])
    # c = 0.6 for one pair, 0.2 and 0.1 with the third. v = (0.6, 0.6, 0.2); pardoning
    # c_31 by 0.2 / 0.6: unlike = (0.4, 0.4, 1 - 0.2 / 3), over the largest: 3 / 7 for two.
    cosines = np.array([[1.0, 0.6, 0.2], [0.6, 1, 0.1], [0.2, 0.1, 1]])
    low = np.log((3 / 7) / (4 / 7)) + 0.5
    np.testing.assert_allclose(foolsgold_weights(cosines), [low, low, 1], atol=1e-9)
    assert foolsgold_weights(np.ones((3, 3))).tolist() == [0, 0, 0]
    assert foolsgold_weights(np.ones((1, 1))).tolist() == [1]


@given(seeds, st.integers(2, 7))
def test_foolsgold_stops_any_number_of_sybils_that_agree(seed: int, sybils: int) -> None:
    rng = np.random.default_rng(seed)
    honest = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    bad = np.tile(rng.normal(size=WIDTH) * 20, (sybils, 1))
    _, result = aggregate(FoolsGold(), np.vstack([honest, bad]))
    assert result.weights[3:].max() < 1e-9
    # Its assumption: honest participants who agree are taken for sybils.
    _, wrong = aggregate(FoolsGold(), np.vstack([np.ones((3, WIDTH)), [[1.0, -2, 1]]]))
    assert wrong.weights[3] == pytest.approx(1)


def test_foolsgold_remembers_who_sent_what() -> None:
    rule = FoolsGold()
    first = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    rule.learn(uploads_at(first, [4, 2, 7]), rule.aggregate(uploads_at(first, [4, 2, 7])))
    # In the next round they differ, but what they sent so far is still mostly alike.
    second = np.array([[0, 0.1, 0], [0, 0, 0.1], [0, 1, 0]])
    result = rule.aggregate(uploads_at(second, [4, 2, 7]))
    assert result.suspicion[0] > 0.9
    assert result.suspicion[2] == pytest.approx(0)
    strangers = rule.aggregate(uploads_at(second, [0, 1, 3]))
    assert strangers.suspicion[1] == pytest.approx(0)


#: Rules that average factors, as is common; they work in one gauge only.
AVERAGE_FACTORS = ("fedavg", "fedprox", "frozen-a", "secure-sum")


@pytest.mark.parametrize("name", sorted(DEFENCES))
def test_the_gauge_of_factors_is_no_way_round_a_robust_rule(name: str) -> None:
    points = 1 + 0.1 * np.random.default_rng(0).normal(size=(8, WIDTH))
    plain = uploads_at(points)
    gauge = torch.ones(8, 1)
    gauge[2:4] = 1000.0  # the same change of weights, written as (1000 A, B / 1000)
    moved = torch.cat([plain.updates[:, :1] * gauge, plain.updates[:, 1:] / gauge], dim=1)
    rule = rule_of(name)
    first, second = (
        changes(LAYOUT, rule.aggregate(given).adapter[None], REFERENCE)[0]
        for given in (plain, replace(plain, updates=moved))
    )
    difference = float((first - second).abs().max())
    if name in AVERAGE_FACTORS:
        assert difference > 0.2
    else:
        assert difference < 1e-3
