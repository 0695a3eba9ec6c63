"""Eq. 13's epsilon* against hand-computed gains."""

from __future__ import annotations

import pandas as pd
import pytest

from fedfm_sim.games.deviation import deviation_test

COLUMNS = ["participant", "kind", "action", "gain"]


def test_epsilon_star_is_the_largest_mean_gain_with_its_student_interval() -> None:
    rows = [(0, "honest", "x", g) for g in (1.0, 2.0, 3.0)] + [(1, "honest", "x", -1.0)] * 3
    test = deviation_test(pd.DataFrame(rows, columns=COLUMNS))
    assert test.epsilon_star == pytest.approx(2.0)
    assert test.best is not None
    # t(0.975, 2) = 4.302653; the standard error of (1, 2, 3) is 1 / sqrt(3).
    assert test.best["low"] == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert test.best["high"] == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)


def test_an_equilibrium_has_epsilon_star_zero() -> None:
    test = deviation_test(pd.DataFrame([(0, "honest", "x", -0.5)], columns=COLUMNS))
    assert test.epsilon_star == 0.0
    assert pd.isna(test.gains["low"]).all()


def test_nothing_tried() -> None:
    test = deviation_test(pd.DataFrame(columns=COLUMNS))
    assert test.epsilon_star == 0.0
    assert test.best is None
