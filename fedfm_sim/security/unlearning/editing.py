"""Executors that edit the weights: subtract, scrub, or distil what is left."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.learning.evaluation import log_probabilities
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.low_rank import changes, fold
from fedfm_sim.learning.trainer import example_gradients
from fedfm_sim.security.unlearning.executor import (
    Executor,
    Passes,
    Steps,
    Task,
    mending,
)
from fedfm_sim.security.unlearning.request import Request


class AdapterNegation(Executor):
    """Subtract a participant's part of ``dW`` (task arithmetic), and mend.

    What is subtracted is ``sum p dW`` over its kept updates, p being their part in each
    round; where none were kept or no participant goes as a whole, an adapter is trained from
    the base model on the forgotten data alone, and its ``dW`` is subtracted. The outcome is
    folded back to the adapter's rank. Not all of it goes: later updates of the others
    already answer to it. (A negative weight in peft would scale A and B each, which
    squares the scale and loses the sign.)
    """

    source: ClassVar[str] = "Ilharco et al., ICLR 2023; Zhang et al., NeurIPS 2023"
    needs: ClassVar[str] = "kept updates or the data; the remaining participants to mend"
    scale: float = Field(default=0.45, gt=0, description="share that is subtracted")
    epochs: int = Field(default=4, ge=1, description="of learning what to subtract")
    rounds: int = Field(default=5, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the learning of the negative where it must be learnt, and the mending."""
        federation = request.federation
        negative = subtracted(request)
        if negative is None:
            settings = federation.settings.model_copy(update={"epochs": self.epochs})
            start, data = federation.initial[None], request.forgotten
            rows = yield Task(start, [data], [request.owner], settings)
            negative = changes(federation.layout, rows, federation.initial)[0]
        adapter, _ = fold(federation.layout, -self.scale * negative, request.adapter)
        return (yield from mending(request, adapter, self.rounds))


def subtracted(request: Request) -> Tensor | None:
    """Return the sum of the leaver's weighted changes ``dW`` (D,) over all kept rounds."""
    layout = request.federation.layout
    parts = [
        part * changes(layout, update[None], reference)[0]
        for part, update, reference in request.sent()
    ]
    return torch.stack(parts).sum(0) if parts else None


class Distillation(Executor):
    """Subtract all that the participant sent, then relearn from the old model's answers.

    The old model answers to the server's inputs, which hold no trigger, and
    the emptied one learns these answers (Wu et al. 2022). Where no participant goes as
    a whole, the pupil starts from the base model.
    """

    source: ClassVar[str] = "Wu et al., 2022"
    needs: ClassVar[str] = "kept updates, and inputs of the server's own"
    uses_history: ClassVar[bool] = True
    epochs: int = Field(default=7, ge=1, description="of the pupil's lesson")
    rounds: int = Field(default=4, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the pupil's training, and the mending."""
        federation = request.federation
        settings = federation.settings.model_copy(update={"epochs": self.epochs})
        pupil = self.emptied(request)
        lesson = answered(request, request.adapter)
        rows = yield Task(pupil[None], [lesson], [-1], settings)
        return (yield from mending(request, rows[0], self.rounds))

    def emptied(self, request: Request) -> Tensor:
        """Return the global adapter less the participant's part of every kept round, (P,)."""
        if request.client is None or not request.history:
            return request.federation.initial
        adapter = request.adapter.clone()
        for part, update, reference in request.sent():
            adapter -= part * (update - reference)
        return adapter


def answered(request: Request, teacher: Tensor) -> Examples:
    """Return the server's inputs with what an adapter (P,) says of them."""
    federation, inputs = request.federation, request.server
    said = log_probabilities(federation.backbone, federation.layout, teacher[None], inputs)[0]
    if inputs.labels.ndim == 1:
        return Examples(inputs.inputs, said.exp())
    return inputs.labelled_by(said.argmax(-1))


class Scrubbing(Executor):
    """A Newton step away from the data, and noise where the rest does not care.

    ``w + strength n_f / n_r (F + d)^-1 g_f + noise (F + d)^-1/4 z``, with the diagonal Fisher
    information F of the retained data, relative damping d, the mean gradient g_f of the
    forgotten and standard normal z (Golatkar et al. 2020, with Koh and Liang's influence).
    """

    source: ClassVar[str] = "Golatkar et al., CVPR 2020; Koh and Liang, ICML 2017"
    needs: ClassVar[str] = "one pass of gradients by all participants; the remaining ones to mend"
    strength: float = Field(default=3.0, ge=0, description="factor on the Newton step")
    damping: float = Field(default=0.1, gt=0, description="over the mean of F")
    noise: float = Field(default=0.0, ge=0, description="added where the rest hardly cares")
    rounds: int = Field(default=3, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the count of gradients, and the mending."""
        federation, kept, gone = request.federation, request.retained, request.forgotten
        yield Passes(len(kept) + len(gone))
        row = request.adapter
        fisher = self._gradients(request, kept).square().mean(0)
        pull = self._gradients(request, gone).mean(0)
        stiff = fisher + self.damping * fisher.mean()
        rng = request.streams.generator("scrub")
        drawn = torch.from_numpy(rng.standard_normal(len(row), dtype="float32"))
        step = self.strength * len(gone) / len(kept) * pull / stiff
        # A Newton step far outside where the loss is quadratic means nothing.
        longest = float((row - federation.initial).norm())
        step *= min(1.0, longest / max(float(step.norm()), 1e-30))
        adapter = row + step + self.noise * drawn / stiff**0.25
        return (yield from mending(request, adapter, self.rounds))

    def _gradients(self, request: Request, examples: Examples) -> Tensor:
        federation = request.federation
        return example_gradients(federation.backbone, federation.layout, request.adapter, examples)
