"""Foreign keys on adapters that nobody marked: no claim, and p-values that are p-values.

The exact distribution of p is in `test_keys_and_claims`; here real models answer. The table of
2,000 keys and every scheme is ``benchmarks/truth_claims.py``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.removal import false_trigger_claims
from fedfm_sim.security.watermarks.triggers import claim_of, trigger_set

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def inverted(backbone: Backbone, digits: SplitData) -> Federation:
    """Return a federation whose adapter was trained on inverted digits."""
    federation = Federation.create(
        backbone, LoraSettings(rank=4, alpha=8.0), TrainingSettings(epochs=3), 0
    )
    shard = digits.private.select(slice(0, 200))
    negative = Examples({"pixel_values": 1 - shard.inputs["pixel_values"]}, shard.labels)
    trained = federation.train([negative], [np.random.default_rng(0)])
    federation.advance(trained.adapters[0])
    return federation


@pytest.mark.parametrize("style", ["noise", "pattern", "grid"])
def test_triggers_of_foreign_keys(style: Any, inverted: Federation, digits: SplitData) -> None:
    keys = [Key.draw("", rng) for rng in map(np.random.default_rng, range(100))]
    sets = [trigger_set(key, digits.public, 10, 30, style) for key in keys]
    values = false_trigger_claims(inverted, inverted.adapter[None], sets, 10)
    assert values.shape == (1, 100)
    assert values.min() > 1e-6
    for level in (0.05, 0.01):  # and three standard errors
        assert (values <= level).mean() <= level + 3 * (level / 100) ** 0.5
    assert values[0, 7] == claim_of(inverted, inverted.adapter, keys[7], sets[7], 10).p_value


@pytest.mark.slow
def test_the_truth_of_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "truth_claims", raising=False)
    truth = import_module("truth_claims")
    table = truth.truth_of_claims(keys=1000)
    assert table["claims"].sum() == 0
    for level in truth.LEVELS:
        seen = table[f"p <= {level:g}"] * table["keys"]
        # Exact, for some rows have four keys: so many or more would be chance 1 time in 10,000.
        chance = binom.sf(seen.round() - 1, table["keys"], level)
        assert chance.min() > 1e-4, table
