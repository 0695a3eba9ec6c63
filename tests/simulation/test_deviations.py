"""Deviations within the action sets, in all rounds tried, and what attackers cost in accuracy."""

from __future__ import annotations

import pytest

import fedfm_sim as fs
from fedfm_sim.simulation.deviations import rounds_tried, tried
from fedfm_sim.simulation.model import FederationModel

SMALL = [
    *("participants.count=4", "participants.semi_honest=0", "participants.malicious=1"),
    *("rounds=2", "training.epochs=1", "contribution.every=0", "deviations.rounds=1"),
]


def test_nobody_is_tried_with_what_it_does_not_have() -> None:
    scenario = fs.load_scenario("quickstart", SMALL)
    for agent in FederationModel(scenario, 0).participants:
        assert set(tried(scenario.deviations, agent)) <= set(agent.actions)
    everything = fs.load_scenario("quickstart", [*SMALL, "deviations.within_sets=false"])
    agent = FederationModel(everything, 0).participants[0]
    assert tried(everything.deviations, agent) == list(everything.deviations.actions)


def test_rounds_that_are_tried_are_the_last() -> None:
    scenario = fs.load_scenario("quickstart", ["rounds=10", "deviations.rounds=3"])
    assert [rounds_tried(scenario, done) for done in (0, 7, 8, 10)] == [0, 0, 1, 3]
    longer = fs.load_scenario("quickstart", ["rounds=2", "deviations.rounds=3"])
    assert rounds_tried(longer, 2) == 2


@pytest.mark.parametrize(("scenario", "asks"), [("auction-house", {"overbid", "underbid"})])
def test_the_catalogue_tries_what_it_lists(scenario: str, asks: set[str]) -> None:
    loaded = fs.load_scenario(scenario)
    assert asks <= set(loaded.deviations.actions) & set(loaded.action_set("honest"))


def test_accuracy_lost_is_that_of_the_same_rule_without_the_attackers() -> None:
    overrides = [*SMALL, "rounds=1", "deviations.rounds=0", "defence=fedavg"]
    # At a price that everybody takes part at.
    overrides += ["mechanism.price=0.05"]
    attacked = 'policies.malicious={name="fixed", action="sign-flip"}'
    sets = 'action_sets.malicious=["sign-flip"]'
    run = fs.run("quickstart", 3, overrides=[*overrides, attacked, sets])
    row = run.rounds.iloc[0]
    stay = 'policies.malicious={name="fixed", action="stay-out"}'
    quiet = fs.run("quickstart", 3, overrides=[*overrides, stay])
    # Who would stay out instead is not in the aggregate either.
    assert row["accuracy"] + row["accuracy_lost"] == pytest.approx(quiet.rounds["accuracy"][0])
    assert row["accuracy_lost"] > 0.05
    assert run.summary["accuracy_lost"] == row["accuracy_lost"]
    assert quiet.rounds["accuracy_lost"].tolist() == [0]
