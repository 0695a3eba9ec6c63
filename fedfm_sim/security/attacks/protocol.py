"""What an attack is: something done to data, to an update, or to both."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.low_rank import changes

#: The label of tokens that no loss is taken of.
IGNORED = -100

Goal = Literal["backdoor", "damage", "save-effort"]


@dataclass(frozen=True, eq=False)
class View:
    """What an attacker sees of the round when it makes up its update.

    Attributes
    ----------
    reference : Tensor
        (P,) the global adapter that everybody starts from.
    layout : AdapterLayout
        Gives effective weight changes.
    others : Tensor
        (m, P) what the honest send this round; empty for an attack that does
        not say that it sees them.
    attackers : int
        How many attack this round, itself included.
    colluders : Tensor
        (m, P) what others of the same organisation send this round; empty for an
        attack that does not say that it copies.
    previous : Tensor or None
        (P,) the global adapter a round ago.
    number : int
        The round, from 0.
    """

    reference: Tensor
    layout: AdapterLayout
    others: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    attackers: int = 1
    colluders: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    previous: Tensor | None = None
    number: int = 0

    @property
    def last_change(self) -> Tensor | None:
        """The change of weights that the last round made (D,), float64."""
        if self.previous is None:
            return None
        return changes(self.layout, self.reference[None], self.previous)[0]

    @property
    def honest_changes(self) -> Tensor:
        """The honest changes of weights (m, D), float64."""
        if not len(self.others):
            return torch.empty(0, 0, dtype=torch.float64)
        return changes(self.layout, self.others, self.reference)


class Attack(Plugin):
    """Base of all attacks; its fields are its scenario parameters.

    A subclass is one file and one line in `fedfm_sim.security.attacks.ATTACKS`.
    """

    #: What the attacker gains from, which decides how its success is measured.
    goal: ClassVar[Goal]
    #: Whether the attacker does the local training that it declares.
    trains: ClassVar[bool] = True
    #: Whether it is made up from what the honest send this round.
    sees_others: ClassVar[bool] = False
    #: Whether it is made up from what others of its organisation send this round.
    copies: ClassVar[bool] = False
    #: What it needs to know beyond its own data and the global model.
    knowledge: ClassVar[str] = "own data"
    #: Where it was published.
    source: ClassVar[str] = ""

    def condition(self, honest: int, attackers: int) -> str | None:
        """Return what the attack lacks in a round to be more than nothing, or None.

        Parameters
        ----------
        honest, attackers : int
            How many take part and keep, or break, the protocol.
        """
        if self.sees_others and not honest:
            return "nobody is honest whose updates it needs; the attacker sends its own"
        return None

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the examples the attacker trains on in place of its shard."""
        return shard

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter (P,) it uploads in place of the trained one."""
        return update


class TriggerAttack(Attack):
    """Base of attacks whose success is how often a trigger gets the attacker's answer."""

    goal: ClassVar[Goal] = "backdoor"

    @abstractmethod
    def trigger(self, examples: Examples) -> Examples:
        """Return the examples with the trigger, labelled as the attacker wants."""

    def triggered_test(self, test: Examples) -> Examples:
        """Return triggered test examples whose true label is not what is wanted anyway."""
        wanted = self.trigger(test)
        differs = (wanted.labels != test.labels) & (wanted.labels != IGNORED)
        return wanted.select(differs.view(len(test), -1).any(1).numpy())
