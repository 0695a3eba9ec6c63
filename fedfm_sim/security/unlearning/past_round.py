"""What a server keeps of a round, so that a participant can be taken out of it later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor, from_numpy

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.tensor_files import write_tensors


@dataclass(frozen=True, eq=False)
class PastRound:
    """What the server kept of one round.

    Attributes
    ----------
    reference : Tensor
        (P,) the global adapter before it.
    updates : Tensor
        (m, P) the adapters that were aggregated.
    members : (m,) array of int
        Who sent each.
    weights : (m,) array
        Each one's part in the aggregate; sums to 1, or to 0.
    """

    reference: Tensor
    updates: Tensor
    members: Index
    weights: Array

    def save(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write it, whole or not at all; ``about`` is plain values to find it again by."""
        tensors = {
            "reference": self.reference.clone(),
            "updates": self.updates,
            "members": from_numpy(self.members),
            "weights": from_numpy(np.asarray(self.weights, dtype=np.float64)),
        }
        write_tensors(path, tensors, {"about": json.dumps(about)})

    @classmethod
    def load(cls, path: Path, about: Mapping[str, Any]) -> PastRound:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            When the file is damaged, or about something else.
        """
        try:
            with safe_open(path, framework="pt") as stored:
                told = json.loads((stored.metadata() or {}).get("about", "{}"))
                held = {own.name: stored.get_tensor(own.name) for own in fields(cls)}
        except (OSError, SafetensorError, ValueError) as error:
            raise UserError(f"{path}: not a round of kept updates ({error})") from error
        if told != dict(about):
            raise UserError(f"{path}: of another run than the rest of its folder")
        arrays = held["members"].numpy(), held["weights"].numpy()
        return cls(held["reference"], held["updates"], *arrays)
