"""Every utility of the literature values the round's coalitions."""

from __future__ import annotations

import numpy as np
import pytest

import fedfm_sim as fs
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms import Announcement, evaluate
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.updates import RoundUpdates
from fedfm_sim.simulation.valuation import MEASURES, among

SMALL = [
    "participants.count=4",
    "rounds=1",
    "training.epochs=1",
    "contribution.examples=40",
    "data.label_noise=[0.0, 0.0, 0.9, 0.0]",
    'data.domains=["original"]',
]


def play_of(measure: str) -> Play:
    overrides = [*SMALL, f"contribution.measure={measure}"]
    model = FederationModel(fs.load_scenario("honest-only", overrides), 1)
    names = ("contribute", "contribute", "contribute", "stay-out")
    updates = RoundUpdates(model.setting, 0)
    trust, leakage = model.reputation.trust, model.current.leakage_expected
    return Play(model.setting, updates, names, Announcement.of_price(1.0), trust, leakage)


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_who_stays_out_adds_nothing_and_the_grand_coalition_is_worth_something(
    measure: str,
) -> None:
    game = play_of(measure).game
    values = evaluate(game).values
    assert values[3] == 0
    assert abs(game.value(0, 1, 2, 3)) > 0
    assert values.sum() == pytest.approx(game.value(0, 1, 2) - game.value())


@pytest.mark.parametrize("measure", ["influence", "mutual-cross-entropy"])
def test_what_looks_at_labels_sees_that_they_are_wrong(measure: str) -> None:
    values = evaluate(play_of(measure).game).values
    assert values[2] < values[:2].min()


def test_size_and_similarity_are_those_of_the_arrays() -> None:
    play = play_of("data-size")
    sizes = [len(shard) for shard in play.setting.holdings.shards]
    assert evaluate(play.game).values == pytest.approx([*sizes[:3], 0], rel=1e-12)
    play = play_of("similarity")
    gram, weights = play.gram[:3, :3], play.weights[:3]
    cosine = (gram[0] @ weights) / np.sqrt(gram[0, 0] * (weights @ gram @ weights))
    assert play.game.value(0) == pytest.approx(cosine)


def test_few_among_many() -> None:
    game = among(CoalitionGame.from_table([0.0, 1, 2, 4]), np.array([1, 3]), 5)
    assert game.value(0, 2, 4) == 0
    assert game.value(1) == game.value(0, 1, 4) == 1
    assert game.value(3) == 2
    assert game.value(1, 2, 3) == 4
