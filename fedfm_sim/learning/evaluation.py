"""Evaluate many adapters on the same examples in batched passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone, example_losses, module_at
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.lanes import in_lanes

#: Rows of the batch per pass; larger blocks fall out of the cache and run slower.
BLOCK_ROWS = 512


@dataclass(frozen=True)
class Evaluation:
    """What M adapters predict on N examples.

    Attributes
    ----------
    losses : (M, N) array
        Cross-entropy of each example, nats.
    predictions : (M, N) array
        Most probable class; (M, N, T) for language models: what comes after each token.
    """

    losses: npt.NDArray[np.float32]
    predictions: Index

    def accuracy(self, labels: Tensor) -> Array:
        """Return each adapter's share of right predictions, (M,); of tokens, for texts."""
        truth = labels.numpy()
        if truth.ndim == 2:
            told, truth = self.predictions[:, :, :-1], truth[:, 1:]
            hits = (told == truth) & (truth != -100)
            return np.asarray(hits.sum((1, 2)) / max(1, (truth != -100).sum()), dtype=np.float64)
        return np.asarray((self.predictions == truth).mean(axis=1), dtype=np.float64)


class _MergedLinear(nn.Module):
    """A Linear layer with one merged weight ``W + s B_m A_m`` for each block of rows."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.plain = output_first(base)
        self._own = local()  # lanes share the frozen model

    @property
    def weight(self) -> Tensor:
        """The frozen weight, for models that look at its type or place."""
        return self.base.weight  # type: ignore[return-value]

    def merge(self, a: Tensor, b: Tensor, scaling: float) -> None:
        self._own.weights = torch.baddbmm(self.plain[None], b, a, alpha=scaling)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self._own.weights
        rows = x.reshape(len(weights), -1, x.shape[-1])
        output = torch.bmm(rows, weights.transpose(1, 2))
        if isinstance(bias := self.base.bias, Tensor):
            output += bias
        return output.view(*x.shape[:-1], -1)


def evaluate(
    backbone: Backbone, layout: AdapterLayout, adapters: Tensor, examples: Examples
) -> Evaluation:
    """Evaluate each of (M, P) adapters on the same N examples."""
    with _merged(backbone, layout) as layers:
        return _evaluate(backbone, layout, layers, adapters, examples)


def evaluate_each(
    backbone: Backbone, layout: AdapterLayout, jobs: Sequence[tuple[Tensor, Examples]]
) -> list[Evaluation]:
    """Do several evaluations, each of (M, P) adapters on N examples of its own.

    Those of many jobs run in lanes; the results are the same.
    """
    found: dict[int, Evaluation] = {}
    with _merged(backbone, layout) as layers:

        def evaluate_lane(lane: slice) -> None:
            for k in range(len(jobs))[lane]:
                found[k] = _evaluate(backbone, layout, layers, *jobs[k])

        in_lanes(evaluate_lane, len(jobs))
    return [found[k] for k in range(len(jobs))]


_Layers = Mapping[str, _MergedLinear]


@torch.inference_mode()
def _evaluate(
    backbone: Backbone,
    layout: AdapterLayout,
    layers: _Layers,
    adapters: Tensor,
    examples: Examples,
) -> Evaluation:
    count, size = len(adapters), len(examples)
    losses = np.empty((count, size), dtype=np.float32)
    predictions = np.empty((count, *examples.labels.shape), dtype=np.int64)
    for rows, logits in _logits(backbone, layout, layers, adapters, examples):
        block = rows.stop - rows.start
        each = example_losses(logits, _tile(examples.labels, block))
        losses[rows] = each.view(block, size).numpy()
        best = logits.argmax(-1).view(block, *examples.labels.shape)
        predictions[rows] = best.numpy()
    return Evaluation(losses, predictions)


@torch.inference_mode()
def log_probabilities(
    backbone: Backbone, layout: AdapterLayout, adapters: Tensor, examples: Examples
) -> Tensor:
    """Return what each of (M, P) adapters says of every answer, (M, N, C).

    Of texts, it is of the word after each token, (M, N, T, V).
    """
    with _merged(backbone, layout) as layers:
        parts = [
            logits.log_softmax(-1).view(rows.stop - rows.start, len(examples), *logits.shape[1:])
            for rows, logits in _logits(backbone, layout, layers, adapters, examples)
        ]
    return torch.cat(parts)


@contextmanager
def _merged(backbone: Backbone, layout: AdapterLayout) -> Iterator[_Layers]:
    """Put layers with merged weights into the backbone for the time of the block."""
    merged = {m: _MergedLinear(backbone.model.get_submodule(m)) for m in layout.modules}
    try:
        _install(backbone, merged)
        yield merged
    finally:
        _install(backbone, {m: layer.base for m, layer in merged.items()})


def _logits(
    backbone: Backbone,
    layout: AdapterLayout,
    layers: _Layers,
    adapters: Tensor,
    examples: Examples,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits of blocks of adapters, one adapter's examples after another's."""
    block = max(1, BLOCK_ROWS // max(len(examples), 1))
    for start in range(0, len(adapters), block):
        rows = adapters[start : start + block]
        for module, (a, b) in layout.factors(rows).items():
            layers[module].merge(a, b, layout.scaling)
        inputs = {k: _tile(v, len(rows)) for k, v in examples.inputs.items()}
        yield slice(start, start + len(rows)), backbone.model(**inputs).logits


def output_first(layer: nn.Module) -> Tensor:
    """Return the weight (out, in) of a Linear layer, or of a Conv1D, which stores (in, out)."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight.T if isinstance(layer, Conv1D) else weight


def _install(backbone: Backbone, layers: Mapping[str, nn.Module]) -> None:
    for module, layer in layers.items():
        parent, name = module_at(backbone.model, module)
        setattr(parent, name, layer)


def _tile(tensor: Tensor, times: int) -> Tensor:
    return tensor.repeat(times, *[1] * (tensor.ndim - 1))
