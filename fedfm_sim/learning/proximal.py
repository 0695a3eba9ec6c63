"""FedProx: local training that does not go far from the global model."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedfm_sim.learning.aggregation import FedAvg
from fedfm_sim.learning.trainer import TrainingSettings


class FedProx(FedAvg):
    """FedAvg of models trained on ``loss + mu / 2 |w - w_global|^2`` (Li et al. 2020).

    The term is on the factors, which are what is trained. It tames participants whose
    data differ, and is no defence against one that does not keep to it.
    """

    source: ClassVar[str] = "Li et al., MLSys 2020"

    proximal: float = Field(default=0.1, gt=0, description="mu")

    def prescribe(self, training: TrainingSettings) -> TrainingSettings:
        """Return the training with the proximal term."""
        return training.model_copy(update={"proximal": self.proximal})
