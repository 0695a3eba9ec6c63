"""What a participant expects of an action, and what it learns from a round."""

from __future__ import annotations

from dataclasses import dataclass

import mesa
import numpy as np
import pytest

from fedfm_sim.agents.actions import ACTIONS
from fedfm_sim.agents.participant import Beliefs, Participant
from fedfm_sim.agents.policies import BestResponse, Fixed, Policy
from fedfm_sim.agents.prices import Prices
from fedfm_sim.agents.world import Terms, Work
from fedfm_sim.core.action import Action
from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.protocol import Announcement
from fedfm_sim.mechanisms.sanctions import Sanctions

SANCTIONS = Sanctions(
    audit_rate=0.25, fine=20.0, bounty=5.0, false_report_fee=2.0, watch_rate=0.1, theft_fine=30.0
)


class Plain(mesa.Model):  # type: ignore[misc]
    """A world with stated numbers: 100 units declared, cost 2, burden 3."""

    def __init__(self, terms: Terms, prices: Prices | None = None) -> None:
        super().__init__(rng=0)
        self.terms, self.prices = terms, prices or Prices(privacy=2.0, efficiency=0.5)

    def generator(self, purpose: str, participant: int) -> np.random.Generator:
        return np.random.default_rng(0)

    def price_work(self, participant: int, name: str) -> Work:
        idle = ACTIONS[name].attack == "free-ride"
        return Work(100.0, 0.0 if idle else 2.0, 0.0 if idle else 3.0)

    def sale_value(self, participant: int, name: str) -> float:
        return 12.0

    def goal_of(self, action: Action) -> str:
        return {"backdoor": "backdoor", "label-flip": "damage"}.get(action.attack or "", "")


@dataclass
class Round:
    """What a round brought."""

    utility: float = 0.0
    selected: bool = True
    payment: float = 0.0
    convicted: bool = False
    going_rate: float = 0.0
    proceeds: float = 0.0
    leakage: float = 0.0
    traced: bool | None = None
    upheld: bool | None = None


POSTED = Terms(Announcement.of_price(0.1), SANCTIONS)
UNPOSTED = Terms(Announcement(), SANCTIONS)


def participant(
    *names: str, terms: Terms = POSTED, policy: Policy | None = None, prices: Prices | None = None
) -> Participant:
    actions = {name: ACTIONS[name] for name in names}
    world = Plain(terms, prices)
    return Participant(world, 0, "malicious", actions, policy or BestResponse(), Beliefs(0.04))


def test_honest_work_is_worth_its_pay_less_cost_privacy_and_burden() -> None:
    own = participant("contribute")
    own.beliefs.leakage["contribute"] = 0.3
    assert own.expect("contribute") == pytest.approx(10 - 2 - 2 * 0.3 - 0.5 * 3)


def test_an_attacker_expects_to_be_audited_fined_and_not_paid() -> None:
    own = participant("free-ride", "backdoor")
    assert own.expect("free-ride") == pytest.approx(0.75 * 10 - 0.25 * 20)
    # Untried it is thought to succeed in full; 0.2 is the effort.
    hoped = own.world.prices.backdoor
    assert own.expect("backdoor") == pytest.approx(7.5 - 5 + hoped - 2.2 - 1.5)
    own.beliefs.proceeds["backdoor"] = 1.0
    assert own.expect("backdoor") == pytest.approx(7.5 - 5 + 1 - 2.2 - 1.5)


def test_a_seller_expects_to_be_found_and_traced() -> None:
    own = participant("steal")
    honest = 10 - 2.1 - 1.5
    assert own.expect("steal") == pytest.approx(honest + 12 - 0.1 * 30)
    own.action = "steal"
    own.learn(Round(payment=10, traced=False))
    assert own.expect("steal") == pytest.approx(honest + 12)
    own.learn(Round(payment=10, traced=True))
    assert own.expect("steal") == pytest.approx(honest + 12 - 0.1 * 30 / 2)


def test_a_report_is_worth_what_reports_were() -> None:
    own = participant("contribute", "report")
    assert own.expect("report") == own.expect("contribute")
    own.action = "report"
    own.learn(Round(payment=10, upheld=True))
    assert own.expect("report") == pytest.approx(own.expect("contribute") + 5)
    own.learn(Round(payment=10, upheld=False))
    assert own.expect("report") == pytest.approx(own.expect("contribute") + (5 - 2) / 2)


