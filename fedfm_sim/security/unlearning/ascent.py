"""Executors that work against the forgotten data: up its loss, or to say nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from fedfm_sim.learning.examples import Examples
from fedfm_sim.security.unlearning.executor import (
    Executor,
    Steps,
    Task,
    federated_rounds,
    mending,
)
from fedfm_sim.security.unlearning.request import Request


def upwards(rows: Tensor, gradients: Tensor, members: object) -> None:
    """Turn the gradients round, so that training raises the loss."""
    gradients.neg_()


class GradientAscent(Executor):
    """Raise the loss on the data until the model guesses, then mend by training on the rest.

    The loss has no upper end, so that the climb stops at ``goal log(classes)``, at chance
    for 1, looked at after every batch.
    """

    source: ClassVar[str] = "Graves et al., AAAI 2021; Wu et al., 2022"
    needs: ClassVar[str] = "the data to be forgotten; the remaining participants to mend"
    rate: float = Field(default=0.2, gt=0, description="longest step, over all numbers")
    batches: int = Field(default=60, ge=1, description="most batches of the climb")
    goal: float = Field(default=1.0, gt=0, description="loss at which it stops, over chance")
    rounds: int = Field(default=3, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the climb, batch by batch, and the mending."""
        adapter = yield from self.climb(request, request.adapter, lambda row: row)
        return (yield from mending(request, adapter, self.rounds))

    def climb(self, request: Request, start: Tensor, near: Callable[[Tensor], Tensor]) -> Steps:
        """Yield batches up the loss from ``start`` (P,), each outcome brought ``near``."""
        # SGD on a clipped gradient moves by at most the rate.
        settings = request.federation.settings.model_copy(
            update={"epochs": 1, "optimizer": "sgd", "learning_rate": self.rate}
        )
        data, rng, row = request.forgotten, request.streams.generator("climb"), start
        for _ in range(self.batches):
            if loss_over_chance(request, row) >= self.goal:
                break
            batch = data.select(rng.permutation(len(data))[: settings.batch_size])
            rows = yield Task(row[None], [batch], [request.owner], settings, upwards)
            row = near(rows[0])
        return row


def loss_over_chance(request: Request, row: Tensor) -> float:
    """Return an adapter's (P,) mean loss on the forgotten data, over that of guessing."""
    losses = request.federation.evaluate(row[None], request.forgotten).losses
    return float(losses.mean()) / log(request.federation.backbone.answers)


class ProjectedAscent(GradientAscent):
    """Climb inside a ball round what the others made, then mend (PGA, Halimi et al. 2022).

    The centre is ``w_ref = (w - p_i w_i) / (1 - p_i)``, the last round's aggregate without
    the participant's part p_i of it; for other targets the global adapter itself. The ball's
    radius is a share of the distance from centre to w_i.
    """

    source: ClassVar[str] = "Halimi et al., 2022"
    needs: ClassVar[str] = (
        "the data to be forgotten, the last updates; the remaining participants to mend"
    )
    radius: float = Field(default=0.33, gt=0, description="over the distance to w_i")
    goal: float = Field(default=4.0, gt=0, description="loss at which it stops, over chance")
    rounds: int = Field(default=4, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the climb from the centre, kept inside the ball, and the mending."""
        centre, other = self.centre(request)
        ball = self.radius * float((other - centre).norm())

        def near(row: Tensor) -> Tensor:
            away = row - centre
            return centre + away * min(1.0, ball / max(float(away.norm()), 1e-30))

        adapter = yield from self.climb(request, centre, near)
        return (yield from mending(request, adapter, self.rounds))

    def centre(self, request: Request) -> tuple[Tensor, Tensor]:
        """Return w_ref and w_i, (P,) each."""
        if request.client is None or not request.history:
            return request.adapter, request.federation.initial
        last = request.history[-1]
        rows = np.flatnonzero(last.members == request.client)
        if not len(rows) or not 0 < last.weights[rows[0]] < 1:
            return request.adapter, request.federation.initial
        own, part = last.updates[rows[0]], float(last.weights[rows[0]])
        return (request.adapter - part * own) / (1 - part), own


class MultiTask(Executor):
    """Train to know the rest and to say nothing of the forgotten, in one loss.

    Forgotten images get every class alike as their answer, which unlike climbing has an end;
    forgotten texts get random words. ``repeats`` weighs them.
    """

    source: ClassVar[str] = "Tarun et al., 2023; Chundawat et al., AAAI 2023"
    needs: ClassVar[str] = "all participants for some rounds, the leaving one included"
    rounds: int = Field(default=2, ge=1, description="of training on all tasks at once")
    repeats: int = Field(default=1, ge=1, description="times each example to forget counts")

    def steps(self, request: Request) -> Steps:
        """Yield rounds over both kinds of data."""
        answers = request.federation.backbone.answers
        rng = request.streams.generator("answers")
        shards = [
            mixture(kept, ignorant(gone, answers, rng), answers, self.repeats)
            for kept, gone in zip(request.retain, request.forget, strict=True)
        ]
        adapter = yield from federated_rounds(request, request.adapter, shards, self.rounds)
        return adapter


def ignorant(examples: Examples, answers: int, rng: np.random.Generator) -> Examples:
    """Return examples whose answers tell nothing: every class alike, or random words."""
    if examples.labels.ndim == 1:
        even = torch.full((len(examples), answers), 1 / answers)
        return Examples(examples.inputs, even)
    words = torch.from_numpy(rng.integers(0, answers, tuple(examples.labels.shape)))
    words[examples.labels < 0] = examples.labels[examples.labels < 0]
    return Examples(examples.inputs, words)


def mixture(kept: Examples, gone: Examples, answers: int, repeats: int) -> Examples:
    """Return both in one, classes as distributions where the others are."""
    labels = kept.labels
    if gone.labels.is_floating_point():
        labels = functional.one_hot(labels, answers).float()
    parts: Sequence[Examples] = [Examples(kept.inputs, labels), *[gone] * repeats]
    return Examples.concatenate([part for part in parts if len(part)] or [gone])
