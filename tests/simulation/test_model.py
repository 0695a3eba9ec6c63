"""The simulation on small federations: determinism, money, quarantine, deviations."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fedfm_sim as fs
from fedfm_sim.agents.actions import ACTIONS
from fedfm_sim.mechanisms import Announcement
from fedfm_sim.security.attacks.label_flip import LabelFlip
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.updates import RoundUpdates

SMALL = [
    "participants.count=4",
    "participants.semi_honest=1",
    "participants.malicious=1",
    "rounds=2",
    "training.epochs=1",
    "contribution.every=1",
    "contribution.examples=20",
    "deviations.rounds=1",
]


def run(*overrides: str, seed: int = 7) -> Any:
    return fs.run("quickstart", seed=seed, overrides=[*SMALL, *overrides])


#: Run once for all that look at the same; nobody changes a result.
small = cache(run)


def test_the_same_seed_gives_the_same_result_bit_for_bit() -> None:
    first, second = small(), run()
    timeless = [{k: v for k, v in r.summary.items() if k != "timing"} for r in (first, second)]
    assert json.dumps(timeless[0]) == json.dumps(timeless[1])
    pd.testing.assert_frame_equal(first.rounds, second.rounds, check_exact=True)
    pd.testing.assert_frame_equal(first.participants, second.participants, check_exact=True)
    pd.testing.assert_frame_equal(first.deviations, second.deviations, check_exact=True)
    assert torch.equal(first.adapter, second.adapter)


def test_another_seed_gives_another_result() -> None:
    assert not torch.equal(small().adapter, small(seed=8).adapter)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["mechanism.name=reputation-auction", "mechanism.budget=5"],
        ["mechanism.name=contribution-share", "mechanism.budget=8", "deviations.rounds=0"],
        ["sanctions.audit_rate=1", 'policies.malicious={name="fixed", action="free-ride"}'],
        ['policies.honest={name="fixed", action="report"}', "defence=multi-krum"],
    ],
)
def test_money_is_conserved_and_utilities_agree_with_the_accounts(overrides: list[str]) -> None:
    result = small(*overrides)
    assert result.summary["money_error"] < 1e-9
    table = result.participants
    journal = result.journal
    for k in range(4):
        gained = journal.loc[journal["target"] == str(k), "amount"].sum()
        lost = journal.loc[journal["source"] == str(k), "amount"].sum()
        seized = journal.loc[
            (journal["source"] == f"escrow/{k}") & (journal["target"] == "server"), "amount"
        ].sum()
        deposit = journal.loc[journal["target"] == f"escrow/{k}", "amount"].sum()
        mine = table[table["participant"] == k]
        expected = (mine["reward"] - mine["cost"]).sum()
        assert gained - lost + deposit - seized == pytest.approx(expected, abs=1e-9)


def test_utility_is_equation_12() -> None:
    result = small()
    table, prices = result.participants, result.scenario.prices
    total = (
        table["payment"]
        + table["proceeds"]
        - table["fine"]
        - table["cost"]
        + prices.reputation * table["reputation"]
        - prices.privacy * table["privacy"]
        - prices.efficiency * table["efficiency"]
    )
    np.testing.assert_allclose(table["utility"], total, atol=1e-12)


def test_an_audited_free_rider_is_convicted_and_an_honest_participant_never() -> None:
    result = small(
        "sanctions.audit_rate=1", 'policies.malicious={name="fixed", action="free-ride"}'
    )
    table = result.participants
    cheats = table[table["action"] == "free-ride"]
    assert len(cheats) == 2
    assert cheats["convicted"].all()
    assert (cheats["payment"] == 0).all()
    assert (cheats["fine"] == 20).all()
    assert not table.loc[table["kind"] != "malicious", "convicted"].any()


@pytest.mark.parametrize(
    ("value", "word"), [(float("nan"), "NaN"), (float("inf"), "Inf"), (1e30, "1e\\+30")]
)
def test_a_hostile_update_is_named_unpaid_and_never_aggregated(
    value: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        LabelFlip, "corrupt", lambda self, update, reference, rng: torch.full_like(update, value)
    )
    result = run('policies.malicious={name="fixed", action="label-flip"}', "deviations.rounds=0")
    bad = result.participants[result.participants["action"] == "label-flip"]
    assert bad["quarantined"].str.contains(word).all()
    assert (bad["weight"] == 0).all()
    assert (bad["payment"] == 0).all()
    assert torch.isfinite(result.adapter).all()
    assert result.rounds["quarantined"].str.startswith("3: ").all()


def test_contributions_are_those_of_the_rounds_game() -> None:
    table = small().participants
    last = table[table["round"] == 2]
    assert last["shapley"].sum() == pytest.approx(last["least_core"].sum(), abs=1e-9)
    staying = last[last["units_declared"] == 0]
    np.testing.assert_allclose(staying["shapley"], 0, atol=1e-6)


def model_and_play(*names: str) -> tuple[FederationModel, Play]:
    model = FederationModel(fs.load_scenario("quickstart", SMALL), 3)
    updates = RoundUpdates(model.setting, 0)
    trust, leakage = model.reputation.trust, model.current.leakage_expected
    announcement = Announcement.of_price(0.02)
    return model, Play(model.setting, updates, names, announcement, trust, leakage)


def test_nobody_taking_part_keeps_the_model() -> None:
    model, play = model_and_play(*["stay-out"] * 4)
    assert torch.equal(play.new_adapter, model.adapter)
    assert play.payments.sum() == 0
    assert play.leakage.sum() == 0


def test_free_riding_saves_the_work_and_half_a_share_half_of_it() -> None:
    _, play = model_and_play("contribute", "contribute-half", "free-ride", "stay-out")
    sizes = [len(shard) for shard in play.setting.holdings.shards]
    assert play.worked.tolist() == [sizes[0], -(-sizes[1] // 2), 0, 0]
    assert play.units[2] == sizes[2]
    assert play.guilty.tolist() == [False, False, True, False]


def test_a_reporter_accuses_the_one_that_stands_out() -> None:
    _, play = model_and_play("report", "contribute", "contribute", "backdoor")
    assert play.accusations == {0: 3}
    assert play.audit_probability[3] == 1.0


def test_expected_utility_is_the_mean_over_the_audit_lottery() -> None:
    model, play = model_and_play("contribute", "contribute", "contribute", "free-ride")
    sanctions = model.setting.scenario.sanctions
    caught = -sanctions.fine - play.cost_of(3)
    free = float(play.payments[3]) - play.cost_of(3)
    rest = float(play.expected(3).total) - (
        sanctions.audit_rate * caught + (1 - sanctions.audit_rate) * free
    )
    prices = model.setting.scenario.prices
    assert rest == pytest.approx(
        prices.reputation * play.trust[3]
        - prices.privacy * play.leakage[3]
        - prices.efficiency * play.burden[3]
    )


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(st.lists(st.sampled_from(sorted(ACTIONS)), min_size=4, max_size=4))
def test_any_profile_of_actions_gives_a_finite_model_and_finite_terms(names: list[str]) -> None:
    _, play = model_and_play(*names)
    assert torch.isfinite(play.new_adapter).all()
    utilities = [float(play.expected(k).total) for k in range(4)]
    assert np.isfinite(utilities).all()
    assert (abs(play.leakage) <= 1.5).all()
    assert play.weights.sum() == pytest.approx(1.0 if len(play.accepted) else 0.0)


def test_an_honest_ask_is_the_full_cost_of_taking_part() -> None:
    model, play = model_and_play("contribute", "overbid", "contribute-half", "stay-out")
    leakage = np.array([0.3, 0.2, 0.1, 0.4])
    asks = replace(play, leakage_expected=leakage).asks
    prices, costs = model.setting.scenario.prices, model.setting.costs
    burden = costs.burden(play.units, play.units > 0)
    full = costs.cost(play.units) + prices.privacy * leakage + prices.efficiency * burden
    np.testing.assert_allclose(asks, full * [1, 1.5, 1, 0], rtol=1e-12)


def test_the_price_anticipates_the_cost_of_privacy() -> None:
    model, _ = model_and_play(*["contribute"] * 4)
    mechanism, market = model.setting.mechanism, model.setting.market
    without, some = (mechanism.announce(market(np.full(4, leak))).price for leak in (0.0, 0.2))
    assert some > without