def test_where_no_tariff_is_posted_the_last_pay_per_unit_is_expected() -> None:
    own = participant("contribute", "overbid", terms=UNPOSTED)
    assert own.expect("contribute") == pytest.approx(4 - 2 - 1.5)
    own.learn(Round(payment=9.0))
    assert own.beliefs.unit_pay == pytest.approx(0.09)
    assert own.expect("contribute") == pytest.approx(9 - 2 - 1.5)
    # Who asks for half as much again expects as much more, and its pay tells the price.
    assert own.expect("overbid") == pytest.approx(13.5 - 2 - 1.5)
    own.action = "overbid"
    own.learn(Round(payment=12.0))
    assert own.beliefs.unit_pay == pytest.approx(0.08)
    assert own.expect("contribute") == pytest.approx(9 - 2 - 1.5)


def test_what_pays_nothing_is_known_and_what_others_are_paid_is_heard_of() -> None:
    own = participant("contribute", "free-ride", terms=UNPOSTED)
    own.action = "free-ride"
    own.learn(Round(payment=0.0, going_rate=0.2))
    assert own.expect("free-ride") == pytest.approx(-0.25 * 20)
    assert own.expect("contribute") == pytest.approx(20 - 2 - 1.5)
    # A conviction takes the payment, and says nothing of what there was to take.
    own = participant("contribute", "free-ride", terms=UNPOSTED)
    own.action = "free-ride"
    own.learn(Round(payment=0.0, convicted=True))
    assert own.expect("free-ride") == pytest.approx(0.75 * 4 - 0.25 * 20)


def test_an_action_that_is_not_let_take_part_is_expected_to_bring_nothing() -> None:
    own = participant("contribute", "free-ride", terms=UNPOSTED)
    own.action = "free-ride"
    own.learn(Round(selected=False))
    assert own.expect("free-ride") == 0.0
    assert own.expect("contribute") > 0
    own.choose()
    assert own.action == "contribute"
    own.action = "free-ride"
    own.learn(Round(selected=True, payment=4.0))
    assert own.expect("free-ride") != 0.0


def test_who_stays_out_expects_and_learns_nothing() -> None:
    own = participant("stay-out", "contribute")
    own.learn(Round(selected=False, leakage=0.4, proceeds=3.0))
    assert own.expect("stay-out") == 0.0
    assert own.beliefs == Beliefs(0.04)


@pytest.mark.parametrize(
    ("price", "fine", "expected"),
    [(0.1, 20.0, "backdoor"), (0.1, 80.0, "contribute"), (0.03, 80.0, "stay-out")],
)
def test_it_chooses_what_it_expects_most_of(price: float, fine: float, expected: str) -> None:
    terms = Terms(Announcement.of_price(price), SANCTIONS.model_copy(update={"fine": fine}))
    own = participant("contribute", "free-ride", "backdoor", "stay-out", terms=terms)
    own.choose()
    assert own.action == expected


def test_a_policy_that_does_not_deliberate_is_asked_and_told_no_utility() -> None:
    def refuse(self: object, *_: object) -> float:
        raise AssertionError("nobody looks at it")

    own = participant("contribute", policy=Fixed(action="contribute"))
    own.expect = refuse  # type: ignore[method-assign,assignment]

    class Unmeasured(Round):
        utility = property(refuse)
        proceeds = property(refuse)

        def __init__(self) -> None:
            self.selected, self.leakage = True, 0.2

    own.choose()
    own.learn(Unmeasured())
    assert own.beliefs.leakage == {"contribute": 0.2}


def test_the_policy_hears_the_utility() -> None:
    heard: list[tuple[int, float]] = []

    class Listening(BestResponse):
        def learn(self, chosen: int, probabilities: Array, utility: float) -> None:
            heard.append((chosen, utility))

    own = participant("contribute", "free-ride", policy=Listening())
    own.action = "free-ride"
    own.learn(Round(utility=-3.5))
    assert heard == [(1, -3.5)]


def test_beliefs_about_leakage_are_the_actions_own_or_the_mean() -> None:
    beliefs = Beliefs(0.0)
    assert beliefs.leakage_of("a") == 0.0
    beliefs.leakage |= {"a": 0.2, "b": 0.4}
    assert beliefs.leakage_of("a") == 0.2
    assert beliefs.leakage_of("c") == pytest.approx(0.3)
