"""No free lunch: privacy bought by distorting what is sent costs utility or efficiency.

Zhang, Gu, Fan, Chen and Yang (ACM TIST 2023, arXiv 2203.05816) compare an attacker's beliefs
about a participant's data: F_B before it sees anything, F_O after the update as
trained, F_A after the update as sent. Privacy leakage is the mean over
participants of ``sqrt(JS(F_A || F_B))``. As the root of the Jensen-Shannon divergence is a metric,

    C_1 <= epsilon_p + mean_k sqrt(JS(F_O || F_A)),   C_1 = mean_k sqrt(JS(F_O || F_B)),

and the theorem replaces the last term by ``C_2 epsilon_u`` (and by ``C_3 epsilon_e`` for
efficiency) with constants that hold for all data and models. Those suprema can't be
measured; the term itself can, and so can what it cost. Here beliefs are about
membership, from the attack's own calibrated posteriors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.membership import confidence


@dataclass(frozen=True)
class NoFreeLunch:
    """The two sides of the bound, each in [0, sqrt(log 2)], and what protection cost.

    Attributes
    ----------
    unprotected : float
        C_1, what the update as trained would reveal.
    leakage : float
        epsilon_p, what the update as sent reveals.
    distortion : float
        ``mean sqrt(JS(F_O || F_A))``, how far protection moved the attacker's beliefs.
    utility_loss : float
        epsilon_u, accuracy lost by protection.
    efficiency_loss : float
        epsilon_e, share of bytes or time more than without protection.
    """

    unprotected: float
    leakage: float
    distortion: float
    utility_loss: float
    efficiency_loss: float

    @property
    def slack(self) -> float:
        """Return by how much the bound holds: right side less left, at least 0."""
        return self.leakage + self.distortion - self.unprotected

    @property
    def price_of_privacy(self) -> float:
        """Return the accuracy lost for each unit of leakage avoided; NaN if none was."""
        avoided = self.unprotected - self.leakage
        return self.utility_loss / avoided if avoided > 0 else float("nan")


def jensen_shannon(first: Array, second: Array) -> Array:
    """Return JS of Bernoulli beliefs, elementwise, nats, in [0, log 2]."""
    middle = (first + second) / 2
    return (_divergence(first, middle) + _divergence(second, middle)) / 2


def bound(
    as_trained: list[Array],
    as_sent: list[Array],
    utility_loss: float,
    efficiency_loss: float = 0.0,
    prior: float = 0.5,
) -> NoFreeLunch:
    """Return both sides of the bound from beliefs (N_k,) about each participant k.

    ``as_trained`` and ``as_sent`` are posteriors of membership of the same examples, from
    the update without and with protection; see `membership_beliefs`.
    """

    def mean_root(pairs: list[tuple[Array, Array]]) -> float:
        return float(np.mean([np.sqrt(jensen_shannon(a, b)).mean() for a, b in pairs]))

    before = [np.full(len(belief), prior) for belief in as_trained]
    return NoFreeLunch(
        unprotected=mean_root(list(zip(as_trained, before, strict=True))),
        leakage=mean_root(list(zip(as_sent, before, strict=True))),
        distortion=mean_root(list(zip(as_trained, as_sent, strict=True))),
        utility_loss=utility_loss,
        efficiency_loss=efficiency_loss,
    )


def membership_beliefs(
    seen: Observation, shadows: int = 4, protect: Callable[[Tensor], Tensor] | None = None
) -> Array:
    """Return the attacker's posterior that each example is a member, for members and others.

    Shadow models, whose members it knows, tell it how confident a model is of what it was
    trained on and of what it was not; logistic regression makes that a posterior. It
    knows how updates are protected, and protects those of its shadows alike. The
    order of members and others is the same for every update of one participant.
    """
    from sklearn.linear_model import LogisticRegression

    members, others = seen.balanced()
    size = min(len(seen.members), len(seen.shadow) // 2)
    draws = [seen.rng.permutation(len(seen.shadow)) for _ in range(shadows)]
    shards = [seen.shadow.select(draw[:size]) for draw in draws]
    starts = seen.reference.repeat(shadows, 1)
    trained = seen.federation.train(shards, seen.rng.spawn(shadows), starts).adapters
    if protect is not None:
        trained = torch.stack([protect(row) for row in trained])
    known, truth = [], []
    for row, draw in zip(trained, draws, strict=True):
        both = seen.shadow.select(draw[: 2 * size])
        known.append(confidence(seen.federation.evaluate(row[None], both).losses[0]))
        truth.append(np.arange(len(both)) < size)
    judge = LogisticRegression().fit(np.concatenate(known)[:, None], np.concatenate(truth))
    pool = Examples.concatenate([members, others])
    target = confidence(seen.federation.evaluate(seen.sent[None], pool).losses[0])
    return np.asarray(judge.predict_proba(target[:, None])[:, 1], dtype=np.float64)


def _divergence(first: Array, second: Array) -> Array:
    from scipy.special import rel_entr

    return np.asarray(rel_entr(first, second) + rel_entr(1 - first, 1 - second))
