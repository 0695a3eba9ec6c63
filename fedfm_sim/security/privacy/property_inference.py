"""Property inference: what is true of a participant's data as a whole, told from its update."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.privacy.leakage import LeakageMeasure, Observation


class PropertyInference(LeakageMeasure):
    """Guess how the participant's classes are distributed (Melis et al. 2019).

    Shadow updates are trained from the same global adapter on draws from the attacker's own
    data with class shares drawn from Dirichlet(1/2). Ridge regression on the changes dW,
    through their inner products, learns the shares. What is leaked is how much nearer the
    guess is to the true shares than to the same shares dealt to the classes at random,
    ``1 - sum_c |g_c - t_c| / (1/C sum_cd |g_c - t_d|)``: 0 in the mean for a guess that
    knows nothing of which class has which.
    """

    unit: ClassVar[str] = "error in class shares avoided, in [0, 1] but for chance about 0"
    source: ClassVar[str] = "Melis et al., S&P 2019"
    shadows: int = Field(default=48, ge=4, description="models trained to learn from")

    def leakage(self, seen: Observation) -> float:
        """Return the share of the error that is avoided; 0 for even classes."""
        groups = seen.members.groups.numpy()
        classes = int(max(groups.max(), seen.shadow.groups.max())) + 1
        truth = np.bincount(groups, minlength=classes) / len(groups)
        even = np.full(classes, 1 / classes)
        if np.abs(even - truth).sum() < 1e-9 or not bool(torch.isfinite(seen.sent).all()):
            return 0.0
        guess = guess_shares(
            seen.federation,
            seen.reference,
            seen.sent,
            seen.shadow,
            len(seen.members),
            self.shadows,
            seen.rng,
        )
        return error_avoided(guess, truth)


def error_avoided(guess: Array, truth: Array) -> float:
    """Return by how much a guess of (C,) shares is nearer to the truth than to it shuffled, over 1.

    The mean error over all ways to deal the true shares to the classes is that over all pairs.
    """
    shuffled = float(np.abs(guess[:, None] - truth).sum() / len(truth))
    return 1 - float(np.abs(guess - truth).sum()) / shuffled if shuffled > 0 else 0.0


def guess_shares(
    federation: Federation,
    reference: Tensor,
    sent: Tensor,
    shadow: Examples,
    size: int,
    shadows: int,
    rng: np.random.Generator,
) -> Array:
    """Return the guessed class shares (C,) of the data behind ``sent``, at least 0, sum 1."""
    from sklearn.kernel_ridge import KernelRidge

    groups = shadow.groups.numpy()
    classes = int(groups.max()) + 1
    shards, shares = [], np.empty((shadows, classes))
    for k in range(shadows):
        weights = rng.dirichlet(np.full(classes, 0.5))[groups]
        weights = weights + 1e-9
        chosen = rng.choice(len(groups), size, p=weights / weights.sum())
        shards.append(shadow.select(chosen))
        shares[k] = np.bincount(groups[chosen], minlength=classes) / size
    starts = reference.repeat(shadows, 1)
    trained = federation.train(shards, rng.spawn(shadows), starts).adapters
    rows = changes(federation.layout, torch.cat([trained, sent[None]]), reference)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    gram = (rows @ rows.T).numpy()
    ridge = KernelRidge(alpha=0.01, kernel="precomputed")
    ridge.fit(gram[:-1, :-1], shares - 1 / classes)
    guess = np.maximum(ridge.predict(gram[-1:, :-1])[0] + 1 / classes, 0.0)
    return np.asarray(guess / max(guess.sum(), 1e-30))
