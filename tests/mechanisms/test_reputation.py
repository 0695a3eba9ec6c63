"""Subjective logic: published numbers, fusion as a sum of evidence, fading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import Opinion, Reputation, beta_reputation, consensus, opinion

amounts = st.floats(0, 1e6)


def parts(view: Opinion) -> list[float]:
    return [float(view.belief), float(view.disbelief), float(view.uncertainty)]


def test_josang_eight_to_two() -> None:
    view = opinion(8, 2)
    assert parts(view) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert view.trust() == pytest.approx(0.75)


def test_no_evidence_is_all_uncertainty() -> None:
    view = opinion(0, 0)
    assert parts(view) == [0, 0, 1]
    assert view.trust(base_rate=0.3) == pytest.approx(0.3)


@given(amounts, amounts)
def test_the_definition_by_uncertainty(a: float, b: float) -> None:
    view = opinion(a, b)
    u = 2 / (a + b + 2)
    assert sum(parts(view)) == pytest.approx(1)
    assert float(view.uncertainty) == pytest.approx(u)
    if a + b > 1e-6:
        assert float(view.belief) == pytest.approx((1 - u) * a / (a + b))


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_trust_is_the_mean_of_the_beta_reputation(a: float, b: float) -> None:
    # Josang and Ismail 2002: the mean of Beta(a + 1, b + 1), for base rate 1/2.
    assert float(opinion(a, b).trust()) == pytest.approx(stats.beta(a + 1, b + 1).mean())


@given(amounts, amounts, amounts, amounts)
def test_fusing_opinions_adds_their_evidence(a: float, b: float, c: float, d: float) -> None:
    fused = consensus(opinion(a, b), opinion(c, d))
    assert parts(fused) == pytest.approx(parts(opinion(a + c, b + d)), rel=1e-9, abs=1e-12)


@given(amounts, amounts, amounts, amounts)
def test_fusion_commutes_and_ignorance_changes_nothing(
    a: float, b: float, c: float, d: float
) -> None:
    first, second = opinion(a, b), opinion(c, d)
    assert parts(consensus(first, second)) == pytest.approx(parts(consensus(second, first)))
    assert parts(consensus(first, opinion(0, 0))) == pytest.approx(parts(first))


def test_two_certain_opinions_are_averaged() -> None:
    yes = Opinion(np.array([1.0, 0.4]), np.array([0.0, 0.6]), np.zeros(2))
    no = Opinion(np.array([0.0, 0.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    fused = consensus(yes, no)
    assert fused.belief == pytest.approx([0.5, 0.4])
    assert fused.disbelief == pytest.approx([0.5, 0.6])
    assert fused.uncertainty.tolist() == [0, 0]


@given(amounts, amounts, st.floats(0.1, 1e3), st.floats(0, 1))
def test_evidence_moves_trust_its_own_way(a: float, b: float, more: float, rate: float) -> None:
    before = float(opinion(a, b).trust(rate))
    assert 0 <= before <= 1
    assert float(opinion(a + more, b).trust(rate)) >= before - 1e-12
    assert float(opinion(a, b + more).trust(rate)) <= before + 1e-12


def test_old_evidence_fades() -> None:
    reputation = Reputation(2, fading=0.5)
    reputation.update([4, 0], [0, 2])
    reputation.update([1, 0], [0, 0])
    assert reputation.positive.tolist() == [3, 0]
    assert reputation.negative.tolist() == [0, 1]
    assert reputation.trust == pytest.approx([4 / 5, 1 / 3])
    assert reputation.uncertainty == pytest.approx([2 / 5, 2 / 3])


def test_a_forgotten_participant_returns_to_the_base_rate() -> None:
    reputation = Reputation(1, base_rate=0.2, fading=0.9)
    assert reputation.trust == pytest.approx([0.2])
    reputation.update([0], [1e3])
    assert reputation.trust[0] < 1e-3
    for _ in range(300):
        reputation.update([0], [0])
    assert reputation.trust == pytest.approx([0.2], abs=1e-6)


def test_without_fading_rounds_add_up_to_their_fusion() -> None:
    reputation = Reputation(3, fading=1.0)
    rounds = [([1.0, 2, 0], [0, 5, 0.5]), ([3.0, 0, 0], [1.0, 1, 4])]
    for positive, negative in rounds:
        reputation.update(positive, negative)
    fused = consensus(opinion(*rounds[0]), opinion(*rounds[1]))
    assert reputation.trust == pytest.approx(fused.trust())


def test_trust_stays_within_bounds_for_a_thousand_participants() -> None:
    rng = np.random.default_rng(5)
    reputation = Reputation(1000, base_rate=1.0)
    for _ in range(50):
        reputation.update(rng.exponential(9, 1000), rng.integers(0, 2, 1000))
    assert reputation.trust.shape == (1000,)
    assert ((reputation.trust >= 0) & (reputation.trust <= 1)).all()


@pytest.mark.parametrize("bad", [[-1.0, 0.0], [np.nan, 0.0], [np.inf, 0.0], [0.0], [[0.0, 0.0]]])
def test_bad_evidence_is_refused_and_changes_nothing(bad: list[float]) -> None:
    reputation = Reputation(2)
    for pair in ((bad, [0.0, 0.0]), ([9.0, 9.0], bad)):
        with pytest.raises(UserError, match="evidence"):
            reputation.update(*pair)
    assert reputation.trust.tolist() == [0.5, 0.5]


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1 participant"):
        Reputation(0)
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        Reputation(1, fading=1.1)
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        Reputation(1, base_rate=-0.1)
    with pytest.raises(UserError, match="add up to 1"):
        Opinion(np.array(0.5), np.array(0.5), np.array(0.5))


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_beta_reputation_is_the_trust_of_the_opinion(a: float, b: float) -> None:
    assert beta_reputation(a, b) == pytest.approx(opinion(a, b).trust(0.5), rel=1e-12)


def test_beta_reputation_by_hand() -> None:
    # Josang and Ismail 2002: 8 of 10 outcomes were good.
    assert beta_reputation(8, 2) == pytest.approx(0.75)
    assert beta_reputation(0, 0) == pytest.approx(0.5)
