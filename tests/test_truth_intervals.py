"""Intervals cover what they say, by the simulations of ``benchmarks/truth_intervals.py``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "truth_intervals.py"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="benchmarks are not distributed")


@pytest.fixture(scope="module")
def truth() -> ModuleType:
    spec = importlib.util.spec_from_file_location("truth_intervals", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


#: Trial, what it is of, and the replicates that commands take unless told otherwise.
EXACT: Sequence[tuple[str, int, tuple[Any, ...]]] = (
    ("equilibrium_payoff", 5, (0.5,)),
    ("ratio", 3, (True,)),
    ("ratio", 5, (False,)),
    ("federation_epsilon", 3, (0.5,)),
)

#: Those that hold at least so often, and raise a false alarm in at most 2.5 % of draws.
CONSERVATIVE: Sequence[tuple[str, int, tuple[Any, ...]]] = (
    ("exploitability", 3, ((0.0,) * 5,)),
    ("exploitability", 5, ((2.0, -3.0, -3.0, -3.0, -3.0),)),
    ("true_equilibrium", 5, ()),
    ("settled", 5, ()),
    ("deviations", 3, ((0.0,) * 50,)),
)


@pytest.mark.parametrize(("name", "replicates", "more"), EXACT)
def test_it_covers_in_95_of_100(
    truth: ModuleType, name: str, replicates: int, more: tuple[Any, ...]
) -> None:
    trial = partial(getattr(truth, name), replicates, *more)
    line = truth.repeated(name, replicates, "95 %", 250, trial)
    assert 0.915 <= line.covered <= 0.985  # within 2.5 standard errors


@pytest.mark.parametrize(("name", "replicates", "more"), CONSERVATIVE)
def test_it_covers_at_least_as_often_and_alarms_rarely(
    truth: ModuleType, name: str, replicates: int, more: tuple[Any, ...]
) -> None:
    trial = partial(getattr(truth, name), replicates, *more)
    line = truth.repeated(name, replicates, "at least 95 %", 150, trial)
    assert line.covered >= 0.92
    assert line.false_alarms <= 0.06  # 0.025 and 2.8 standard errors


@pytest.mark.parametrize("method", ["permutation", "gtg", "kernel-shap", "banzhaf-sampled"])
def test_sampled_contributions_at_forty_coalitions(truth: ModuleType, method: str) -> None:
    line = truth.contribution(method, 8, 40, "root", 2, 40)
    assert 0.91 <= line.covered <= 0.99


@pytest.mark.slow
def test_all_of_them(truth: ModuleType) -> None:
    """Every line of the table, at the draws that the command takes."""
    for line in truth.intervals(1000, 4):
        least = 0.72 if line.stated == "75%" else 0.88 if "vote" in line.interval else 0.92
        assert line.covered >= least, line
        if line.stated == "95 %" and line.draws >= 700:
            assert line.covered <= 0.98, line
        assert not line.false_alarms > 0.06, line
