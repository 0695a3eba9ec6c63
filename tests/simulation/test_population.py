"""A population: arrays and agents agree bit for bit, money is kept, and learning learns."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedfm_sim as fs
from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.mechanisms.reputation import Reputation
from fedfm_sim.scenarios.outcomes import fixed_price
from fedfm_sim.simulation.measurements import Workload
from fedfm_sim.simulation.outcomes import Outcome
from fedfm_sim.simulation.population import arrays as module
from fedfm_sim.simulation.population.arrays import Population, draw_actions
from fedfm_sim.simulation.population.clients import ScalarPopulation

ACTIONS = ("contribute", "contribute-half", "free-ride", "backdoor")
WORK = Workload((40.0, 39.0, 7.0), 0.0056, 0.12, 0.013)
ARRAYS = (
    *("regrets", "positive", "negative", "account", "action"),
    *("payment", "incurred", "burdened", "trust", "utility", "audited", "convicted"),
)


@dataclass
class Linear:
    """Success in proportion to the share of attackers."""

    success: float = 1.0
    detection: float = 1.0
    actions: tuple[str, ...] = ACTIONS

    def outcome(self, shares: Array) -> Outcome:
        success = np.array([0.0, 0.0, 0.0, self.success * shares[3]])
        detection = np.array([0.01, 0.0, 0.7, 1.0]) * self.detection
        return Outcome(success, detection, np.array([0.15, 0.13, 0.05, 0.05]), 0.9)


def population(size: int, seed: int = 0, *overrides: str) -> Population:
    count = f"participants.count={size}"
    scenario = fs.load_scenario("million-clients", overrides=[count, *overrides])
    return Population(scenario, ACTIONS, WORK, Streams(seed, "test"))


@given(
    size=st.integers(1, 50),
    seed=st.integers(0, 1000),
    price=st.floats(0, 1),
    rate=st.floats(0, 1),
    fine=st.floats(0, 300),
    source=st.builds(Linear, st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=25)
def test_arrays_and_agents_agree_bit_for_bit(
    size: int, seed: int, price: float, rate: float, fine: float, source: Linear
) -> None:
    terms = [
        f"mechanism.price={price!r}",
        f"sanctions.audit_rate={rate!r}",
        f"sanctions.fine={fine!r}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", 16)
        fast, slow = (population(size, seed, *terms) for _ in range(2))
        agents = ScalarPopulation(slow)
        for _ in range(6):
            assert fast.play_round(source) == agents.play_round(source)
    for name in ARRAYS:
        assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes(), name
    assert (fast.server, fast.outside, fast.round) == (slow.server, slow.outside, 6)


def test_actions_are_drawn_in_proportion_to_positive_regret() -> None:
    choice = (np.arange(4000) + 0.5) / 4000
    drawn = draw_actions(np.tile([[-1.0], [6.0], [0.0], [2.0]], 4000), choice)
    assert np.bincount(drawn, minlength=4).tolist() == [0, 3000, 0, 1000]
    assert np.bincount(draw_actions(-np.ones((4, 4000)), choice)).tolist() == [1000] * 4


def test_a_round_is_equation_12_by_hand() -> None:
    own = population(500, 3)
    source, prices, sanctions = Linear(), own.scenario.prices, own.scenario.sanctions
    before = Reputation(own.size)
    for _ in range(4):
        start, account = own.regrets.copy(), own.account.copy()
        faced, totals = own.play_round(source)
        every, a = np.arange(own.size), own.action
        outcome = source.outcome(own.shares)
        price = fixed_price(own.scenario.mechanism.build())
        draw = own.streams.generator("audit", own.round - 1).random(own.size)
        caught = draw < sanctions.audit_rate * outcome.detection[:, None]
        money = np.where(caught, -sanctions.fine, price * own.units)
        money += (prices.backdoor * outcome.success)[:, None] - own.cost
        utilities = money - prices.privacy * outcome.leakage[:, None]
        utilities -= prices.efficiency * own.burden
        np.testing.assert_allclose(own.account - account, money[a, every], atol=1e-9)
        np.testing.assert_allclose(
            own.regrets - start, utilities - utilities[a, every], atol=1e-9, rtol=1e-9
        )
        np.testing.assert_allclose(own.trust, before.trust, rtol=1e-12)
        whole = utilities[a, every] + prices.reputation * before.trust
        np.testing.assert_allclose(own.utility, whole, atol=1e-9)
        audited, convicted = draw < sanctions.audit_rate, caught[a, every]
        assert (totals.audited, totals.convicted) == (audited.sum(), convicted.sum())
        before.update(np.where(convicted, 0, 1 + 5 * audited), 5 * convicted)
        t = totals
        parts = t.payment + t.proceeds - t.fine - t.cost + prices.reputation * t.reputation
        parts -= prices.privacy * t.privacy + prices.efficiency * t.efficiency
        assert parts == pytest.approx(t.utility, rel=1e-9)
        assert faced.conviction[3] == sanctions.audit_rate


def test_a_free_rider_pays_for_no_work_and_the_half_for_half_of_it() -> None:
    own = population(1000)
    assert (own.cost[2] == 0).all()
    assert (own.units[2] == own.units[0]).all()
    np.testing.assert_array_equal(own.units[1], own.units[0] / 2)
    assert (own.cost[1] < own.cost[0] / 2).all()  # costs are convex
    np.testing.assert_allclose(own.cost[3] - own.cost[0], 0.2)  # the effort of a backdoor
    assert np.log(own.cost[0] / own.cost[0].mean()).std() > 0.4


def test_money_is_kept_and_the_server_pays_what_participants_get() -> None:
    own = population(3000, 1)
    served = 0.0
    for _ in range(30):
        _, totals = own.play_round(Linear())
        audits = own.scenario.sanctions.audit_cost * totals.audited
        served += totals.fine - totals.payment - audits
        assert own.money_error < 1e-12
        assert sum(totals.counts) == own.size
    assert own.server == pytest.approx(served, rel=1e-12)
    own.account[7] += 1000.0
    assert own.money_error > 1e-6


def test_regrets_grow_no_faster_than_the_theorem_says() -> None:
    # By Blackwell's theorem the expected square of positive regret is at most T m span^2.
    own, rounds = population(2000, 5), 60
    for _ in range(rounds):
        own.play_round(Linear())
    span = own.scenario.prices.backdoor + own.scenario.sanctions.fine + 2
    squares = (np.maximum(own.regrets, 0) ** 2).sum(axis=0)
    assert squares.mean() <= rounds * len(ACTIONS) * span**2
    # A constant regret of one tenth of the fine each round would be more than that.
    assert (np.maximum(own.regrets, 0).max(axis=0) / rounds).mean() < 0.1 * span


@pytest.mark.parametrize(("fine", "grows"), [(0.0, True), (200.0, False)])
def test_fines_deter_and_their_absence_invites(fine: float, grows: bool) -> None:
    own = population(4000, 2, f"sanctions.fine={fine}")
    for _ in range(40):
        own.play_round(Linear())
    assert (own.shares[3] > 0.5) == grows
    assert (own.shares[3] < 0.1) == (not grows)


SMALL = ["participants.count=3000", "rounds=4"]


def test_a_run_is_the_same_twice_and_leaves_its_folder(tmp_path: Path) -> None:
    first, second = (fs.run("million-clients", 7, tmp_path / str(k), SMALL) for k in range(2))
    pd.testing.assert_frame_equal(first.rounds, second.rounds, check_exact=True)
    timeless = [{k: v for k, v in r.summary.items() if k != "timing"} for r in (first, second)]
    assert json.dumps(timeless[0]) == json.dumps(timeless[1])
    other = fs.run("million-clients", 8, overrides=SMALL)
    assert not other.rounds.equals(first.rounds)
    folder = tmp_path / "0"
    stored = pd.read_parquet(folder / "rounds.parquet")
    pd.testing.assert_frame_equal(stored, first.rounds)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["money_error"] < 1e-9
    assert {run["scenario"] for run in summary["measured"]["runs"]} == {"million-clients"}
    assert fs.load_scenario(folder / "scenario.lock.toml").outcomes.source == "measured"
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert all(run["digest"] in page for run in summary["measured"]["runs"])
    assert not list(folder.glob("*.part"))


def test_an_interrupted_run_keeps_whole_rounds(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    result = fs.run("million-clients", 7, tmp_path, SMALL, stop)
    assert (result.summary["status"], len(result.rounds)) == ("interrupted", 2)
    whole = fs.run("million-clients", 7, overrides=SMALL).rounds.iloc[:2]
    pd.testing.assert_frame_equal(result.rounds, whole, check_exact=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("outcomes.source=trained", "'trained' takes at most participants.count = 10000"),
        ("outcomes.table=nowhere", "no file 'nowhere'; expected a path or one of: million-clients"),
        ("mechanism={name='posted-price'}", "needs a mechanism 'posted-price' with its price"),
        ("mechanism=fmore", "needs a mechanism 'posted-price' with its price"),
        ("policies.honest.name=logit", "'policies' plays no part"),
        ("sanctions.audit_focus=0.5", "'sanctions.audit_focus' plays no part"),
        ("participants.malicious=3", "all have the same actions"),
        ("defence=median", "defence: .*expected .* under which 'million-clients' was measured"),
        ("training.epochs=2", "training: .*epochs=2.*; expected .*epochs=1"),
        ("actions.backdoor={attack='backdoor', parameters={scale=2.0}}", "actions.backdoor: "),
        ("participants.count=20000000", "less than or equal to 10000000"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fs.run("million-clients", overrides=[override])
    assert "\n" not in str(caught.value)


def test_totals_are_plain_numbers() -> None:
    _, totals = population(10).play_round(Linear())
    assert {type(each) for each in astuple(totals)[1:]} == {int, float}
