"""What a measure of leakage is: an attack on what one participant sent, and how well it does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation


@dataclass(frozen=True, eq=False)
class Observation:
    """What an attacker on privacy has, and what its guesses are scored against.

    Attributes
    ----------
    federation : Federation
        The shared model and training settings, known to everybody.
    reference, sent : Tensor
        (P,) the global adapter, and what the participant made of it.
    members : Examples
        What the participant trained on: the truth to be guessed.
    others : Examples
        As many examples or more of the same distribution that it never saw, but for how
        often each class comes up.
    shadow : Examples
        Data of that distribution in the attacker's own hands, to train shadow models on;
        none of the above.
    rng : numpy.random.Generator
    """

    federation: Federation
    reference: Tensor
    sent: Tensor
    members: Examples
    others: Examples
    shadow: Examples
    rng: np.random.Generator

    def balanced(self) -> tuple[Examples, Examples]:
        """Return members and others, drawn to be equally many of each class.

        Classes are not equally hard: a model that never saw a participant of one easy class
        would seem to know its examples. Empty where no class is in both.
        """
        inside, outside = self.members.groups.numpy(), self.others.groups.numpy()
        drawn = self.rng.permutation(len(outside))
        kept, chosen = [], []
        for group in np.unique(inside):
            own, other = np.flatnonzero(inside == group), drawn[outside[drawn] == group]
            size = min(len(own), len(other))
            kept.append(own[:size])
            chosen.append(other[:size])
        return (
            self.members.select(np.sort(np.concatenate(kept))),
            self.others.select(np.concatenate(chosen)),
        )


class LeakageMeasure(Plugin):
    """Base of all measures of P_k; fields are scenario parameters."""

    #: In which unit the leakage is, and between what bounds.
    unit: ClassVar[str]
    #: Where it was published.
    source: ClassVar[str] = ""

    @abstractmethod
    def leakage(self, seen: Observation) -> float:
        """Return P_k of Eq. 12 in the measure's unit.

        Where nothing is learnt it is 0 in the mean over what chance draws, and so below 0 about
        as often as above: whoever cuts it at 0 would price chance.
        """

    def leakages(self, seen: Sequence[Observation]) -> list[float]:
        """Return the `leakage` of each of several uploads to one federation."""
        return [self.leakage(one) for one in seen]
