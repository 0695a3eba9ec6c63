"""Has it forgotten? Every measure is of an unlearned model beside the retrained one.

The original model is no yardstick: what retraining keeps of the data, by luck or because
others hold its like, nobody has to forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.evaluation import log_probabilities
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.privacy.membership import membership_auc
from fedfm_sim.security.unlearning.executor import Unlearned
from fedfm_sim.security.unlearning.request import Request

#: Batches within which a model is expected to learn the data again.
PATIENCE = 60


@dataclass(frozen=True, eq=False)
class Probes:
    """What models are asked.

    Attributes
    ----------
    test : Examples
        Over everybody's domains.
    by_client : tuple of n Examples
        Test examples in each participant's domain.
    members, unseen : Examples
        Of what was forgotten, the examples as they came (without an attacker's copies);
        and examples of their distribution that nobody trained on.
    triggered : Examples or None
        Test examples with the backdoor's trigger, labelled as the attacker wants.
    """

    test: Examples
    by_client: tuple[Examples, ...]
    members: Examples
    unseen: Examples
    triggered: Examples | None = None


def compare(
    request: Request, made: Mapping[str, Unlearned], retrained: Unlearned, probes: Probes
) -> pd.DataFrame:
    """Return one row for each unlearned model, the original and the retrained one among them.

    Columns: ``accuracy`` on the test; ``forget_accuracy``, ``retain_accuracy``;
    ``attack_success`` of the trigger, NaN without one; ``membership`` the advantage
    on the forgotten data, with the sign (below 0 where it looks less known than unseen
    data); ``distance`` of ``dW`` from the retrained one over the retrained one's length, and
    ``cosine`` between them; ``divergence``, the mean Kullback-Leibler divergence on the test
    from the retrained model's answers, nats; ``discrepancy``, the maximum mean discrepancy of
    answers on the forgotten data; ``relearn`` batches until the data is known as well as
    the original knew it, over what the retrained needs (anamnesis index, Chundawat et al.
    2023); ``worst_client`` accuracy and ``client_spread``, its standard deviation over those
    who stay; ``examples``, ``messages`` and ``speed_up``, the retraining's examples over
    the executor's.
    """
    models = {"original": Unlearned(request.adapter, 0, 0)} | dict(made)
    models["retrain"] = retrained
    rows = torch.stack([own.adapter for own in models.values()])
    exact = list(models).index("retrain")
    frame = pd.DataFrame({"executor": list(models)})
    frame["accuracy"] = _accuracies(request, rows, probes.test)
    frame["forget_accuracy"] = _accuracies(request, rows, request.forgotten)
    frame["retain_accuracy"] = _accuracies(request, rows, request.retained)
    frame["attack_success"] = np.nan
    if probes.triggered is not None:
        frame["attack_success"] = _accuracies(request, rows, probes.triggered)
    frame["membership"] = memberships(request, rows, probes)
    frame["distance"], frame["cosine"] = _distances(request, rows, exact)
    said = _log_probabilities(request, rows, probes.test)
    frame["divergence"] = [_divergence(said[exact], own) for own in said]
    gone = _log_probabilities(request, rows, request.forgotten)
    frame["discrepancy"] = [discrepancy(own.exp(), gone[exact].exp()) for own in gone]
    batches = relearn_batches(request, rows)
    frame["relearn"] = batches / max(1.0, float(batches[exact]))
    staying = [k for k, part in enumerate(request.retain) if len(part)]
    clients = np.stack([_accuracies(request, rows, probes.by_client[k]) for k in staying])
    frame["worst_client"], frame["client_spread"] = clients.min(0), clients.std(0)
    frame["examples"] = [own.examples for own in models.values()]
    frame["messages"] = [own.messages for own in models.values()]
    with np.errstate(divide="ignore"):
        frame["speed_up"] = retrained.examples / frame["examples"].to_numpy(dtype=np.float64)
    return frame


def memberships(request: Request, adapters: Tensor, probes: Probes) -> Array:
    """Return the signed membership advantage on the forgotten data of (M, P) adapters, (M,)."""
    inside = request.federation.evaluate(adapters, probes.members).losses
    outside = request.federation.evaluate(adapters, probes.unseen).losses
    pairs = zip(inside, outside, strict=True)
    return np.array([2 * membership_auc(a, b) - 1 for a, b in pairs])


def relearn_batches(request: Request, adapters: Tensor) -> Array:
    """Return how many batches of the forgotten data bring its loss to the original's, (M,).

    All rows see the same batches; at most `PATIENCE`.
    """
    federation, data = request.federation, request.forgotten
    goal = 1.05 * float(federation.evaluate(request.adapter[None], data).losses.mean()) + 0.02
    rng, settings = request.streams.generator("relearn"), federation.settings
    settings = settings.model_copy(update={"epochs": 1})
    rows, needed = adapters.clone(), np.full(len(adapters), float(PATIENCE))
    left = np.arange(len(rows))
    for batches in range(PATIENCE):
        losses = federation.evaluate(rows[left], data).losses.mean(1)
        needed[left[losses <= goal]] = batches
        left = left[losses > goal]
        if not len(left):
            break
        batch = data.select(rng.permutation(len(data))[: settings.batch_size])
        generators = [np.random.default_rng(0) for _ in left]  # one batch has no order
        rows[left] = federation.train(
            [batch] * len(left), generators, rows[left], settings
        ).adapters
    return needed


def discrepancy(first: Tensor, second: Tensor) -> float:
    """Return the maximum mean discrepancy of two sets of answers (N, C) (Gretton et al. 2012).

    The square root of the biased estimate, with a Gaussian kernel whose width is the median
    distance between the second's answers.
    """
    a, b = first.flatten(1).double(), second.flatten(1).double()
    between = torch.cdist(b, b)
    width = float(between[between > 0].median()) if bool((between > 0).any()) else 1.0

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(x, y).square() / (2 * width**2)).mean()

    return float((kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)).clamp(min=0).sqrt())


def _accuracies(request: Request, adapters: Tensor, examples: Examples) -> Array:
    return request.federation.evaluate(adapters, examples).accuracy(examples.labels)


def _log_probabilities(request: Request, adapters: Tensor, examples: Examples) -> Tensor:
    federation = request.federation
    return log_probabilities(federation.backbone, federation.layout, adapters, examples)


def _divergence(exact: Tensor, own: Tensor) -> float:
    return float((exact.exp() * (exact - own)).sum(-1).mean())


def _distances(request: Request, adapters: Tensor, exact: int) -> tuple[Array, Array]:
    """Return the distance over the exact one's length, and the cosine, of effective changes."""
    federation = request.federation
    moved = changes(federation.layout, adapters, federation.initial)
    length = moved[exact].norm().clamp(min=1e-30)
    apart = (moved - moved[exact]).norm(dim=1) / length
    cosine = moved @ moved[exact] / (moved.norm(dim=1) * length).clamp(min=1e-30)
    return np.asarray(apart.numpy()), np.asarray(cosine.numpy())
