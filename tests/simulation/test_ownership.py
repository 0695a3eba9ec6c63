"""Marks, thefts and departures inside the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.simulation.model import FederationModel

SMALL = [
    "participants.count=4",
    "participants.malicious=1",
    "rounds=3",
    "training.epochs=1",
    "deviations.rounds=0",
]


def small(name: str, *overrides: str, seed: int = 0) -> Any:
    return fs.run(name, seed=seed, overrides=[*SMALL, *overrides])


def test_thieves_are_paid_traced_and_fined() -> None:
    fixed = 'policies.malicious={name="fixed", action="steal"}'
    result = small("model-theft", fixed, "sanctions.watch_rate=1", "deviations.rounds=1",
                   'deviations.actions=["contribute"]')  # fmt: skip
    own = result.participants[result.participants["participant"] == 3].set_index("round")
    # The first copy is the base model: it is worth nothing, and carries no mark.
    assert own["sold"].iloc[0] == 0
    assert not own["traced"].iloc[0]
    assert (own["sold"].iloc[1:] > 0).all()
    assert own["traced"].iloc[1:].all()
    assert own["exposed"].tolist() == [False, True, True]
    assert own["fine"].tolist() == [0, 20, 20]
    assert own["proceeds"].tolist() == own["sold"].tolist()
    assert result.participants["sold"].notna().sum() == 3
    assert result.summary["money_error"] < 1e-9
    theft = result.summary["theft"]
    assert theft["sales"] == 3
    assert theft["traced"] == pytest.approx(2 / 3)
    assert theft["gain"] == pytest.approx(own["sold"].mean() - 0.1)
    assert theft["threshold"] == pytest.approx(max(0, theft["gain"]) / (theft["traced"] * 20))
    # Watched always, selling pays less than honest work.
    tried = result.deviations.set_index(["participant", "action"])["gain"]
    assert tried[3, "contribute"] > 0


def test_without_marks_nobody_is_traced_and_theft_pays() -> None:
    fixed = 'policies.malicious={name="fixed", action="steal"}'
    result = small("model-theft", fixed, "watermark=none", "sanctions.watch_rate=1")
    assert result.participants["fine"].sum() == 0
    assert result.summary["theft"]["threshold"] is None
    assert result.summary["marks"] is None


def test_the_model_of_all_accuses_nobody() -> None:
    """Marks that went out with copies do not come back: else p is 1e-8 after one round."""
    scenario = fs.load_scenario("model-theft", [*SMALL, "participants.malicious=0", "rounds=2"])
    model = FederationModel(scenario, seed=0)
    for _ in range(2):
        model.step()
    trace = model.setting.watermark.trace(model.setting.federation.adapter)
    assert trace is not None
    assert trace.accused is None
    assert min(own.p_value for own in trace.claims) > 1e-3


@pytest.mark.slow
def test_best_repliers_steal_only_where_it_pays() -> None:
    plain = 'policies.malicious={name="best-response"}'
    stolen = {
        rate: small("model-theft", plain, f"sanctions.watch_rate={rate}", "rounds=4")
        .participants["sold"].notna().sum()
        for rate in (0.0, 1.0)
    }  # fmt: skip
    assert stolen[0.0] >= 3  # the first copy is the base model, worth nothing unless trained on
    assert stolen[1.0] == 0


def test_clients_marks_are_in_the_summary() -> None:
    result = small("watermark-capacity", "participants.malicious=0", "watermark.bits=16")
    marks = result.summary["marks"]
    assert marks["claims"] == 4
    assert marks["detection"] > 0.8


def test_the_same_seed_gives_the_same_theft_bit_for_bit() -> None:
    first, second = (small("model-theft", "rounds=2", seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first.participants, second.participants, check_exact=True)
    assert first.summary["theft"] == second.summary["theft"]


def test_a_departure_is_settled() -> None:
    result = small(
        "right-to-be-forgotten",
        "participants.malicious=0",
        "departure.participant=3",
        'departure.executors=["fine-tune", "federaser"]',
        "departure.tolerance=0.01",
    )
    departure = result.departure
    assert departure is not None
    table = departure.table.set_index("executor")
    assert table.index.tolist() == ["original", "fine-tune", "federaser", "retrain"]
    assert table.loc["retrain", "miss"] == 0
    assert table.loc["fine-tune", "miss"] > 0.01, "the first and cheapest misses too much"
    tolerable = table.drop("original")[lambda t: t["miss"] <= 0.01]
    assert departure.chosen == tolerable["money"].idxmin()
    shares = departure.shares
    assert shares["before"].sum() == pytest.approx(20)
    assert shares["after"].iloc[3] == 0
    assert result.summary["departure"]["executor"] == departure.chosen


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("watermark=fedip", "unknown watermark 'fedip'"),
        ("watermark.bits=0", "watermark.bits"),
        ("departure.participant=4", "departure.participant: 4; expected less than 4"),
        ('departure.executors=["nothing"]', "departure.executors: unknown unlearning executor"),
        ("removals.prune.share=2", "removals.prune.share"),
        ("removals.scrub.share=0.1", "removals.scrub"),
        ("sanctions.watch_rate=2", "sanctions.watch_rate"),
        ('actions.x={sell=true, wash="soap"}', "unknown removal 'soap'"),
    ],
)
def test_bad_keys_are_named(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fs.load_scenario("model-theft", [*SMALL, override])
    assert np.isfinite(fs.load_scenario("model-theft").sanctions.theft_fine)
