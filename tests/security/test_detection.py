"""Detection by suspicion: areas by hand, audits that follow scores, a round that does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedfm_sim as fs
from fedfm_sim.security.detection import audit_chances, detection_auc, roc

seeds = st.integers(0, 2**32 - 1)


def test_auc_by_hand() -> None:
    bad = np.array([True, False, True, False])
    # Pairs (attacker, honest): 4 > 1, 4 > 3, 2 > 1, 2 < 3.
    assert detection_auc(np.array([4.0, 1, 2, 3]), bad) == 0.75
    assert detection_auc(np.ones(4), bad) == 0.5
    assert detection_auc(np.array([4.0, np.nan, np.nan, 3]), bad) == 1
    assert np.isnan(detection_auc(np.ones(4), np.zeros(4, dtype=bool)))
    assert np.isnan(detection_auc(np.ones(4), np.ones(4, dtype=bool)))
    assert np.isnan(detection_auc(np.zeros(0), np.zeros(0, dtype=bool)))


@given(seeds, st.integers(2, 30))
def test_auc_is_the_share_of_pairs_and_the_area_under_roc(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, count).astype(float)
    bad = np.arange(count) < rng.integers(1, count)
    pairs = scores[bad][:, None] - scores[~bad][None, :]
    auc = detection_auc(scores, bad)
    assert auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    false, true = roc(scores, bad)
    assert float(np.trapezoid(true, false)) == pytest.approx(auc)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_audit_chances_by_hand() -> None:
    scores = np.array([3.0, 1.0, 2.0, np.nan])
    np.testing.assert_allclose(audit_chances(scores, 0.25, 0.0), [0.25] * 4)
    # One audit, half of it by lot: 1/8 each, and 1/2 to the one that has no score.
    np.testing.assert_allclose(audit_chances(scores, 0.25, 0.5), [0.125, 0.125, 0.125, 0.625])
    # Two audits, all focused: certainty for two.
    np.testing.assert_allclose(audit_chances(scores, 0.5, 1.0), [1, 0, 0, 1])
    np.testing.assert_allclose(audit_chances(np.ones(3), 0.5, 1.0), [0.5] * 3)


@given(seeds, st.integers(1, 12), st.floats(0, 1), st.floats(0, 1))
def test_focus_moves_audits_and_adds_none(seed: int, count: int, rate: float, focus: float) -> None:
    scores = np.random.default_rng(seed).integers(0, 6, count).astype(float)
    chances = audit_chances(scores, rate, focus)
    assert chances.sum() == pytest.approx(rate * count)
    assert chances.min() >= -1e-12
    assert chances.max() <= 1 + 1e-9
    order = np.argsort(scores)
    assert (np.diff(chances[order]) >= -1e-9).all()


def test_focused_audits_convict_more_at_the_same_price() -> None:
    convicted, audited = [], []
    for focus in (0, 1):
        result = fs.run(
            "backdoor-defended",
            0,
            overrides=[
                "rounds=2",
                "training.epochs=1",
                "sanctions.audit_rate=0.2",
                f"sanctions.audit_focus={focus}",
                "sanctions.tolerance=0.05",
                "contribution.every=0",
                "deviations.rounds=0",
            ],
        )
        convicted.append(int(result.rounds["convicted"].sum()))
        audited.append(int(result.rounds["audited"].sum()))
        assert (result.rounds["detection_auc"] == 1).all()
    # Two of ten attack, and up to two of those who take part are audited in a round.
    assert convicted[1] == audited[1] >= 4
    assert convicted[0] < audited[0]
