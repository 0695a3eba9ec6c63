"""Utility functions of coalitions, each against its definition written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution import characteristic
from fedfm_sim.mechanisms.contribution.characteristic import (
    data_size,
    influence,
    label_diversity,
    model_similarity,
    mutual_cross_entropy,
    mutual_information,
)
from fedfm_sim.mechanisms.contribution.cosine_gradient import cosine_gradient
from fedfm_sim.mechanisms.contribution.shapley import shapley_values

COUNTS = np.array([[10, 0, 0], [0, 10, 0], [5, 5, 0], [0, 0, 0]])
seeds = st.integers(0, 2**32 - 1)


def by_hand(game: CoalitionGame, worth: Callable[[list[int]], float]) -> None:
    for size in range(game.players + 1):
        for who in combinations(range(game.players), size):
            assert game.value(*who) == pytest.approx(worth(list(who)), abs=1e-9), who


def test_data_size_counts_examples() -> None:
    by_hand(data_size(COUNTS), lambda who: float(COUNTS[who].sum()))


def test_label_diversity_is_the_effective_number_of_classes() -> None:
    game = label_diversity(COUNTS)
    assert game.value(0) == pytest.approx(1)
    assert game.value(0, 1) == pytest.approx(2)
    assert game.value(0, 1, 2) == pytest.approx(2)
    # 15 of one class and 5 of the other.
    assert game.value(0, 2) == pytest.approx((4 / 3) ** 0.75 * 4**0.25)
    assert game.value(0, 2) < game.value(2)
    assert game.value(3) == game.value() == 0
    assert label_diversity(np.eye(7)).value(*range(7)) == pytest.approx(7)


@given(seeds)
def test_model_similarity_is_the_cosine_of_mean_updates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    updates, weights = rng.normal(size=(4, 5)), rng.uniform(0.1, 1, 4)

    def worth(who: list[int]) -> float:
        if not who:
            return 0.0
        mean, all_mean = weights[who] @ updates[who], weights @ updates
        return float(mean @ all_mean / np.linalg.norm(mean) / np.linalg.norm(all_mean))

    by_hand(model_similarity(updates @ updates.T, weights), worth)


def test_cosine_gradients_stand_for_the_shapley_value_of_similarity() -> None:
    # Updates around one direction; participant k strays more the larger k is.
    rng = np.random.default_rng(0)
    updates = np.ones(40) + rng.normal(size=(6, 40)) * np.arange(6)[:, None]
    updates /= np.linalg.norm(updates, axis=1, keepdims=True)
    gram = updates @ updates.T
    exact = shapley_values(model_similarity(gram, np.ones(6)))
    assert exact.sum() == pytest.approx(1)
    cheap = cosine_gradient(gram, np.ones(6)).cosines
    assert np.corrcoef(exact, cheap)[0, 1] > 0.95


def test_similarity_of_updates_that_cancel_out_is_nothing() -> None:
    updates = np.array([[0.1, 0.7], [-0.3, -2.1]])
    game = model_similarity(updates @ updates.T, [3.0, 1.0])
    assert game.table().tolist() == [0, 0, 0, 0]
    game = model_similarity([[0.0]], [1.0])
    assert game.table().tolist() == [0, 0]
    game = model_similarity([[1.0, 0.0], [0.0, 0.0]], [1.0, 1.0])
    assert game.table().tolist() == [0, 1, 0, 1]


def features(seed: int) -> Values:
    return np.random.default_rng(seed).normal(size=(4, 6, 3))


@given(seeds, st.floats(0.01, 10))
def test_mutual_information_is_that_of_a_gaussian_model(seed: int, ratio: float) -> None:
    x = features(seed)

    def worth(who: list[int]) -> float:
        # Of the labels with the weights: the entropy of labels, less that of the noise.
        rows = x[who].reshape(-1, 3)
        return float(np.linalg.slogdet(np.eye(len(rows)) + ratio * rows @ rows.T)[1] / 2)

    by_hand(mutual_information(x.transpose(0, 2, 1) @ x, ratio), worth)


@given(seeds)
def test_information_rises_and_adds_ever_less(seed: int) -> None:
    x = features(seed)
    game = mutual_information(x.transpose(0, 2, 1) @ x)
    table = game.table()
    for mask in range(16):
        for i in range(4):
            with_i = table[mask | 1 << i]
            assert with_i >= table[mask] - 1e-9
            for j in range(4):
                more = mask | 1 << j
                assert table[more | 1 << i] - table[more] <= with_i - table[mask] + 1e-9 or (
                    mask >> i & 1
                )


def test_a_copy_of_the_data_is_worth_less_than_other_data() -> None:
    # Two hold ten examples of one feature, the third ten of another.
    one, other = np.diag([10.0, 0.0]), np.diag([0.0, 10.0])
    shares = shapley_values(mutual_information([one, one, other]))
    assert shares[2] == pytest.approx(np.log(11) / 2)
    assert shares[0] == shares[1] == pytest.approx(np.log(21) / 4)


def predictions(seed: int) -> tuple[Values, Masks, Values, Values]:
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(3), (4, 8))
    return chances, rng.integers(0, 3, 8), rng.uniform(0, 2, 4), rng.uniform(1, 50, 4)


@given(seeds)
def test_mutual_cross_entropy_adds_both_losses(seed: int) -> None:
    chances, labels, losses, sizes = predictions(seed)

    def worth(who: list[int]) -> float:
        if not who:
            return 0.0
        share = sizes[who] / sizes[who].sum()
        mean = sum(s * chances[k] for s, k in zip(share, who, strict=True))
        benchmark = -np.mean([np.log(mean[m, labels[m]]) for m in range(8)])
        return float(2 * np.log(3) - benchmark - share @ losses[who])

    by_hand(mutual_cross_entropy(chances, labels, losses, sizes), worth)


def test_wrong_labels_are_worth_least() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    right = 0.8 * np.eye(3)[labels] + 0.2 / 3
    wrong = 0.8 * np.eye(3)[(labels + 1) % 3] + 0.2 / 3
    chances = np.stack([right, right, wrong])
    game = mutual_cross_entropy(chances, labels, [0.3, 0.3, 2.7], [100, 100, 100])
    shares = shapley_values(game)
    assert shares[0] == pytest.approx(shares[1])
    assert shares[2] < 0 < shares[0]


def test_certain_errors_cost_a_finite_loss() -> None:
    game = mutual_cross_entropy([[[1.0, 0.0]]], [1], [0.0], [1.0])
    assert game.value(0) == pytest.approx(2 * np.log(2) + np.log(1e-12))


def test_influence_is_additive() -> None:
    scores = [0.5, -0.25, 0.0]
    assert shapley_values(influence(scores)) == pytest.approx(scores)
    assert influence(scores).value(0, 1) == pytest.approx(0.25)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(1)
    moments = x.transpose(0, 2, 1) @ x
    at_once = mutual_information(moments).table()
    monkeypatch.setattr(characteristic, "BLOCK_NUMBERS", 9 * 3)
    assert mutual_information(moments).table().tolist() == at_once.tolist()


CHANCES = np.full((2, 3, 2), 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data_size([1, 2]), "table"),
        (lambda: data_size([[1, -2]]), "table"),
        (lambda: label_diversity([[np.nan]]), "table"),
        (lambda: label_diversity(np.zeros((2, 0))), "table"),
        (lambda: model_similarity([[1.0]], [1.0, 1.0]), "weights"),
        (lambda: model_similarity([[1.0]], [-1.0]), "weights"),
        (lambda: model_similarity([[1.0, 2.0]], [1.0]), "square"),
        (lambda: mutual_information(np.eye(2)), "shape"),
        (lambda: mutual_information([[[np.inf]]]), "finite"),
        (lambda: mutual_information([[[0.0, 1.0], [0.0, 0.0]]]), "symmetric"),
        (lambda: mutual_information([[[-1.0]]]), "eigenvalue"),
        (lambda: mutual_information([[[1.0]]], 0.0), "ratio"),
        (lambda: mutual_cross_entropy(CHANCES, [0, 1], [0, 0], [1, 1]), "one per example"),
        (lambda: mutual_cross_entropy(2 * CHANCES, [0, 1, 1], [0, 0], [1, 1]), "sum to 1"),
        (lambda: mutual_cross_entropy(CHANCES, [0, 1, 2], [0, 0], [1, 1]), "labels"),
        (lambda: mutual_cross_entropy(CHANCES, [0, 1, 1], [0], [1, 1]), "local losses"),
        (lambda: mutual_cross_entropy(CHANCES, [0, 1, 1], [0, -1], [1, 1]), "local losses"),
        (lambda: mutual_cross_entropy(CHANCES, [0, 1, 1], [0, 0], [1, 0]), "sizes"),
        (lambda: influence([[1.0]]), "influence"),
        (lambda: influence([np.nan]), "influence"),
    ],
)
def test_impossible_input_is_refused(make: Callable[[], CoalitionGame], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
