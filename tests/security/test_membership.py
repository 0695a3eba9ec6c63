"""The loss-threshold attack: its AUC by hand, and on a participant that trained too long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings, initial_adapter
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import evaluate
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.partitions import in_domain
from fedfm_sim.learning.trainer import TrainingSettings, train
from fedfm_sim.security.auc import Scores
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.membership import (
    LikelihoodRatio,
    LossThreshold,
    confidence,
    likelihood_ratio,
    masked,
    membership_advantage,
    membership_auc,
    true_positive_rate,
)


@pytest.mark.parametrize(
    ("members", "others", "auc"),
    [
        ([0.1, 0.2], [0.3, 0.4, 0.5], 1.0),
        ([0.3, 0.4], [0.1, 0.2], 0.0),
        ([1.0], [1.0], 0.5),
        ([1.0, 1.0, 1.0], [1.0, 1.0], 0.5),
        # Of the pairs (1,2) (1,3) (2,2) (2,3) (3,2) (3,3): 3 won, 2 tied, 1 lost.
        ([1.0, 2.0, 3.0], [2.0, 3.0], 4 / 6),
        ([1.0, 4.0], [2.0, 3.0], 0.5),
        # A loss of infinity is a loss like others, and the largest.
        ([1.0, np.inf], [2.0, np.inf], 2.5 / 4),
    ],
)
def test_auc_by_hand(members: list[float], others: list[float], auc: float) -> None:
    found = membership_auc(np.array(members), np.array(others))
    assert found == pytest.approx(auc, abs=1e-12)
    advantage = membership_advantage(np.array(members), np.array(others))
    assert advantage == pytest.approx(2 * auc - 1, abs=1e-12)


losses = st.lists(st.integers(0, 12).map(lambda k: k / 4), min_size=1, max_size=40)


@pytest.mark.parametrize("single", [False, True])
@given(losses, losses)
def test_auc_has_the_bits_of_the_mann_whitney_statistic(
    single: bool, members: list[float], others: list[float]
) -> None:
    inside: Scores = np.array(members)
    outside: Scores = np.array(others)
    if single:
        inside, outside = inside.astype(np.float32), outside.astype(np.float32)
    statistic = mannwhitneyu(outside, inside).statistic
    assert membership_auc(inside, outside) == float(statistic / (len(inside) * len(outside)))


def test_without_a_group_or_a_number_there_is_no_auc() -> None:
    assert np.isnan(membership_auc(np.zeros(0), np.zeros(2)))
    assert np.isnan(membership_auc(np.zeros(2), np.zeros(0)))
    assert np.isnan(membership_auc(np.array([np.nan, 1.0]), np.zeros(2)))


@given(losses, losses)
def test_auc_is_that_of_scikit_learn(members: list[float], others: list[float]) -> None:
    truth = [1] * len(members) + [0] * len(others)
    expected = roc_auc_score(truth, -np.array(members + others))
    found = membership_auc(np.array(members), np.array(others, dtype=np.float32))
    assert found == pytest.approx(expected, abs=1e-12)
    assert membership_auc(np.array(others), np.array(members)) == pytest.approx(1 - found)


def test_a_participant_that_trained_too_long_gives_its_data_away(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    # Drawn at random, as neighbours in the data set have the same writer.
    rng = np.random.default_rng(0)
    private = in_domain(digits.private.select(rng.permutation(797)), "rotated", rng)
    start = initial_adapter(backbone, layout, seed=0)[None]
    settings = TrainingSettings(epochs=25, learning_rate=1e-2)
    shard = private.select(slice(0, 50))
    trained = train(backbone, layout, start, [shard], settings, [rng]).adapters

    before = evaluate(backbone, layout, start, private).losses[0]
    after = evaluate(backbone, layout, trained, private).losses[0]
    # Under no membership the AUC's standard deviation is about
    # sqrt((1/m + 1/n) / 12): 0.042 for 50 and 747, 0.021 for 370 and 377.
    assert abs(membership_auc(before[:50], before[50:]) - 0.5) < 0.125
    assert membership_auc(after[:50], after[50:]) > 0.7
    assert membership_advantage(after[:50], after[50:]) > 0.4
    assert abs(membership_auc(after[50:420], after[420:]) - 0.5) < 0.065


def test_confidence_is_the_logit_of_the_loss() -> None:
    p = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(confidence(-np.log(p)), np.log(p / (1 - p)), atol=1e-9)
    ends = confidence(np.array([0.0, 1e30]))
    assert np.isfinite(ends).all()
    assert ends[0] > 20 > -600 > ends[1]


def test_masked_confidences_by_hand() -> None:
    shown = masked(-np.log(np.array([0.96, 0.44, 0.04])), 1)
    np.testing.assert_allclose(shown, [0, -np.log(0.4), np.inf], atol=1e-12)


def test_likelihood_ratio_by_hand() -> None:
    # Means 1 and 3; variances (ddof 1) 2 and 8, pooled 5.
    shadows = np.array([[0.0, 1.0], [2.0, 5.0]])
    scores = likelihood_ratio(np.array([1.0, 3.0 + 5**0.5]), shadows)
    np.testing.assert_allclose(scores, [0.5, norm.cdf(1)])


def test_true_positives_at_a_rate_by_hand() -> None:
    members, others = np.array([0.1, 0.2, 0.3, 2.0]), np.linspace(0.25, 1.2, 20)
    # One of twenty others may be called a member: 0.25, so the threshold is the next, 0.3.
    assert true_positive_rate(members, others, 0.05) == 0.5
    assert true_positive_rate(members, others, 0.0) == 0.5
    assert true_positive_rate(members, others, 0.2) == 0.75
    assert true_positive_rate(members, others, 1.0) == 1


def test_lira_finds_the_members_of_one_that_trained_too_long(
    backbone: Backbone, digits: SplitData
) -> None:
    settings = TrainingSettings(epochs=15, batch_size=8, learning_rate=0.003)
    federation = Federation.create(backbone, LoraSettings(rank=8, alpha=16.0), settings, 0)
    shown = in_domain(digits.private, "occluded", np.random.default_rng(0))
    test = in_domain(digits.test, "occluded", np.random.default_rng(0))
    shadow = in_domain(digits.public, "occluded", np.random.default_rng(0))
    members = shown.select(slice(0, 40))
    sent = federation.train([members], [np.random.default_rng(1)]).adapters[0]

    def seen(row: Tensor) -> Observation:
        return Observation(
            federation, federation.adapter, row, members, test, shadow, np.random.default_rng(2)
        )

    attack = LikelihoodRatio(shadows=4)
    inside, outside = attack.scores(seen(sent))
    assert inside.shape == outside.shape == (40,)
    assert membership_auc(-inside, -outside) > 0.65
    assert attack.leakage(seen(sent)) == pytest.approx(
        2 * membership_auc(-inside, -outside) - 1, abs=1e-9
    )
    plain = LossThreshold().leakage(seen(sent))
    assert plain > 0.3
    # Rounded to whole numbers, the confidences tell right from wrong answers and no more.
    assert LossThreshold(decimals=6).leakage(seen(sent)) == pytest.approx(plain, abs=0.05)
    assert LossThreshold(decimals=0).leakage(seen(sent)) < plain - 0.1
    # The base model, which saw none of them, tells nothing.
    assert LossThreshold().leakage(seen(federation.adapter)) == 0


def test_an_advantage_that_nobody_has_is_0_in_the_mean() -> None:
    draws = np.random.default_rng(0).normal(size=(4000, 2, 40))
    found = np.array([membership_advantage(*own) for own in draws])
    assert abs(found.mean()) < 4 * found.std() / len(found) ** 0.5 < 0.01
    assert np.maximum(found, 0).mean() > 0.05  # what cutting at 0 would make of it


@pytest.mark.parametrize("name", ["iid", "two classes"])
def test_who_was_not_trained_on_leaks_nothing_in_the_mean(
    name: str, backbone: Backbone, digits: SplitData
) -> None:
    settings = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.01)
    federation = Federation.create(backbone, LoraSettings(rank=8, alpha=16.0), settings, 0)
    private, test = (
        in_domain(part, "occluded", np.random.default_rng(0))
        for part in (digits.private, digits.test)
    )
    if name == "two classes":  # what is trained on knows them better than it knows others
        private = private.select((private.labels < 2).numpy())
    at = np.random.default_rng(1).permutation(len(private))
    rng = np.random.default_rng(2)
    half = private.select(at[::2])
    sent = federation.train([half], [rng]).adapters[0]
    found = []
    for _ in range(40):
        drawn = rng.permutation(at[1::2])[:40]
        members = private.select(drawn)
        seen = Observation(federation, federation.adapter, sent, members, test, test, rng)
        found.append(LossThreshold().leakage(seen))
    # The pools are halves of one sample, and differ by what an AUC of their sizes may.
    assert abs(np.mean(found)) < 0.06
    balanced = [part.labels.bincount(minlength=10).tolist() for part in seen.balanced()]
    assert balanced[0] == balanced[1]
    alone = Observation(
        federation,
        federation.adapter,
        sent,
        private.select((private.labels == 0).numpy()),
        test.select((test.labels == 1).numpy()),
        test,
        rng,
    )
    assert LossThreshold().leakage(alone) == 0
