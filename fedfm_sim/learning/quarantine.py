"""What may reach an aggregation rule: finite updates of the right shape, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout, checked

#: Entries larger than this overflow float32 when squared in a distance or norm.
LARGEST_ENTRY = 1e6

Upload = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Received:
    """Uploads after inspection.

    Attributes
    ----------
    updates : Tensor
        (K, P), the quarantined rows replaced by the reference.
    reasons : dict of int to str
        Position of each quarantined upload, and why.
    """

    updates: Tensor
    reasons: dict[int, str]


def receive(uploads: Sequence[Upload], reference: Tensor, layout: AdapterLayout) -> Received:
    """Inspect uploads; what is NaN, Inf, too large or misshapen is quarantined and named."""
    updates = reference.repeat(len(uploads), 1)
    reasons: dict[int, str] = {}
    for position, upload in enumerate(uploads):
        try:
            updates[position] = inspect_upload(upload, layout)
        except UserError as error:
            reasons[position] = str(error)
    return Received(updates, reasons)


def inspect_upload(upload: Upload, layout: AdapterLayout) -> Tensor:
    """Return the upload's row (P,).

    Raises
    ------
    UserError
        Saying what is wrong with it.
    """
    if isinstance(upload, Tensor):
        row = checked(upload, (layout.size,), "the update")
    elif isinstance(upload, Mapping) and all(isinstance(t, Tensor) for t in upload.values()):
        row = layout.flatten(upload)
    else:
        raise UserError(f"a {type(upload).__name__}, expected tensors by name")
    if torch.isnan(row).any():
        raise UserError("holds NaN")
    if torch.isinf(row).any():
        raise UserError("holds Inf")
    if (largest := float(row.abs().max())) > LARGEST_ENTRY:
        raise UserError(f"holds an entry of size {largest:.3g}, above {LARGEST_ENTRY:.0e}")
    return row
