"""Eq. 13's epsilon* against hand-computed gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedfm_sim.games.deviation import deviation_test

COLUMNS = ["participant", "kind", "action", "gain"]


def test_epsilon_star_is_the_largest_mean_gain_with_its_student_interval() -> None:
    rows = [(0, "honest", "x", g) for g in (1.0, 2.0, 3.0)] + [(1, "honest", "x", -1.0)] * 3
    test = deviation_test(pd.DataFrame(rows, columns=COLUMNS))
    assert test.epsilon_star == pytest.approx(2.0)
    assert test.best is not None
    assert test.epsilon.value == test.epsilon_star
    # t(0.975, 2) = 4.302653; the standard error of (1, 2, 3) is 1 / sqrt(3).
    assert test.best["low"] == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert test.best["high"] == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)


def test_a_rule_is_kept_to_in_all_rounds_that_were_tried() -> None:
    """What brings 5 in one round of three, and was played anyway in two, brings 5/3."""
    rows = [(1, 0, "honest", "x", 5.0), *((n, 1, "honest", "x", 2.0) for n in (1, 2, 3))]
    samples = pd.DataFrame(rows, columns=["round", *COLUMNS])
    for test in (deviation_test(samples), deviation_test(samples, rounds=3)):
        assert test.gains["gain"].tolist() == pytest.approx([5 / 3, 2])
        assert test.epsilon_star == 2
        # Student's of 5, 0, 0: t(0.975, 2) = 4.302653, standard error 5 / 3.
        assert test.gains["high"][0] == pytest.approx(5 / 3 * (1 + 4.302653), rel=1e-6)
        assert test.gains["low"][1] == test.gains["high"][1] == 2
        # The other gain is known, so that nothing was chosen among uncertain ones.
        assert test.epsilon.low == 2
        assert test.epsilon.high == test.gains["high"][0]
    longer = deviation_test(samples, rounds=5)
    assert longer.gains["gain"].tolist() == [1, 6 / 5]


def test_the_largest_of_fifty_that_cost_something_shows_nothing() -> None:
    rng = np.random.default_rng(1)
    rows = [(n, k, "honest", "x", rng.normal(-0.2, 0.5)) for n in (1, 2, 3) for k in range(50)]
    test = deviation_test(pd.DataFrame(rows, columns=["round", *COLUMNS]))
    assert test.epsilon_star > 0.2
    assert test.epsilon.low == 0
    assert (test.gains["low"] > 0).any()  # of each for itself, some do not hold


def test_an_equilibrium_has_epsilon_star_zero() -> None:
    test = deviation_test(pd.DataFrame([(0, "honest", "x", -0.5)], columns=COLUMNS))
    assert test.epsilon_star == 0.0
    assert pd.isna(test.gains["low"]).all()


def test_nothing_tried() -> None:
    test = deviation_test(pd.DataFrame(columns=COLUMNS))
    assert test.epsilon_star == 0.0
    assert test.best is None
