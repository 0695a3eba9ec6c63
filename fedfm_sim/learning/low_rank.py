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


def changes(layout: AdapterLayout, adapters: Tensor, reference: Tensor) -> Tensor:
    """Return the weight changes (K, D) of (K, P) adapters from (P,), over all modules, float64."""
    rows = torch.cat([reference[None], adapters]).double()
    parts = [torch.bmm(b, a).flatten(1) for a, b in layout.factors(rows).values()]
    products = torch.cat(parts, dim=1) * layout.scaling
    return products[1:] - products[0]


def fold(layout: AdapterLayout, change: Tensor, reference: Tensor) -> tuple[Tensor, float]:
    """Return the adapter (P,) nearest to a change (D,) of the reference, and what is lost.

    Each module's ``B_0 A_0 + dW / s`` is cut to the adapter's rank by its singular
    values, which is nearest in the Frobenius norm (Eckart and Young 1936). Of all gauges
    (Q A, B Q^-1) it is written in the one whose A has orthogonal rows of the
    reference's usual length and is turned as near to the reference's A as can be
    (orthogonal Procrustes, Schoenemann 1966). Factors of several folds can so be
    averaged with little loss, and where less than the rank is needed, A keeps rows
    of its usual size with zeros in B, so that the adapter can go on learning.

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
    rank, before = a.shape[0], a.clone()
    usual = float(a.norm()) / rank**0.5 or 1.0
    left, values, right = torch.linalg.svd(b @ a + change, full_matrices=False)
    kept = min(rank, len(values))
    a.zero_()
    b.zero_()
    a[:kept] = usual * right[:kept]
    b[:, :kept] = left[:, :kept] * values[:kept] / usual
    first, _, second = torch.linalg.svd(before @ a.T)
    turn = first @ second
    a.copy_(turn @ a)
    b.copy_(b @ turn.T)
    return float((values[kept:] ** 2).sum())
