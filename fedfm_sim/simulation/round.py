"""The one place where a round is opened, played and closed.

Live runs, the cells of a table of attacks and defences, branches of a run, coalitions
that are trained again and federations that outcomes are measured on all go through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from fedfm_sim.agents.world import Terms
from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.protocol import Announcement
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.settlement import Settlement
from fedfm_sim.simulation.updates import RoundUpdates, prepare_together

#: A price that every ask is below: where all who want to are to take part.
ANY_ASK = 1e9


@dataclass(eq=False)
class Round:
    """A round that was opened: its terms are announced, and nothing is chosen yet.

    Attributes
    ----------
    setting : Setting
    number : int
        From 0.
    terms : Terms
    trust : (n,) array
        The server's trust before the round.
    leakage_expected : (n,) array
        What each expects its participation to reveal; an honest ask covers it.
    """

    setting: Setting
    number: int
    terms: Terms
    trust: Array
    leakage_expected: Array

    def __post_init__(self) -> None:
        self.updates = RoundUpdates(self.setting, self.number)

    @classmethod
    def open_to_all(cls, setting: Setting, number: int) -> Round:
        """Return a round in which everybody takes part who wants to, whatever it asks.

        For questions about the model alone; the setting's mechanism is to be a posted price.
        """
        nobody = np.zeros(setting.participants)
        terms = Terms(Announcement.of_price(ANY_ASK), setting.scenario.sanctions)
        return cls(setting, number, terms, nobody, nobody)

    def play(self, names: Sequence[str]) -> Play:
        """Return what a profile of n actions leads to; several can be asked about."""
        return Play(
            self.setting,
            self.updates,
            tuple(names),
            self.terms.announcement,
            self.trust,
            self.leakage_expected,
        )

    def settle(self, play: Play) -> Settlement:
        """Draw who is audited and whose copy is found."""
        draw = self.setting.streams.generator
        return Settlement.draw(play, draw("audit", self.number, 0), draw("watch", self.number, 0))

    def close(self, play: Play, settled: Settlement | None = None) -> None:
        """Let the rules learn, and make what was aggregated the global model.

        Without a settlement nobody was paid, and the mechanism has nothing to learn from.
        """
        setting = self.setting
        if settled is not None:
            setting.mechanism.learn(settled.payments, play.delivery)
        if len(play.uploads):
            setting.defence.learn(play.uploads, play.aggregate)
        setting.watermark.take_note(self.number, play.accepted.tolist())
        setting.federation.advance(play.new_adapter)


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Federated(Protocol[T_co]):
    """Who plays rounds: it opens one, says what it wants trained, and plays it to its end."""

    def open(self) -> Round:
        """Announce the terms and let the participants choose."""

    def wanted(self) -> Iterable[tuple[int, str]]:
        """Return what is to be trained: participants and their actions."""

    def finish(self) -> T_co:
        """Play the round that is open, settle and close it; return what is to be told of it."""


def step_together(federations: Sequence[Federated[T]]) -> list[T]:
    """Play one round of each federation; what they train is trained in one batch.

    They share backbone, data and random streams; each has its own global adapter.
    """
    opened = [own.open() for own in federations]
    wanted = [list(own.wanted()) for own in federations]
    prepare_together([(r.updates, w) for r, w in zip(opened, wanted, strict=True)])
    return [own.finish() for own in federations]
