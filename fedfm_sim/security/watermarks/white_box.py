"""White-box marks: bits in the signs of secret projections of an adapter's ``dW`` (FedIPR).

Li et al. (2022, section 4.2) read N bits as ``sign(w^T E)`` with a secret E in R^{M x N}.
Here w is ``dW = s B A`` over all adapted modules: the gauge (Q A, B Q^-1) that leaves the
model as it is leaves the mark as it is. The columns of E are rank-one in each module,
``u v^T`` with standard normal u and v, and of length about 1: a projection costs two
thin products and E is never formed. As E is symmetric about 0 and independent of any
model trained without it, the bits read from such a model are fair coins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Index, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.trainer import Adjust
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.verification import Claim, Trace, claim, similarity_scores

#: How often embedding linearises the projections before it gives up.
STEPS = 30


@dataclass(frozen=True, eq=False)
class Directions:
    """E and b of K keys with N bits each.

    Attributes
    ----------
    left, right : dict of str to Tensor
        By module, (K, N, out) and (K, N, in): the u and v of each column.
    signs : Tensor
        (K, N), of -1 and 1.
    """

    left: dict[str, Tensor]
    right: dict[str, Tensor]
    signs: Tensor

    def select(self, rows: Index) -> Directions:
        """Return the directions of some of the keys."""
        return Directions(
            {module: part[rows] for module, part in self.left.items()},
            {module: part[rows] for module, part in self.right.items()},
            self.signs[rows],
        )


def directions(
    layout: AdapterLayout, keys: Sequence[Key], modules: Sequence[str] | None = None
) -> Directions:
    """Return what K keys of the same number of bits project on, over all modules or some."""
    modules = layout.modules if modules is None else modules
    shapes = {module: layout.pair_of_shapes(module) for module in modules}
    length = sum(b[0] * a[1] for a, b in shapes.values()) ** 0.25
    left, right = {}, {}
    for module, (a, b) in shapes.items():
        left[module] = _normals(keys, f"left {module}", b[0]) / length
        right[module] = _normals(keys, f"right {module}", a[1]) / length
    bits = np.stack([key.generator("bits").integers(0, 2, key.bits) for key in keys])
    return Directions(left, right, torch.from_numpy(2.0 * bits - 1).float())


def _normals(keys: Sequence[Key], purpose: str, size: int) -> Tensor:
    draws = [
        key.generator(purpose).standard_normal((key.bits, size), dtype=np.float32) for key in keys
    ]
    return torch.from_numpy(np.stack(draws))


def responses(layout: AdapterLayout, adapters: Tensor, of: Directions) -> Tensor:
    """Return ``dW^T E`` (K, N) of (K, P) adapters, each by its own key, or by one key for all."""
    views = layout.views(adapters)
    total = torch.zeros((), dtype=adapters.dtype)
    for module, left in of.left.items():
        a, b = layout.pair(views, module)
        through = (left.to(b) @ b) * (of.right[module].to(a) @ a.transpose(1, 2))
        total = total + through.sum(2)
    return layout.scaling * total


def unmarked_deviation(layout: AdapterLayout, adapters: Tensor, of: Directions) -> Tensor:
    """Return the standard deviation (K,) of a response without a mark: ``|dW| / sqrt(M)``.

    Over the modules that the keys look at, which have M weights between them.
    """
    factors = layout.factors(adapters)
    squared, weights = torch.zeros(len(adapters), dtype=adapters.dtype), 0
    for module in of.left:
        a, b = factors[module]
        squared = squared + ((b.transpose(1, 2) @ b) * (a @ a.transpose(1, 2))).sum((1, 2))
        weights += b.shape[1] * a.shape[2]
    return layout.scaling * (squared / weights).clamp(min=0).sqrt()


def hinge(layout: AdapterLayout, of: Directions, weight: float, margin: float) -> Adjust:
    """Return the gradient of FedIPR's penalty, for the trainer.

    ``weight * sum_j max(0, margin * d - b_j (w^T E)_j)``: the first part of Eq. 15's
    loss besides the task's. d is the `unmarked_deviation`, so that the margin is a
    number of standard deviations whatever the length of ``dW``; its own gradient is
    left out.
    """

    def adjust(rows: Tensor, gradients: Tensor, members: Index) -> None:
        own = of.select(members)
        free = rows.detach().clone().requires_grad_()
        gap = margin * unmarked_deviation(layout, rows, own)[:, None] - own.signs * responses(
            layout, free, own
        )
        (gradient,) = torch.autograd.grad(weight * gap.clamp(min=0).sum(), [free])
        gradients += gradient

    return adjust


def read_bits(layout: AdapterLayout, adapters: Tensor, of: Directions) -> Mask:
    """Return which bits of each of (K, P) adapters are as its key says, (K, N)."""
    found: Mask = (responses(layout, adapters.double(), of) * of.signs > 0).numpy()
    return found


def bits_found(
    layout: AdapterLayout, adapter: Tensor, key: Key, margin: float, claimants: int = 1
) -> tuple[Claim, float]:
    """Return a key's claim on an adapter (P,) by its bits, and FedTracker's similarity.

    ``margin`` is as in `embed`. A response of exactly 0 is no hit.
    """
    row, of = adapter[None].double(), directions(layout, [key])
    found, level = responses(layout, row, of), margin * unmarked_deviation(layout, row, of)
    own = claim(key.owner, int((found * of.signs > 0).sum()), key.bits, 0.5, claimants)
    scores = similarity_scores(found.numpy(), of.signs.double().numpy(), level.numpy())
    return own, float(scores[0])


def trace_bits(layout: AdapterLayout, adapter: Tensor, keys: Sequence[Key], margin: float) -> Trace:
    """Return to which of several keys, of any number of bits, an adapter (P,) is traced.

    Ranked by FedTracker's similarity, with ``margin`` as in `embed`.
    """
    found = [bits_found(layout, adapter, key, margin, len(keys)) for key in keys]
    return Trace(tuple(own for own, _ in found), np.array([score for _, score in found]))


def embed(layout: AdapterLayout, adapter: Tensor, of: Directions, margin: float = 4.0) -> Tensor:
    """Return the adapter (P,) nearest to one given whose responses carry one key's bits.

    Needs no data: each step is the least change of the factors, to first order, that brings
    every response to its sign times the margin (in `unmarked_deviation`), as
    in Gauss-Newton. The N x N matrix of inner products of the responses' gradients comes
    from thin products alone, so that adapters of any size are marked in seconds.

    Raises
    ------
    UserError
        When the bits do not fit: more bits than the adapter has room for, or no weights.
    """
    row = adapter[None].double().clone()
    if not bool(unmarked_deviation(layout, row, of) > 0):
        raise UserError("the adapter changes nothing yet (B A = 0), so that a mark has no scale")
    for _ in range(STEPS if of.signs.shape[1] <= adapter.numel() else 0):
        target = margin * unmarked_deviation(layout, row, of)[:, None] * of.signs.double()
        gap = (target - responses(layout, row, of)) * of.signs
        if bool((gap <= 1e-3 * target.abs()).all()):
            return row[0].to(adapter.dtype)
        gap = gap.clamp(min=0) * of.signs
        row = row + _least_change(layout, row, of, gap)
    raise UserError(
        f"{of.signs.shape[1]} bits do not fit into this adapter at a margin of {margin:g}; "
        "take fewer bits or a smaller margin"
    )


def _least_change(layout: AdapterLayout, row: Tensor, of: Directions, gap: Tensor) -> Tensor:
    """Return the (1, P) step of least norm that moves the (1, N) responses by ``gap``."""
    views, inner = layout.views(row), torch.zeros((), dtype=row.dtype)
    through = {}
    for module, left in of.left.items():
        a, b = (part[0] for part in layout.pair(views, module))
        u, v = left[0].to(row), of.right[module][0].to(row)
        through[module] = u, v, u @ b, v @ a.T
        inner = inner + (u @ b @ b.T @ u.T) * (v @ v.T) + (u @ u.T) * (v @ a.T @ a @ v.T)
    s = layout.scaling
    ridge = 1e-9 * inner.diagonal().mean() * torch.eye(len(inner), dtype=row.dtype)
    weights = torch.linalg.solve(s**2 * (inner + ridge), gap[0])[:, None]
    step = torch.zeros_like(row)
    parts = layout.views(step)
    for module, (u, v, ub, va) in through.items():
        grad_a, grad_b = layout.pair(parts, module)
        grad_a[0], grad_b[0] = s * (weights * ub).T @ v, s * u.T @ (weights * va)
    return step
