"""The coalition game by training again: what a federation of S alone would have learnt.

The reference that cheaper valuations are measured against; it takes one federated
training for each coalition that is valued.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.agents.actions import HONEST
from fedfm_sim.core.arrays import Mask
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.learning.federation import measure_of
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.simulation.round import Round, step_together
from fedfm_sim.simulation.setting import Setting

#: Coalitions that train in one batch; more gains no time and costs memory.
COALITIONS_AT_ONCE = 64


def retrained_game(setting: Setting, measure: str = "likelihood") -> CoalitionGame:
    """Return the game whose value of S is that of the model federated over S.

    In a coalition's federation its members contribute in every round, whatever they are
    paid, and nobody else takes part; the rule and all random draws are the run's own, so
    that coalitions differ by their members alone.

    Parameters
    ----------
    setting : Setting
        Left as it is.
    measure : str
        Of the scenario's validation examples: "accuracy", or "likelihood", minus the mean
        loss in nats.
    """
    validation = setting.holdings.validation

    def values(masks: Masks) -> Values:
        members = ((masks[:, None] >> np.arange(setting.participants)) & 1).astype(bool)
        parts = [
            train_coalitions(setting, members[start : start + COALITIONS_AT_ONCE])
            for start in range(0, len(members), COALITIONS_AT_ONCE)
        ]
        result = setting.federation.evaluate(torch.cat(parts), validation)
        return measure_of(result, validation, measure)

    return CoalitionGame(setting.participants, values)


def train_coalitions(setting: Setting, members: Mask) -> Tensor:
    """Return the adapters (M, P) that M coalitions, the rows of (M, n) ``members``, learn."""
    coalitions = [Coalition(setting, row) for row in members]
    for _ in range(setting.scenario.rounds):
        step_together(coalitions)
    return torch.stack([own.setting.federation.adapter for own in coalitions])


class Coalition:
    """A federation in which some contribute, in every round, and nobody else takes part.

    Parameters
    ----------
    setting : Setting
        Whose model and data it shares.
    members : (n,) bool array
    """

    def __init__(self, setting: Setting, members: Mask) -> None:
        everybody = overridden(setting.scenario, {"mechanism": {"name": "posted-price"}})
        self.setting = Setting.create(everybody, setting.streams.seed, setting)
        self.names = [HONEST if member else "stay-out" for member in members]
        self.number = 0

    def open(self) -> Round:
        """Open the next round to all."""
        self.current = Round.open_to_all(self.setting, self.number)
        return self.current

    def wanted(self) -> Iterator[tuple[int, str]]:
        """Iterate over what the members do."""
        return ((k, name) for k, name in enumerate(self.names) if name == HONEST)

    def finish(self) -> None:
        """Play the round that is open, and close it."""
        self.current.close(self.current.play(self.names))
        self.number += 1
