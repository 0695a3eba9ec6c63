"""The published conditions of rules, attacks and protections: where they hold, by their papers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.learning.aggregation import FedAvg
from fedfm_sim.security.attacks.gaussian import Gaussian
from fedfm_sim.security.attacks.little_is_enough import LittleIsEnough
from fedfm_sim.security.attacks.min_max import MinMax
from fedfm_sim.security.attacks.sybil import Sybil
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.defences.bulyan import Bulyan
from fedfm_sim.security.defences.clipping import CentredClipping, NormClipping
from fedfm_sim.security.defences.foolsgold import FoolsGold
from fedfm_sim.security.defences.krum import Krum
from fedfm_sim.security.defences.multi_krum import MultiKrum
from fedfm_sim.security.defences.secure_sum import SecureSum
from fedfm_sim.security.defences.spectral import DivideAndConquer
from fedfm_sim.security.defences.told import ToldAttackers
from fedfm_sim.security.defences.trimmed_mean import Median, TrimmedMean
from fedfm_sim.security.privacy.protection import GaussianMechanism


@pytest.mark.parametrize(
    ("rule", "fewest"),
    [
        (Krum(attackers=2), 7),
        (MultiKrum(attackers=2), 7),
        (Bulyan(attackers=2), 11),
        (TrimmedMean(attackers=2), 5),
        (DivideAndConquer(attackers=2), 5),
        (DivideAndConquer(attackers=2, filtered=1.5), 7),
    ],
)
def test_the_fewest_updates_of_theorems(rule: ToldAttackers, fewest: int) -> None:
    assert rule.condition(fewest) is None
    assert rule.covered(fewest) == 2
    assert rule.condition(fewest, 2) is None
    few = rule.condition(fewest - 1, 2)
    assert few is not None
    assert f"= {fewest} updates; with {fewest - 1} it is f = 1" in few
    more = rule.condition(fewest, 3)
    assert more == f"3 of {fewest} updates were malicious, more than attackers = 2"


@given(
    st.sampled_from([Krum, MultiKrum, Bulyan, TrimmedMean, DivideAndConquer]),
    st.integers(0, 40),
    st.integers(0, 90),
)
def test_what_is_used_is_the_largest_that_is_covered(
    kind: type[ToldAttackers], attackers: int, uploads: int
) -> None:
    rule = kind(attackers=attackers)
    used = rule.covered(uploads)
    assert 0 <= used <= attackers
    assert used == 0 or rule.least(used) <= uploads
    assert used == attackers or rule.least(used + 1) > uploads
    assert (rule.condition(uploads) is None) == (rule.least(attackers) <= uploads)


def test_majorities_and_other_conditions() -> None:
    assert Median().condition(5, 2) is None
    assert Median().condition(4, 2) == "2 of 4 updates were malicious, it needs fewer than half"
    assert NormClipping().condition(4, 2) is not None
    assert NormClipping(bound=1.0).condition(4, 2) is None
    assert CentredClipping().condition(10, 1) is None
    assert CentredClipping().condition(10, 2) is not None
    assert FoolsGold().condition(10, 1) is not None
    assert FoolsGold().condition(10, 2) is None
    assert FedAvg().condition(2, 2) is None  # it promises nothing against anybody


def test_a_secure_sum_of_too_few() -> None:
    assert SecureSum(dropout=0.4, threshold=0.6).condition(10) is None
    said = SecureSum(dropout=0.5, threshold=0.6).condition(10)
    assert said == "5 of 10 answered, 6 have to; the model stayed"


@pytest.mark.parametrize("name", list(DEFENCES))
def test_nobody_to_aggregate_and_nobody_malicious_is_no_breach_of_majorities(name: str) -> None:
    rule = DEFENCES[name]()
    if not isinstance(rule, ToldAttackers):
        assert rule.condition(0) is None
        assert rule.condition(10) is None
    else:
        assert rule.condition(10) is None  # listed rules can be played by ten as they are


def test_attacks_that_are_nothing() -> None:
    # z of (5, 1) and (10, 2) is 0, that of 50 with 24 not (Baruch et al. 2019).
    assert LittleIsEnough().condition(4, 1) is not None
    assert LittleIsEnough().condition(8, 2) is not None
    assert LittleIsEnough(z=1.0).condition(8, 2) is None
    assert LittleIsEnough().condition(26, 24) is None
    assert MinMax().condition(1, 2) is not None
    assert MinMax().condition(2, 2) is None
    assert MinMax().condition(0, 2) is not None
    assert Sybil().condition(0, 1) is not None
    assert Gaussian().condition(0, 1) is None


def test_noise_that_too_few_share() -> None:
    rule = GaussianMechanism(participants=10, noise_multiplier=2.0)
    assert rule.condition(10) is None
    said = rule.condition(5)
    assert said is not None
    assert "a noise multiplier of 1.41, not 2" in said
    assert GaussianMechanism(participants=10, noise_multiplier=0.0).condition(5) is None
