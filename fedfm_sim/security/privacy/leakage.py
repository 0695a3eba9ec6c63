"""What a measure of leakage is: an attack on what one participant sent, and how well it does."""

from __future__ import annotations

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
        As many examples or more of the same distribution that it never saw.
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
        """Return members and others, drawn to be equally many."""
        size = min(len(self.members), len(self.others))
        chosen = self.rng.permutation(len(self.others))[:size]
        return self.members.select(slice(0, size)), self.others.select(chosen)


class LeakageMeasure(Plugin):
    """Base of all measures of P_k; fields are scenario parameters."""

    #: In which unit the leakage is, and between what bounds.
    unit: ClassVar[str]
    #: Where it was published.
    source: ClassVar[str]

    def leakage(self, seen: Observation) -> float:
        """Return P_k of Eq. 12 in the measure's unit; 0 means that nothing is learnt."""
        raise NotImplementedError
