"""Membership inference: telling whether an example was in the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.stats import norm
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.auc import Scores, auc
from fedfm_sim.security.privacy.leakage import LeakageMeasure, Observation


class LossThreshold(LeakageMeasure):
    """The advantage of calling members those of low loss (Yeom et al. 2018).

    Less the same of the base model, which saw none of them: that is 0 but for chance, and
    chance that both models share, such as an example that is easy for any, cancels.

    With ``decimals`` the attacker sees the model's confidences masked, which is to say
    rounded: ``-log round(p)``, as a service that hides its model would give them.
    """

    unit: ClassVar[str] = "membership advantage 2 AUC - 1, in [0, 1] but for chance about 0"
    source: ClassVar[str] = "Yeom et al., CSF 2018"
    decimals: int | None = Field(default=None, ge=0, description="of masked confidences")

    def leakage(self, seen: Observation) -> float:
        """Return the advantage; an update of NaN or Inf reveals no more than what was there."""
        return self.leakages([seen])[0]

    def leakages(self, seen: Sequence[Observation]) -> list[float]:
        """Return the advantage over each of several uploads, evaluated side by side."""
        jobs = [self._job(one) for one in seen]
        told = iter(seen[0].federation.evaluate_each([job for job in jobs if job is not None]))
        return [0.0 if job is None else self._advantage(next(told).losses) for job in jobs]

    def _job(self, seen: Observation) -> tuple[Tensor, Examples] | None:
        """Return which models to evaluate on what: members, then as many others."""
        members, others = seen.balanced()
        if not len(members):
            return None
        row = seen.sent if bool(torch.isfinite(seen.sent).all()) else seen.reference
        rows = torch.stack([row, seen.federation.initial])
        return rows, Examples.concatenate([members, others])

    def _advantage(self, losses: npt.NDArray[np.float32]) -> float:
        found = np.nan_to_num(losses, nan=1e30)
        shown: Scores = found if self.decimals is None else masked(found, self.decimals)
        inside, outside = np.split(shown, 2, axis=1)
        sent, base = map(membership_advantage, inside, outside)
        return sent - base


class LikelihoodRatio(LeakageMeasure):
    """Offline LiRA: how unusual the confidence is for a model that never saw it.

    Shadow models are trained from the same global adapter, as the participant does, on
    draws from the attacker's own data. With ``phi = log p / (1 - p)`` of the true label, each
    example's score is ``Phi((phi - mu) / sd)``, mu its mean over the shadows and sd pooled over
    examples, as with few shadows (Carlini et al. 2022, section VI). One-sided.
    """

    unit: ClassVar[str] = "membership advantage 2 AUC - 1, in [0, 1] but for chance about 0"
    source: ClassVar[str] = "Carlini et al., S&P 2022"
    shadows: int = Field(default=16, ge=2, description="models trained to compare with")

    def leakage(self, seen: Observation) -> float:
        """Return the advantage."""
        inside, outside = self.scores(seen)
        return membership_advantage(-inside, -outside) if len(inside) else 0.0

    def scores(self, seen: Observation) -> tuple[Array, Array]:
        """Return the scores of equally many members and others; high says member."""
        members, others = seen.balanced()
        pool = Examples.concatenate([members, others])
        size = min(len(seen.members), len(seen.shadow))
        shards = [
            seen.shadow.select(seen.rng.permutation(len(seen.shadow))[:size])
            for _ in range(self.shadows)
        ]
        starts = seen.reference.repeat(self.shadows, 1)
        trained = seen.federation.train(shards, seen.rng.spawn(self.shadows), starts).adapters
        row = seen.sent if bool(torch.isfinite(seen.sent).all()) else seen.reference
        losses = seen.federation.evaluate(torch.cat([trained, row[None]]), pool).losses
        phi = confidence(np.nan_to_num(losses, nan=1e30))
        scores = likelihood_ratio(phi[-1], phi[:-1])
        return scores[: len(members)], scores[len(members) :]


def masked(losses: Scores, decimals: int) -> Array:
    """Return the losses that rounded confidences show: at least 0, infinite where p rounds to 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.round(np.exp(-losses.astype(np.float64)), decimals)))


def confidence(losses: Scores) -> Array:
    """Return ``log p / (1 - p)`` from ``-log p``, kept finite."""
    nats = np.clip(losses.astype(np.float64), 1e-12, 700.0)
    return np.asarray(-nats - np.log(-np.expm1(-nats)))


def likelihood_ratio(target: Array, shadows: Array) -> Array:
    """Return ``Phi((phi - mu) / sd)`` of (N,) from (S, N) of shadow models."""
    mean = shadows.mean(0)
    deviation = float(np.sqrt(shadows.var(0, ddof=1).mean()))
    return np.asarray(norm.cdf((target - mean) / max(deviation, 1e-12)))


def membership_auc(members: Scores, others: Scores) -> float:
    """Return the AUC of the loss-threshold attack (Yeom et al. 2018), in [0, 1].

    The attacker calls an example a member when its loss is below a threshold;
    the AUC is over all thresholds, ties counting one half.

    Parameters
    ----------
    members, others : arrays
        Scores of examples in and not in the training data, of one distribution.
    """
    return auc(others, members)


def membership_advantage(members: Scores, others: Scores) -> float:
    """Return the attacker's advantage ``2 AUC - 1``, in [-1, 1]; 0 in the mean for a coin toss.

    With its sign, as cut at 0 a toss would have an advantage: of 40 examples each, 0.05.
    """
    return 2 * membership_auc(members, others) - 1


def true_positive_rate(members: Scores, others: Scores, false_positive_rate: float) -> float:
    """Return the share of members found when so many others may be called members.

    The threshold is the loss below which at most that share of others lies. A rate of r
    takes at least 1 / r others to be resolved.
    """
    allowed = int(np.floor(false_positive_rate * len(others) + 1e-9))
    threshold = float(np.sort(others)[allowed]) if allowed < len(others) else np.inf
    return float(np.mean(np.asarray(members, dtype=np.float64) < threshold))
