"""Tensors in safetensors files that are whole, and as readable as a user's other files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from fedfm_sim.core.files import whole


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors; safetensors' own ``save_file`` makes files that nobody else can read."""
    with whole(path) as part:
        part.write_bytes(save(dict(tensors), metadata=metadata))
