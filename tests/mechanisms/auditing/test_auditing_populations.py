"""The populations that mechanisms are audited on, and what is true of their games."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.registry import NestedError
from fedfm_sim.mechanisms import Market
from fedfm_sim.mechanisms.auditing import POPULATIONS, audit
from fedfm_sim.mechanisms.auditing.population import Instance
from fedfm_sim.mechanisms.auditing.rounds import best_units
from fedfm_sim.reporting.audit_figures import draw_audit

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, name: str = "lognormal-costs", **fields: Any) -> Instance:
    return POPULATIONS.build({"name": name, **fields}).draw(np.random.default_rng(seed))


@pytest.mark.parametrize("name", list(POPULATIONS))
@settings(max_examples=20)
@given(seed=seeds)
def test_money_is_at_the_scale_of_the_simulator(name: str, seed: int) -> None:
    instance = drawn(seed, name)
    market = instance.market
    cost = instance.costs(market.capacity)
    assert cost.shape == instance.reputation.shape == instance.quality.shape == (6,)
    assert instance.covers.shape == (6, 4)
    assert (cost > 0).all()
    assert ((instance.reputation >= 0) & (instance.reputation <= 1)).all()
    typical = cost / market.capacity * 160
    assert 0.1 < np.median(typical) < 5
    game = instance.game(market.capacity)
    assert 0 < game.value(0, 1, 2, 3, 4, 5) < 1


def test_populations_are_what_they_are_called() -> None:
    def per_unit(name: str, **fields: Any) -> Array:
        draws = [drawn(seed, name, participants=12, **fields) for seed in range(200)]
        markets = [draw.market for draw in draws]
        return np.array(
            [d.costs(m.capacity) / m.capacity for d, m in zip(draws, markets, strict=True)]
        )

    unit = 0.004 + 1.25e-5 * 160
    assert np.log(per_unit("lognormal-costs", spread=0.3) / unit).std() == pytest.approx(
        0.3, rel=0.05
    )
    uniform = per_unit("uniform-costs", least=0.5) / unit
    assert 0.5 <= uniform.min() < 0.51
    assert 1.49 < uniform.max() <= 1.5
    assert set(np.round(per_unit("two-types", dear=4.0) / unit, 9).ravel()) == {1.0, 4.0}
    assert np.ptp(per_unit("identical"), axis=1) == pytest.approx(np.zeros(200))
    assert drawn(0, "one-large", large=7.0).market.capacity[0] == 7 * 160


@settings(max_examples=30)
@given(seed=seeds, redundancy=st.floats(0, 0.95))
def test_games_are_monotone_and_submodular(seed: int, redundancy: float) -> None:
    instance = drawn(seed, participants=4, redundancy=redundancy)
    table = instance.game(instance.market.capacity).table()
    assert table[0] == 0
    for mask in range(16):
        for other in range(16):
            assert table[mask] + table[other] >= table[mask | other] + table[mask & other] - 1e-12
            assert table[mask | other] >= table[mask] - 1e-12


@settings(max_examples=30)
@given(seed=seeds, redundancy=st.floats(0, 0.95))
def test_a_copy_adds_nothing_and_halves_add_up(seed: int, redundancy: float) -> None:
    instance = drawn(seed, participants=3, redundancy=redundancy)
    before = instance.game(instance.market.capacity).table()
    copied, split = instance.copied(1), instance.split(1)
    twice, halves = (one.game(one.market.capacity).table() for one in (copied, split))
    # Bit 3 is the second identity of participant 1.
    for mask in range(8):
        assert twice[mask | 8] == pytest.approx(before[mask | 2])
        assert twice[mask] == pytest.approx(before[mask])
        if mask & 2:
            assert halves[mask | 8] == pytest.approx(before[mask])
    assert halves[2] == pytest.approx(halves[8])
    assert halves[2] < before[2]
    whole = instance.costs(instance.market.capacity)[1]
    assert copied.owner_cost(1, copied.market.capacity) == pytest.approx(whole)
    assert split.owner_cost(1, split.market.capacity) == pytest.approx(whole)


def test_a_worthless_participant_adds_nothing_anywhere() -> None:
    instance = drawn(0, participants=3, redundancy=0.5).worthless(2)
    table = instance.game(instance.market.capacity).table()
    assert (table[4:] == table[:4]).all()
    assert instance.gram(instance.market.capacity)[2].tolist() == [0, 0, 0]


def test_updates_overlap_as_the_data_does() -> None:
    instance = drawn(0, participants=3, redundancy=0.25).copied(0)
    gram = instance.gram(instance.market.capacity)
    norms = np.sqrt(np.diag(gram))
    cosines = gram / np.outer(norms, norms)
    assert cosines[0, 3] == pytest.approx(1)
    assert cosines[0, 1] == cosines[1, 2] == pytest.approx(0.25)
    assert np.linalg.eigvalsh(gram).min() > -1e-9 * norms.max() ** 2


@settings(max_examples=30)
@given(seed=seeds, step=st.floats(10, 200), level=st.floats(0.2, 3))
def test_the_best_units_are_those_of_a_fine_grid(seed: int, step: float, level: float) -> None:
    rng = np.random.default_rng(seed)
    market = Market(
        rng.uniform(0.001, 0.01, 3), rng.uniform(1e-6, 1e-4, 3), rng.uniform(50, 300, 3)
    )

    def bent(units: Array) -> Array:
        return level * np.sqrt(units / 100)

    def menu(units: Array) -> Array:
        return np.where(units >= step, level, 0.0)

    def cost(units: Array) -> Array:
        return market.linear * units + market.quadratic * units**2

    grid = np.linspace(0, 1, 20_001)[:, None] * market.capacity
    dearest = cost(market.capacity) - cost(market.capacity * 511 / 512)
    for tariff, lost in ((bent, 1e-9), (menu, dearest)):
        found = best_units(tariff, market)
        assert ((found >= 0) & (found <= market.capacity)).all()
        best = (tariff(grid) - cost(grid)).max(axis=0)
        assert (tariff(found) - cost(found) >= best - lost).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"participants": 13}, "participants: .*12, got 13"),
        ({"participants": 1}, "participants"),
        ({"spread": float("inf")}, "spread"),
        ({"redundancy": 1.0}, "redundancy"),
        ({"spred": 1.0}, r"spred: unknown key \(did you mean 'spread'\?\); .*: name, participants"),
    ],
)
def test_bad_populations_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(NestedError) as caught:
        POPULATIONS.build({"name": "lognormal-costs", **fields})
    assert re.search(message, caught.value.line)


def test_the_picture_has_a_row_for_every_property() -> None:
    two = POPULATIONS.build({"name": "uniform-costs", "participants": 2})
    report = audit("lowest-price", two, 2)
    axes = draw_audit(report).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [found.name for found in report.findings]
    words = [text.get_text() for text in axes.texts]
    assert len(words) == len(labels)
    assert words[labels.index("core stability")] == "does not apply"
    widths = [bar.get_bbox().width for bar in axes.patches if isinstance(bar, Rectangle)]
    applying = [found for found in report.findings if found.applies]
    assert widths == pytest.approx([100 * found.share_violated for found in applying])
    assert 100 in widths
