"""What a round tells those who learn from it: mechanism, trust, beliefs and books."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fedfm_sim as fs
from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads
from fedfm_sim.mechanisms import FairInstalments
from fedfm_sim.mechanisms.protocol import Delivery
from fedfm_sim.mechanisms.reputation import AUDIT_EVIDENCE, Reputation
from fedfm_sim.security.watermarks import Watermark
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.round import Round, step_together
from fedfm_sim.simulation.state import branch, state_of

SMALL = [
    "participants.count=4",
    "participants.semi_honest=0",
    "participants.malicious=1",
    "rounds=3",
    "training.epochs=1",
    "contribution.every=0",
    "deviations.rounds=0",
    "mechanism={name='posted-price', price=0.05}",
]


def model(*overrides: str, scenario: str = "quickstart", seed: int = 3) -> FederationModel:
    return FederationModel(fs.load_scenario(scenario, [*SMALL, *overrides]), seed)


REPORTING = [
    "policies.honest={name='fixed', action='report'}",
    "policies.malicious={name='fixed', action='backdoor'}",
    "mechanism={name='fli', budget=8.0}",
    "sanctions.bounty=5.0",
    "defence=multi-krum",
]


def test_a_mechanism_learns_what_it_paid_and_no_bounty(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Array] = []
    learn = FairInstalments.learn

    def listening(self: FairInstalments, payments: Array, delivery: Delivery) -> None:
        told.append(payments)
        learn(self, payments, delivery)

    monkeypatch.setattr(FairInstalments, "learn", listening)
    own = model(*REPORTING)
    (last,) = step_together([own])
    table = own.tables()[1]
    assert last.convicted.tolist() == [False, False, False, True]
    assert table["bounty"].tolist() == [5, 5, 5, 0]
    (payments,) = told
    # What a conviction confiscates was not paid.
    assert payments.tolist() == table["payment"].tolist() == last.payments.tolist()
    assert payments[3] == 0
    assert payments.sum() < 8.0 <= last.play.payments.sum() + 1e-9
    journal = own.book.to_frame()
    assert journal.loc[journal["purpose"] == "payment", "amount"].sum() == pytest.approx(
        payments.sum()
    )
    assert journal.loc[journal["purpose"] == "bounty", "amount"].sum() == 15
    assert own.book.money_error < 1e-9


def test_what_a_unit_is_believed_to_pay_is_the_payment_alone() -> None:
    own = model(*[o for o in REPORTING if "honest" not in o], "policies.honest.name=best-response")
    for agent in own.participants[:3]:
        agent.beliefs.upheld["report"] = 1.0
    own.step()
    row = own.tables()[1].iloc[0]
    assert (row["action"], row["bounty"]) == ("report", 5)
    believed = own.participants[0].beliefs.unit_pay
    assert believed == pytest.approx(row["payment"] / row["units_declared"])


def test_who_drops_out_of_a_secure_sum_is_not_paid_and_earns_no_trust() -> None:
    own = model(
        "participants.malicious=0",
        "participants.count=5",
        "defence={name='secure-sum', dropout=0.4}",
        "sanctions.audit_rate=0.0",
        "policies.honest={name='fixed', action='contribute'}",
    )
    (last,) = step_together([own])
    table = own.tables()[1]
    gone = table["weight"] == 0
    assert gone.sum() == 2
    assert (table.loc[gone, "payment"] == 0).all()
    assert (table.loc[~gone, "payment"] > 0).all()
    # They trained for nothing: work was done, and no update arrived.
    assert (table.loc[gone, "cost"] > 0).all()
    trust = own.reputation.trust
    assert (trust[gone] == 0.5).all()
    assert (trust[~gone] > 0.5).all()
    assert (last.play.delivery.units[gone] == 0).all()


def test_an_excluded_free_rider_learns_that_riding_free_pays_nothing() -> None:
    overrides = [
        "rounds=6",
        "mechanism={name='reputation-auction', budget=40.0, threshold=0.45}",
        "sanctions={audit_rate=0.5, tolerance=0.05}",
        "policies.honest={name='fixed', action='contribute'}",
        "policies.malicious.name=best-response",
        "action_sets.malicious=['contribute', 'free-ride', 'stay-out']",
    ]
    own = model(*overrides)
    for _ in range(6):
        own.step()
    table = own.tables()[1]
    rider = table[table["participant"] == 3].set_index("round")
    assert rider["convicted"].any()
    rode = rider.index[rider["action"] == "free-ride"]
    refused = rider.index[(rider["action"] == "free-ride") & (rider["weight"] == 0)]
    assert len(refused) == 1
    assert rode.max() == refused[0]  # refused once, it knows
    assert len(rode) <= 3
    assert own.participants[3].expect("free-ride") == 0.0


EVIDENCE = ["policies.honest={name='fixed', action='contribute'}", "sanctions.tolerance=0.05"]


@pytest.mark.parametrize(
    ("overrides", "honest", "malicious"),
    [
        (["sanctions.audit_rate=1.0"], (1 + AUDIT_EVIDENCE, 0), (0, AUDIT_EVIDENCE)),
        (["sanctions.audit_rate=0.0"], (1, 0), (1, 0)),
    ],
)
def test_audits_move_trust(
    overrides: list[str], honest: tuple[float, float], malicious: tuple[float, float]
) -> None:
    own = model(*EVIDENCE, *overrides, "policies.malicious={name='fixed', action='label-flip'}")
    own.step()
    own.step()
    expected = Reputation(4)
    for _ in range(2):
        positive, negative = zip(*[honest] * 3, malicious, strict=True)
        expected.update(positive, negative)
    assert own.reputation.trust.tolist() == expected.trust.tolist()
    assert own.current.trust.tolist() == expected.trust.tolist()


def test_a_traced_thief_loses_trust_and_money() -> None:
    own = model(
        "sanctions={watch_rate=1.0, theft_fine=30.0}",
        "action_sets.malicious=['steal', 'contribute']",
        "policies.malicious={name='fixed', action='steal'}",
        scenario="model-theft",
    )
    for _ in range(3):
        (last,) = step_together([own])
    assert last.exposed.tolist() == [False, False, False, True]
    positive, negative = last.evidence
    assert (positive[3], negative[3]) == (0, AUDIT_EVIDENCE)
    assert own.reputation.trust[3] < 0.3 < 0.5 < own.reputation.trust[0]
    assert float(np.asarray(last.utility["fine"])[3]) == 30.0
    assert own.participants[3].beliefs.traced == {}  # nobody asks: it always steals


def test_a_rejected_update_is_evidence_against_its_author(monkeypatch: pytest.MonkeyPatch) -> None:
    from fedfm_sim.security.attacks.label_flip import LabelFlip

    monkeypatch.setattr(LabelFlip, "corrupt", lambda self, update, view, rng: update * float("nan"))
    own = model(
        *EVIDENCE,
        "sanctions={audit_rate=0.0}",
        "policies.malicious={name='fixed', action='label-flip'}",
    )
    own.step()
    assert own.reputation.negative.tolist() == [0, 0, 0, 1]
    assert own.reputation.positive.tolist() == [1, 1, 1, 0]


def test_all_who_remember_are_told_of_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def learn(self: AggregationRule, uploads: Uploads, aggregate: Aggregate) -> None:
        heard.append(("rule", uploads.members.tolist(), aggregate.weights.sum()))

    def take_note(self: Watermark, number: int, members: list[int]) -> None:
        heard.append(("marks", number, members))

    monkeypatch.setattr(AggregationRule, "learn", learn)
    monkeypatch.setattr(Watermark, "take_note", take_note)
    own = model(
        "participants.malicious=0",
        "policies.honest={name='fixed', action=['contribute', 'stay-out']}",
        "rounds=2",
    )
    own.step()
    own.step()
    assert heard == [
        part
        for number in (0, 1)
        for part in (("rule", [0, 2], pytest.approx(1.0)), ("marks", number, [0, 2]))
    ]


def test_expected_leakage_is_last_rounds_and_raises_the_asks() -> None:
    own = model("participants.malicious=0", "policies.honest={name='fixed', action='contribute'}")
    assert own.current.leakage_expected.tolist() == [0, 0, 0, 0]
    (last,) = step_together([own])
    leaked, first = last.play.leakage, last.play.asks
    assert own.current.leakage_expected.tolist() == leaked.tolist()
    assert leaked.max() > 0
    (last,) = step_together([own])
    risen = last.play.asks - first
    np.testing.assert_allclose(risen, own.prices.privacy * leaked, rtol=1e-9, atol=1e-12)


def test_a_branch_goes_its_own_way_and_leaves_the_run_alone() -> None:
    """The same future twice, and another one under another choice."""
    overrides = ["defence=foolsgold", "policies.malicious={name='q-learning', temperature=2.0}"]
    own, alone = model(*overrides), model(*overrides)
    for each in (own, alone):
        each.step()
    other = branch(own)
    before = state_of(own)
    for _ in range(2):
        other.step()
    assert str(state_of(own)) == str(before)
    for _ in range(2):
        own.step()
        alone.step()
    for name, table in zip("rpd", own.tables(), strict=True):
        assert table.equals(dict(zip("rpd", other.tables(), strict=True))[name])
        assert table.equals(dict(zip("rpd", alone.tables(), strict=True))[name])
    assert (own.adapter == other.adapter).all()


def test_in_a_round_open_to_all_nobodys_ask_counts() -> None:
    own = model("mechanism={name='posted-price', price=0.0}", "participants.malicious=0")
    (last,) = step_together([own])
    assert not last.play.allocation.selected.any()
    play = Round.open_to_all(own.setting, 1).play(["contribute"] * 4)
    assert play.allocation.selected.all()


def test_the_next_round_starts_from_the_model_that_the_server_marked() -> None:
    own = model("watermark=waffle", "participants.malicious=0")
    (last,) = step_together([own])
    aggregated = last.play.aggregate.adapter
    assert not (own.adapter == aggregated).all()
    assert (own.adapter == own.setting.watermark.mark_shared(aggregated, 0)).all()
    accuracy = float(own.setting.evaluator.accuracies(own.adapter[None])[0])
    assert own.tables()[0]["accuracy"].tolist() == [accuracy]
