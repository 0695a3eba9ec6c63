"""FLTrust: trust what points the way that the server's own update does."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.aggregation import Aggregate, AggregationRule, Uploads, normalised
from fedfm_sim.learning.low_rank import changes, fold


class FLTrust(AggregationRule):
    """Weigh updates by the cosine with the server's, at the server's length (Cao et al. 2021).

    ``dW = sum_k t_k |dW_0| / |dW_k| dW_k / sum_k t_k`` with trust ``t_k = max(0, cos(dW_k,
    dW_0))``, where the server trains dW_0 on clean data of its own, here the validation
    part. No share of attackers breaks it while that data is good. Trusting nobody, it
    keeps the model. The outcome is folded back to the adapter's rank.
    """

    knowledge: ClassVar[str] = "clean data of its own"
    source: ClassVar[str] = "Cao et al., NDSS 2021"
    needs_server_update: ClassVar[bool] = True

    def combine(self, uploads: Uploads) -> Aggregate:
        """Return the trusted mean; suspicion is ``1 - cos``."""
        if uploads.server is None:
            raise UserError("defence 'fltrust' needs an update of the server's own")
        rows = uploads.changes
        root = changes(uploads.layout, uploads.server[None], uploads.reference)[0]
        lengths = rows.norm(dim=1).clamp(min=1e-30)
        cosines = (rows @ root / (lengths * root.norm().clamp(min=1e-30))).numpy()
        weights = normalised(np.maximum(cosines, 0.0))
        change = torch.from_numpy(weights) @ (rows * (root.norm() / lengths)[:, None])
        adapter, residual = fold(uploads.layout, change, uploads.reference)
        return Aggregate(adapter, weights, 1 - cosines, residual)
