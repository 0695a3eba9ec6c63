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
    with _merged(backbone, layout) as model:
        return model.evaluate(adapters, examples)


def evaluate_each(
    backbone: Backbone, layout: AdapterLayout, jobs: Sequence[tuple[Tensor, Examples]]
) -> list[Evaluation]:
    """Do several evaluations, each of (M, P) adapters on N examples of its own.

    Small jobs share a pass, their examples padded to be as many, and passes run in lanes:
    what Python adds to a pass would make lanes wait for each other.
    """
    passes, found = list(_shared(jobs)), dict[int, Evaluation]()
    with _merged(backbone, layout) as model:

        def evaluate_lane(lane: slice) -> None:
            for numbers in passes[lane]:
                told = model.evaluate_shared([jobs[k] for k in numbers])
                found.update(zip(numbers, told, strict=True))

        in_lanes(evaluate_lane, len(passes), least=2)
    return [found[k] for k in range(len(jobs))]


def _shared(jobs: Sequence[tuple[Tensor, Examples]]) -> Iterator[list[int]]:
    """Yield which jobs share a pass: one after the other, up to `BLOCK_ROWS`, padding included."""
    group, adapters, longest = list[int](), 0, 0
    for k, (rows, examples) in enumerate(jobs):
        longer = max(longest, len(examples))
        if group and (adapters + len(rows)) * longer > BLOCK_ROWS:
            yield group
            group, adapters, longer = [], 0, len(examples)
        group.append(k)
        adapters, longest = adapters + len(rows), longer
    if group:
        yield group


@dataclass(frozen=True)
class _Model:
    """A backbone whose layers take merged weights, for the time of `_merged`."""

    backbone: Backbone
    layout: AdapterLayout
    layers: Mapping[str, _MergedLinear]

    @torch.inference_mode()
    def evaluate_shared(self, jobs: Sequence[tuple[Tensor, Examples]]) -> list[Evaluation]:
        """Evaluate several jobs in one pass, unless there is but one."""
        if len(jobs) == 1:
            return [self.evaluate(*jobs[0])]
        longest = max(len(examples) for _, examples in jobs)
        padded = [
            examples.select(np.arange(longest) % max(1, len(examples)))
            for adapters, examples in jobs
            for _ in range(len(adapters))
        ]
        rows = torch.cat([adapters for adapters, _ in jobs])
        whole = self._pass(rows, Examples.concatenate(padded))
        ends = np.cumsum([len(adapters) for adapters, _ in jobs])
        return [
            Evaluation(
                whole.losses[end - len(adapters) : end, : len(examples)],
                whole.predictions[end - len(adapters) : end, : len(examples)],
            )
            for end, (adapters, examples) in zip(ends, jobs, strict=True)
        ]

    @torch.inference_mode()
    def evaluate(self, adapters: Tensor, examples: Examples) -> Evaluation:
        """Evaluate each of (M, P) adapters on the same N examples."""
        losses = np.empty((len(adapters), len(examples)), dtype=np.float32)
        predictions = np.empty((len(adapters), *examples.labels.shape), dtype=np.int64)
        for rows, tiled in _blocks(adapters, examples):
            block = self._pass(adapters[rows], tiled)
            losses[rows], predictions[rows] = block.losses, block.predictions
        return Evaluation(losses, predictions)

    def _pass(self, adapters: Tensor, examples: Examples) -> Evaluation:
        logits = self.logits(adapters, examples)
        losses = example_losses(logits, examples.labels).view(len(adapters), -1)
        best = logits.argmax(-1).view(*losses.shape, *examples.labels.shape[1:])
        return Evaluation(losses.numpy(), best.numpy())

    def logits(self, adapters: Tensor, examples: Examples) -> Tensor:
        """Return the logits of (M, P) adapters, each on its own N of M N examples in order."""
        for module, (a, b) in self.layout.factors(adapters).items():
            self.layers[module].merge(a, b, self.layout.scaling)
        logits: Tensor = self.backbone.model(**examples.inputs).logits
        return logits


@torch.inference_mode()
def log_probabilities(
    backbone: Backbone, layout: AdapterLayout, adapters: Tensor, examples: Examples
) -> Tensor:
    """Return what each of (M, P) adapters says of every answer, (M, N, C).

    Of texts, it is of the word after each token, (M, N, T, V).
    """
    with _merged(backbone, layout) as model:
        parts = [
            model.logits(adapters[rows], tiled).log_softmax(-1)
            for rows, tiled in _blocks(adapters, examples)
        ]
    whole = torch.cat(parts)
    return whole.view(len(adapters), len(examples), *whole.shape[1:])


@contextmanager
def _merged(backbone: Backbone, layout: AdapterLayout) -> Iterator[_Model]:
    """Put layers with merged weights into the backbone for the time of the block."""
    merged = {m: _MergedLinear(backbone.model.get_submodule(m)) for m in layout.modules}
    try:
        _install(backbone, merged)
        yield _Model(backbone, layout, merged)
    finally:
        _install(backbone, {m: layer.base for m, layer in merged.items()})


def _blocks(adapters: Tensor, examples: Examples) -> Iterator[tuple[slice, Examples]]:
    """Yield which of some adapters share a pass, and the examples once for each of them."""
    block = max(1, BLOCK_ROWS // max(len(examples), 1))
    for start in range(0, len(adapters), block):
        stop = min(start + block, len(adapters))
        yield slice(start, stop), Examples.concatenate([examples] * (stop - start))


def output_first(layer: nn.Module) -> Tensor:
    """Return the weight (out, in) of a Linear layer, or of a Conv1D, which stores (in, out)."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight.T if isinstance(layer, Conv1D) else weight


def _install(backbone: Backbone, layers: Mapping[str, nn.Module]) -> None:
    for module, layer in layers.items():
        parent, name = module_at(backbone.model, module)
        setattr(parent, name, layer)
