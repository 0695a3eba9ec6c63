"""Effective weight changes as vectors, and back to the factors of an adapter.

A rule that works coordinate by coordinate, or mixes updates otherwise than by
averaging factors, works on ``dW = s (B A - B_0 A_0)``: it is the same in every
gauge (Q A, B Q^-1). Its outcome need not have the adapter's rank, and is folded
into the nearest adapter that has it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout

#: Singular values below this share of the largest count as nothing.
NEGLIGIBLE = 1e-7


def changes(layout: AdapterLayout, adapters: Tensor, reference: Tensor) -> Tensor:
    """Return the weight changes (K, D) of (K, P) adapters from (P,), over all modules, float64."""
    rows = torch.cat([reference[None], adapters]).double()
    parts = [torch.bmm(b, a).flatten(1) for a, b in layout.factors(rows).values()]
    products = torch.cat(parts, dim=1) * layout.scaling
    return products[1:] - products[0]


def fold(layout: AdapterLayout, change: Tensor, reference: Tensor) -> tuple[Tensor, float]:
    """Return the adapter (P,) nearest to a change (D,) of the reference, and what is lost.

    Each module's ``B_0 A_0 + dW / s`` is cut to the adapter's rank by its singular
    values, which is nearest in the Frobenius norm (Eckart and Young 1936), and split
    evenly: ``B = U sqrt(S)``, ``A = sqrt(S) V^T``. Where less than the rank is
    needed, A keeps rows of its usual size with zeros in B, so that the adapter can
    go on learning.

    Returns
    -------
    adapter : Tensor
        (P,) float32.
    residual : float
        Frobenius norm of what was cut, over that of the change; 0 for no change.
    """
    views = {name: view.clone() for name, view in layout.views(reference[None].double()).items()}
    start, lost = 0, 0.0
    for module in layout.modules:
        a, b = (view[0] for view in layout.pair(views, module))
        size = b.shape[0] * a.shape[1]
        part = change[start : start + size].double().view(b.shape[0], a.shape[1])
        start += size
        lost += _fold_module(a, b, part / layout.scaling)
    row = torch.cat([views[name].flatten() for name in layout.shapes]).float()
    norm = float(change.norm())
    return row, layout.scaling * lost**0.5 / norm if norm > 0 else 0.0


def _fold_module(a: Tensor, b: Tensor, change: Tensor) -> float:
    """Overwrite A (r, in) and B (out, r), and return the squared norm of what was cut."""
    rank = a.shape[0]
    usual = float(a.norm()) / rank**0.5
    left, values, right = torch.linalg.svd(b @ a + change, full_matrices=False)
    kept = int((values[:rank] > NEGLIGIBLE * max(float(values[0]), 1e-30)).sum())
    roots = values[:kept].sqrt()
    a.zero_()
    b.zero_()
    a[:kept], b[:, :kept] = roots[:, None] * right[:kept], left[:, :kept] * roots
    spare = min(rank, len(right))
    a[kept:spare] = usual * right[kept:spare]
    return float((values[kept:] ** 2).sum())
