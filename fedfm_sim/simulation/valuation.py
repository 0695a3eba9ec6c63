"""The coalition game of a round, by any of the utilities of the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from torch import Tensor

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.learning.aggregation import Aggregate
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.influence import influence
from fedfm_sim.mechanisms.contribution import characteristic
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.updates import RoundUpdates


class Played(Protocol):
    """What coalitions are valued by: a round of n participants that was played."""

    setting: Setting
    updates: RoundUpdates
    aggregate: Aggregate
    rows: Tensor
    weights: Array

    @property
    def gram(self) -> Array:
        """Inner products of the changes of dW that the updates make, (n, n)."""


def round_game(play: Played) -> CoalitionGame:
    """Return the game of a round over all n participants, by the scenario's measure.

    Those whose update was not accepted add nothing to any coalition.

    Raises
    ------
    UserError
        When the measure needs images and the data has none.
    """
    measure = play.setting.scenario.contribution.measure
    if measure in ("likelihood", "accuracy"):
        federation, examples = play.setting.federation, play.setting.holdings.coalition_examples
        return federation.round_game(play.rows, play.weights, examples, measure)
    members = np.flatnonzero(play.weights > 0)
    if not members.size:
        return CoalitionGame(len(play.weights), lambda masks: np.zeros(masks.size))
    return among(MEASURES[measure](play, members), members, len(play.weights))


def among(game: CoalitionGame, members: Index, players: int) -> CoalitionGame:
    """Return a game of few members as one of all players, the others adding nothing."""

    def values(masks: Masks) -> Values:
        inside = (masks[:, None] >> members) & 1
        return game.values(inside @ (np.int64(1) << np.arange(members.size, dtype=np.int64)))

    return CoalitionGame(players, values)


def _similarity(play: Played, members: Index) -> CoalitionGame:
    gram = play.gram[np.ix_(members, members)]
    return characteristic.model_similarity(gram, play.weights[members])


def _label_counts(play: Played, members: Index) -> Index:
    classes = play.setting.holdings.data.classes
    shards = _shards(play, members)
    return np.stack([np.bincount(s.groups.numpy(), minlength=classes) for s in shards])


def _data_size(play: Played, members: Index) -> CoalitionGame:
    return characteristic.data_size(_label_counts(play, members))


def _label_diversity(play: Played, members: Index) -> CoalitionGame:
    return characteristic.label_diversity(_label_counts(play, members))


def _mutual_information(play: Played, members: Index) -> CoalitionGame:
    shards = _shards(play, members)
    if "pixel_values" not in shards[0].inputs:
        raise UserError("contribution.measure: 'mutual-information' needs images as features")
    pixels = [shard.inputs["pixel_values"].flatten(1).double().numpy() for shard in shards]
    return characteristic.mutual_information(np.stack([rows.T @ rows for rows in pixels]))


def _influence(play: Played, members: Index) -> CoalitionGame:
    federation = play.setting.federation
    scores = influence(
        federation.backbone,
        federation.layout,
        play.aggregate.adapter,
        _shards(play, members),
        play.setting.holdings.coalition_examples,
    )
    return characteristic.influence(scores.participants)


def _mutual_cross_entropy(play: Played, members: Index) -> CoalitionGame:
    federation, examples = play.setting.federation, play.setting.holdings.coalition_examples
    if examples.labels.ndim != 1:
        raise UserError("contribution.measure: 'mutual-cross-entropy' needs one label per example")
    labels, classes = examples.labels.numpy(), play.setting.holdings.data.classes
    losses = federation.evaluate(play.rows[members], examples).losses.astype(np.float64)
    right = np.exp(-losses)
    # The game reads the probability of the true class alone; the rest is spread.
    chances = np.repeat(((1 - right) / (classes - 1))[:, :, None], classes, axis=2)
    chances[:, np.arange(len(labels)), labels] = right
    shards = _shards(play, members)
    local = [
        float(federation.evaluate(play.aggregate.adapter[None], shard).losses.mean())
        for shard in shards
    ]
    sizes = [len(shard) for shard in shards]
    return characteristic.mutual_cross_entropy(chances, labels, local, sizes)


def _shards(play: Played, members: Index) -> list[Examples]:
    return [play.setting.holdings.shard_at(int(k), play.updates.number) for k in members]


#: The measures that are not read off a reconstructed model.
MEASURES: dict[str, Callable[[Played, Index], CoalitionGame]] = {
    "mutual-cross-entropy": _mutual_cross_entropy,
    "influence": _influence,
    "data-size": _data_size,
    "label-diversity": _label_diversity,
    "similarity": _similarity,
    "mutual-information": _mutual_information,
}
