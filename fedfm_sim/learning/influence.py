"""DataInf: what each example, and each participant, did to the validation loss.

References
----------
.. [1] Y. Kwon, E. Wu, K. Wu and J. Zou, "DataInf: efficiently estimating data
   influence in LoRA-tuned LLMs and diffusion models", ICLR 2024.
.. [2] P. W. Koh and P. Liang, "Understanding black-box predictions via influence
   functions", ICML 2017, pp. 1885-1894.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import example_gradients


@dataclass(frozen=True, eq=False)
class Influence:
    """First-order influence of the training examples on the mean validation loss.

    Scores are for comparison. They extrapolate a derivative through a nearly
    singular Hessian, and grow as the damping shrinks: no forecast of the loss.

    Attributes
    ----------
    examples : tuple of (N_k,) arrays
        How much the loss gains from each example of participant k; negative
        for those that harm.
    participants : (K,) array
        The sums over each one's examples; 0 for a participant without any.
    """

    examples: tuple[Array, ...]
    participants: Array


def influence(
    backbone: Backbone,
    layout: AdapterLayout,
    adapter: Tensor,
    shards: Sequence[Examples],
    validation: Examples,
    *,
    damping: float = 0.1,
) -> Influence:
    """Return the influence of every participant's data on the validation loss.

    Parameters
    ----------
    adapter : Tensor
        (P,) the trained global adapter; influence is measured there.
    shards : sequence of K Examples
        What the participants trained on; they may be empty, but not all.
    validation : Examples
        The server's own.
    damping : float
        As for `data_influence`.

    Returns
    -------
    Influence

    Raises
    ------
    UserError
        When there is no training or no validation example, or as
        `data_influence` does.

    Notes
    -----
    Additive by construction: it sees no redundancy between participants, and a
    second copy of a shard counts as much as the first. It needs every
    participant's gradients, one by one, so it tells more than an update does.
    Memory is one float32 per example and adapter parameter.
    """
    if not any(len(shard) for shard in shards) or not len(validation):
        raise UserError("influence needs training examples and validation examples")
    pool = Examples.concatenate(shards)
    gradients = example_gradients(backbone, layout, adapter, pool)
    target = example_gradients(backbone, layout, adapter, validation).mean(0)
    scores = data_influence(gradients, target, layout, damping=damping)
    ends = np.cumsum([len(shard) for shard in shards])
    parts = tuple(np.split(scores, ends[:-1]))
    return Influence(parts, np.array([part.sum() for part in parts]))


def data_influence(
    gradients: Tensor, target: Tensor, layout: AdapterLayout, *, damping: float = 0.1
) -> Array:
    r"""Return DataInf's closed form of each training example's influence [1]_.

    Without example k the validation loss rises by ``v . H^-1 g_k / N`` to first
    order [2]_. The Hessian of each adapter tensor is taken as the damped mean of
    squared gradients, and the inverse of that mean as the mean of the inverses:

    .. math:: H^{-1} \approx \frac{1}{N} \sum_i (\lambda I + g_i g_i^\top)^{-1}
       = \frac{1}{N \lambda} \sum_i
       \Bigl(I - \frac{g_i g_i^\top}{\lambda + |g_i|^2}\Bigr)

    so nothing larger than a gradient is stored, and no system solved.

    Parameters
    ----------
    gradients : Tensor
        (N, P) gradient of every training example's loss.
    target : Tensor
        (P,) gradient ``v`` of the mean validation loss.
    layout : AdapterLayout
        Which of the P numbers are which tensor.
    damping : float
        ``lambda`` of a tensor, as a multiple of its mean squared gradient entry;
        0.1 in [1]_.

    Returns
    -------
    (N,) array
        Nats of validation loss by the formula, whose scale is set by the damping;
        negative for examples that harm.

    Raises
    ------
    UserError
        When the shapes differ, the damping is not above 0, or a gradient is not
        finite.

    Notes
    -----
    With G the longest gradient of a tensor, both the exact inverse and this
    lie between ``1 / (lambda + G**2)`` and ``1 / lambda``, so an influence is
    off by at most ``|v| |g_k|`` times their difference, over N.
    """
    if gradients.ndim != 2 or gradients.shape[1:] != target.shape or not len(gradients):
        raise UserError(
            f"gradients are (N, P) and their target (P,), "
            f"got {tuple(gradients.shape)} and {tuple(target.shape)}"
        )
    if not (np.isfinite(damping) and damping > 0):
        raise UserError(f"damping must be finite and above 0, got {damping}")
    if not (gradients.isfinite().all() and target.isfinite().all()):
        raise UserError("a gradient holds NaN or Inf")
    scores = torch.zeros(len(gradients), dtype=torch.float64)
    aims = layout.views(target[None])
    for name, rows in layout.views(gradients).items():
        scores += _tensor_influence(rows.flatten(1).double(), aims[name].flatten(), damping)
    return scores.numpy() / len(gradients)


def _tensor_influence(rows: Tensor, aim: Tensor, damping: float) -> Tensor:
    """Return ``v . H^-1 g_k`` of one tensor, (N,)."""
    aim = aim.double()
    squares = rows.square().sum(1)
    least = damping * float(squares.mean()) / rows.shape[1]
    if least == 0:
        # A tensor without gradients, such as A where B is zero, moves nothing.
        return torch.zeros_like(squares)
    along = rows @ aim
    direction = aim - (along / (least + squares)) @ rows / len(rows)
    return rows @ direction / least
