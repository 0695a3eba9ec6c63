"""The coalition game by retraining: what a federation of S alone would have learnt.

The reference that cheaper valuations are measured against; it needs one
federated training for each coalition that is valued.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Mask
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.aggregation import normalised, weighted_mean
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation, measure_of

#: Adapters that train in one batch; more gains no time and costs memory.
ROWS_AT_ONCE = 128


def retrained_game(
    federation: Federation,
    shards: Sequence[Examples],
    rounds: int,
    validation: Examples,
    streams: Streams,
    measure: str = "likelihood",
) -> CoalitionGame:
    """Return the game whose value of S is that of the model federated over S.

    Every coalition starts from the initial adapter and trains for ``rounds``
    rounds of FedAvg. A participant's batches are drawn the same way in every
    coalition, so that coalitions differ by their members alone.

    Parameters
    ----------
    federation : Federation
        Left as it is.
    shards : sequence of n Examples
    rounds : int
    validation : Examples
        What the trained models are measured on.
    streams : Streams
    measure : str
        "accuracy", or "likelihood": minus the mean loss, in nats.
    """
    players = len(shards)

    def values(masks: Masks) -> Values:
        members = ((masks[:, None] >> np.arange(players)) & 1).astype(bool)
        cuts = np.cumsum(members.sum(1)) // ROWS_AT_ONCE
        parts = [members[cuts == cut] for cut in np.unique(cuts)]
        adapters = [train_coalitions(federation, shards, part, rounds, streams) for part in parts]
        result = federation.evaluate(torch.cat(adapters), validation)
        return measure_of(result, validation, measure)

    return CoalitionGame(players, values)


def train_coalitions(
    federation: Federation,
    shards: Sequence[Examples],
    members: Mask,
    rounds: int,
    streams: Streams,
) -> Tensor:
    """Return the adapters (M, P) that M coalitions, the rows of (M, n) ``members``, learn."""
    adapters = federation.initial.repeat(len(members), 1)
    sizes = np.array([len(shard) for shard in shards], dtype=np.float64)
    for number in range(rounds):
        pairs = np.argwhere(members)
        if not len(pairs):
            break
        trained = federation.train(
            [shards[k] for _, k in pairs],
            [streams.generator("retrain", number, int(k)) for _, k in pairs],
            adapters[torch.from_numpy(pairs[:, 0])],
        ).adapters
        for row in np.unique(pairs[:, 0]):
            own = pairs[:, 0] == row
            weights = normalised(sizes[pairs[own, 1]])
            adapters[row] = weighted_mean(trained[torch.from_numpy(own)], adapters[row], weights)
    return adapters
