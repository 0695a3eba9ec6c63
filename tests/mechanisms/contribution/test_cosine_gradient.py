"""CGSV: the worked example, what it promises, and what it does not see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms.contribution.cosine_gradient import cosine_gradient

#: Updates e1, e2 and (e1 + e2) / sqrt 2.
THREE = np.array([[1.0, 0.0], [0.0, 1.0], [0.5**0.5, 0.5**0.5]])


@st.composite
def updates(draw: st.DrawFn) -> Values:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 6))
    return np.asarray(rng.normal(size=(n, 4)) + draw(st.sampled_from([0.0, 1.0])))


def test_worked_example() -> None:
    # Xu et al. 2021 with alpha = 0.95, r = 0 at first and beta = 1.
    result = cosine_gradient(THREE @ THREE.T, np.ones(3))
    assert result.cosines == pytest.approx([0.5**0.5, 0.5**0.5, 1])
    assert result.importance == pytest.approx([0.292893, 0.292893, 0.414214], abs=1e-6)
    assert result.download == pytest.approx([0.726437, 0.726437, 1], abs=1e-6)


def test_the_past_is_kept_in_part() -> None:
    before = np.array([0.5, 0.3, 0.2])
    result = cosine_gradient(THREE @ THREE.T, np.ones(3), before, memory=0.8)
    raised = 0.8 * before + 0.2 * np.array([0.5**0.5, 0.5**0.5, 1])
    assert result.importance == pytest.approx(raised / raised.sum())


@given(updates(), st.integers(0, 2**32 - 1))
def test_cosines_are_those_of_the_updates_themselves(vectors: Values, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 1, len(vectors))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    aggregate = weights @ unit
    expected = unit @ aggregate / np.linalg.norm(aggregate)
    result = cosine_gradient(vectors @ vectors.T, weights)
    np.testing.assert_allclose(result.cosines, expected, atol=1e-6)
    assert result.importance.sum() == pytest.approx(1)
    assert (result.importance > 0).all()
    assert result.download.max() == 1
    assert (result.download > 0).all()


@given(updates(), st.integers(0, 2**32 - 1))
def test_lengths_do_not_matter(vectors: Values, seed: int) -> None:
    longer = vectors * np.random.default_rng(seed).uniform(0.1, 10, (len(vectors), 1))
    weights = np.ones(len(vectors))
    one, other = (cosine_gradient(x @ x.T, weights) for x in (vectors, longer))
    np.testing.assert_allclose(one.importance, other.importance, atol=1e-9)


def test_who_pulls_the_other_way_gets_the_least() -> None:
    vectors = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]])
    result = cosine_gradient(vectors @ vectors.T, np.ones(3))
    assert result.cosines[2] == pytest.approx(-1, abs=1e-2)
    floor = 1e-3 / (1e-3 + 2 * 0.05 * result.cosines[0])
    assert result.importance[2] == pytest.approx(floor)


def test_a_copy_scores_as_well_as_the_original() -> None:
    # The scheme's documented blind spot: it cannot tell who did the work.
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    result = cosine_gradient(vectors @ vectors.T, np.ones(3))
    assert result.importance[1] == result.importance[2] > result.importance[0]


def test_nothing_sent_and_updates_that_cancel_out() -> None:
    nothing = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert cosine_gradient(nothing @ nothing.T, np.ones(2)).cosines.tolist() == [1.0, 0.0]
    opposed = np.array([[3.0, 1.0], [-3.0, -1.0]])
    result = cosine_gradient(opposed @ opposed.T, np.ones(2))
    assert result.cosines.tolist() == [0.0, 0.0]
    assert result.importance.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("gram", "weights", "options", "message"),
    [
        ([1.0, 2.0], [1.0], {}, "square"),
        ([[np.nan]], [1.0], {}, "finite"),
        ([[1.0, 0.5], [0.0, 1.0]], [1.0, 1.0], {}, "symmetric"),
        ([[-1.0]], [1.0], {}, "diagonal"),
        ([[1.0]], [1.0, 1.0], {}, "weights"),
        ([[1.0]], [-1.0], {}, "weights"),
        ([[1.0]], [1.0], {"memory": 1.0}, "memory"),
        ([[1.0]], [1.0], {"altruism": 0.0}, "altruism"),
        ([[1.0]], [1.0], {"importance": [np.inf]}, "importance"),
    ],
)
def test_impossible_input_is_refused(
    gram: object, weights: list[float], options: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        cosine_gradient(np.array(gram), weights, **options)
