"""Decision policies against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from fedfm_sim.agents.policies import (
    POLICIES,
    BestResponse,
    FictitiousPlay,
    Fixed,
    Logit,
    NoRegret,
    Policy,
    QLearning,
    RegretMatching,
    Replicator,
)

NAMES = ("a", "b", "c")


def test_fixed_ignores_what_is_expected() -> None:
    assert Fixed(action="b").probabilities(NAMES, np.array([9.0, 0.0, 0.0])).tolist() == [0, 1, 0]


def test_best_response_takes_the_first_of_equals() -> None:
    assert BestResponse().probabilities(NAMES, np.array([1.0, 3.0, 3.0])).tolist() == [0, 1, 0]


def test_logit_odds_are_the_exponential_of_the_difference() -> None:
    p = Logit(temperature=2.0).probabilities(NAMES, np.array([0.0, 2.0, 4.0]))
    np.testing.assert_allclose([p[1] / p[0], p[2] / p[0]], [np.e, np.e**2])


def test_logit_survives_large_utilities() -> None:
    p = Logit(temperature=1e-3).probabilities(NAMES, np.array([1e6, 0.0, -1e6]))
    assert p.tolist() == [1.0, 0.0, 0.0]


def test_no_regret_finds_the_best_arm_of_a_bandit() -> None:
    policy, rng = NoRegret(exploration=0.1, span=1.0), np.random.default_rng(0)
    means = np.array([-0.5, 0.8, 0.0])
    late = []
    for step in range(3000):
        p = policy.probabilities(NAMES, np.zeros(3))
        chosen = int(rng.choice(3, p=p))
        policy.learn(chosen, p, float(means[chosen] + 0.1 * rng.standard_normal()))
        if step >= 2000:
            late.append(chosen)
    assert np.mean(np.array(late) == 1) > 0.8


def test_replicator_grows_by_the_exponential_of_what_is_expected() -> None:
    policy, expected = Replicator(rate=0.5), np.array([0.0, 1.0, 2.0])
    policy.probabilities(NAMES, expected)
    p = policy.probabilities(NAMES, expected)
    np.testing.assert_allclose([p[1] / p[0], p[2] / p[1]], [np.e, np.e])


def test_regret_matching_by_hand() -> None:
    policy, expected = RegretMatching(), np.array([0.0, 3.0, 6.0])
    np.testing.assert_allclose(policy.probabilities(NAMES, expected), 1 / 3)
    # Regrets are now -3, 0 and 3: only the last is positive.
    assert policy.probabilities(NAMES, expected).tolist() == [0, 0, 1]
    # It is what the mixture plays that is regretted: nothing new against the best action.
    assert policy.probabilities(NAMES, np.array([0.0, 20.0, 6.0])).tolist() == [0, 0, 1]
    np.testing.assert_allclose(policy.probabilities(NAMES, expected), [0, 11 / 14, 3 / 14])


def test_fictitious_play_replies_to_the_average() -> None:
    policy = FictitiousPlay()
    assert policy.probabilities(NAMES, np.array([5.0, 0.0, 0.0])).tolist() == [1, 0, 0]
    assert policy.probabilities(NAMES, np.array([0.0, 4.0, 0.0])).tolist() == [1, 0, 0]
    assert policy.probabilities(NAMES, np.array([0.0, 4.0, 0.0])).tolist() == [0, 1, 0]


def test_q_learning_finds_the_best_arm_and_tries_the_untried() -> None:
    policy, rng = QLearning(temperature=0.1), np.random.default_rng(0)
    means, tried = np.array([-1.0, 0.5, 0.0]), []
    for _ in range(300):
        p = policy.probabilities(NAMES, np.zeros(3))
        tried.append(int(rng.choice(3, p=p)))
        policy.learn(tried[-1], p, float(means[tried[-1]]))
    assert set(tried[:40]) == {0, 1, 2}
    assert np.mean(np.array(tried[100:]) == 1) > 0.9


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_gives_a_distribution(name: str) -> None:
    policy: Policy = POLICIES[name]() if name != "fixed" else Fixed(action="c")
    p = policy.probabilities(NAMES, np.array([-5.0, 2.0, 0.1]))
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1.0)
