"""A trial of a model under adapters, before anything is trained on it.

The batched trainer and the batched evaluation put layers of their own into a model. What
they rely on is tried on a few examples: that it takes the data, that a language model sees no later
word, and that both give every example what it gets alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import (
    BACKBONES,
    FAILURES,
    WORDS,
    Backbone,
    example_losses,
    first_line,
)
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import evaluate
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.fitting import Both
from fedfm_sim.learning.trainer import stacked

#: By how much the losses of two ways of computing them may differ, as a share.
TOLERANCE = 1e-3


def try_out(backbone: Backbone, layout: AdapterLayout, data: SplitData, name: str) -> None:
    """Try a model with adapters on the data called ``name``; shipped models are known to work.

    Raises
    ------
    UserError
        Naming ``backbone`` and ``data.name``, when something does not work.
    """
    if BACKBONES.is_own(backbone.name):
        return
    both, few = Both(backbone, name), _few(data.private)
    try:
        logits = _forward(backbone, few)
        losses = _losses(backbone, layout, few)
    except FAILURES as error:
        both.refuse(f"the model does not take the data ({first_line(error)})")
    shape = (*few.labels.shape, backbone.answers)
    if tuple(logits.shape) != shape:
        both.refuse(f"the model answers in shape {tuple(logits.shape)}, expected {shape}")
    if not bool(torch.isfinite(logits).all()):
        both.refuse("the model answers NaN or Inf")
    if backbone.task == WORDS and not _looks_back_only(backbone, few, logits):
        both.refuse("the model sees later words, so it is no causal language model")
    apart, together, merged = losses
    for other in (together, merged):
        if not np.allclose(apart, other, rtol=TOLERANCE, atol=TOLERANCE):
            both.refuse(
                "the model's layers mix examples of a batch, so that adapters can't be trained "
                "side by side; expected one that treats each example by itself"
            )


def _few(examples: Examples) -> Examples:
    """Return three examples, the longest text among them."""
    mask = examples.inputs.get("attention_mask")
    longest = 0 if mask is None else int(mask.sum(1).argmax())
    last = len(examples) - 1
    return examples.select([min(1, last), longest, last])


@torch.no_grad()
def _forward(backbone: Backbone, examples: Examples) -> Tensor:
    logits: Tensor = backbone.model(**examples.inputs).logits
    return logits


@torch.no_grad()
def _looks_back_only(backbone: Backbone, examples: Examples, logits: Tensor) -> bool:
    """Return whether another last word leaves what is said before it as it was."""
    tokens = examples.inputs["input_ids"].clone()
    mask = examples.inputs.get("attention_mask", torch.ones_like(tokens))
    rows, last = torch.arange(len(tokens)), mask.sum(1) - 1
    tokens[rows, last] = (tokens[rows, last] + 1) % backbone.answers
    changed = backbone.model(**{**examples.inputs, "input_ids": tokens}).logits
    moved = (changed - logits).abs().amax(-1)
    before = torch.arange(tokens.shape[1]) < last[:, None]
    # Rounding alone may differ; weights fresh from a generator let later words through a little.
    rounding = 1e-6 * float(logits.abs().max()) + 1e-4 * float(moved[rows, last].max())
    return not bool((moved[before] > rounding).any())


def _losses(
    backbone: Backbone, layout: AdapterLayout, examples: Examples
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return losses (2, 3) under two random adapters: each alone, stacked, and merged."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(0.1 * rng.standard_normal((2, layout.size), dtype=np.float32))
    apart = np.stack(
        [
            np.concatenate(
                [_stacked(backbone, layout, row[None], examples.select([k])) for k in range(3)]
            )
            for row in rows
        ]
    )
    pair = Examples.concatenate([examples, examples])
    together = _stacked(backbone, layout, rows, pair).reshape(2, 3)
    return apart, together, evaluate(backbone, layout, rows, examples).losses


def _stacked(
    backbone: Backbone, layout: AdapterLayout, rows: Tensor, examples: Examples
) -> np.ndarray:
    """Return the losses of examples in one equal block for each adapter, gradients taken."""
    rows = rows.clone().requires_grad_()
    with stacked(backbone, layout) as layers:
        views = layout.views(rows)
        for module in layout.modules:
            layers[module].factors = layout.pair(views, module)
        losses = example_losses(backbone.model(**examples.inputs).logits, examples.labels)
        torch.autograd.grad(losses.sum(), [rows])
    return losses.detach().numpy()
