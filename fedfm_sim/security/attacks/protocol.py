"""What an attack is: something done to data, to an update, or to both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.examples import Examples

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
    """

    reference: Tensor
    layout: AdapterLayout


class Attack(BaseModel):
    """Base of all attacks; its fields are its scenario parameters.

    A subclass is one file and one line in `fedfm_sim.security.attacks.ATTACKS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: What the attacker gains from, which decides how its success is measured.
    goal: ClassVar[Goal]
    #: Whether the attacker does the local training that it declares.
    trains: ClassVar[bool] = True
    #: What it needs to know beyond its own data and the global model.
    knowledge: ClassVar[str] = "own data"
    #: Where it was published.
    source: ClassVar[str]

    def poison(self, shard: Examples, classes: int, rng: np.random.Generator) -> Examples:
        """Return the examples the attacker trains on in place of its shard."""
        return shard

    def corrupt(self, update: Tensor, view: View, rng: np.random.Generator) -> Tensor:
        """Return the adapter (P,) it uploads in place of the trained one."""
        return update
