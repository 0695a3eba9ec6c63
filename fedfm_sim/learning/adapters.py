"""LoRA adapters as rows of one matrix.

An adapter is a row of P numbers; K adapters are a (K, P) float32 matrix. The
layout says which slice of the row is which tensor. Training, aggregation and
robust statistics are then plain matrix operations, and a file is one row
(`fedfm_sim.learning.adapter_files`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.backbone import FAILURES, Backbone, first_line

if TYPE_CHECKING:  # peft takes seconds to import, and a wrong scenario file should not
    from peft import LoraConfig, PeftModel

PREFIX = "base_model.model."
#: Layers that take an adapter.
ADAPTED = (torch.nn.Linear, Conv1D)
A_SUFFIX, B_SUFFIX = ".lora_A.weight", ".lora_B.weight"


class LoraSettings(Settings):
    """Which low-rank update is trained: ``dW = (alpha / rank) * B @ A`` (Hu et al. 2022)."""

    rank: int = Field(default=8, ge=1, le=65_536, description="of the change of each layer")
    alpha: float = Field(default=16.0, gt=0, description="the change is scaled by alpha / rank")
    targets: str | tuple[str, ...] = Field(
        default="all-linear", description="peft target_modules: names of Linear layers"
    )

    def to_peft(self, fan_in_fan_out: bool = False) -> LoraConfig:
        """Return peft's own configuration; the last is whether weights are stored (in, out)."""
        from peft import LoraConfig

        targets = self.targets if isinstance(self.targets, str) else list(self.targets)
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            target_modules=targets,
            lora_dropout=0.0,
            fan_in_fan_out=fan_in_fan_out,
        )


@dataclass(frozen=True)
class AdapterLayout:
    """Where each tensor of an adapter lies in its row.

    Attributes
    ----------
    modules : tuple of str
        Paths of the adapted Linear or Conv1D layers in the backbone.
    shapes : mapping of str to tuple
        peft's tensor name to shape, in row order: A (r, in) then B (out, r).
    settings : LoraSettings
    fan_in_fan_out : bool
        Whether the layers store their weights as (in, out), as GPT-2's ``Conv1D`` does; the
        factors A and B are the same.
    """

    modules: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    settings: LoraSettings
    fan_in_fan_out: bool = False

    @property
    def scaling(self) -> float:
        """The factor ``alpha / rank`` on ``B @ A``."""
        return self.settings.alpha / self.settings.rank

    @cached_property
    def size(self) -> int:
        """P, the numbers in one adapter."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @cached_property
    def positions_of_a(self) -> Tensor:
        """Which numbers of a row belong to the factors A, (P,) bool."""
        marks = [
            torch.full((int(np.prod(shape)),), name.endswith(A_SUFFIX))
            for name, shape in self.shapes.items()
        ]
        return torch.cat(marks)

    @property
    def size_bytes(self) -> int:
        """Bytes of one adapter as sent (float32)."""
        return 4 * self.size

    def views(self, adapters: Tensor) -> dict[str, Tensor]:
        """Return views of a (K, P) matrix, each (K, ...) of its tensor's shape, by name."""
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        parts = torch.split(adapters, sizes, dim=1)
        return {
            name: part.view(len(adapters), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def factors(self, adapters: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return (A, B), of shapes (K, r, in) and (K, out, r), by module path."""
        views = self.views(adapters)
        return {module: self.pair(views, module) for module in self.modules}

    def pair(self, views: Mapping[str, Tensor], module: str) -> tuple[Tensor, Tensor]:
        """Return the (A, B) of one module out of tensors by name."""
        return views[PREFIX + module + A_SUFFIX], views[PREFIX + module + B_SUFFIX]

    def pair_of_shapes(self, module: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of A and B, (r, in) and (out, r), of one module."""
        return self.shapes[PREFIX + module + A_SUFFIX], self.shapes[PREFIX + module + B_SUFFIX]

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the row (P,) of one adapter given by peft's tensor names.

        Raises
        ------
        UserError
            Naming the first tensor that is missing, unknown or not as `checked` asks.
        """
        for name in tensors:
            if name not in self.shapes:
                raise UserError(f"unknown tensor {name!r}")
        row = torch.empty(1, self.size)
        for name, view in self.views(row).items():
            if name not in tensors:
                raise UserError(f"missing tensor '{name}'")
            view[0] = checked(tensors[name], self.shapes[name], f"tensor '{name}'")
        return row[0]

    def gram(self, adapters: Tensor) -> Tensor:
        """Return the (K, K) inner products of the effective weights ``s B A``, float64.

        Uses ``<B A, B' A'> = sum((B^T B') * (A A'^T))``, so no ``B A`` is formed.
        """
        products = torch.zeros(len(adapters), len(adapters), dtype=torch.float64)
        for a, b in self.factors(adapters.double()).values():
            count, rank, _ = a.shape
            columns, rows = b.transpose(1, 2).flatten(0, 1), a.flatten(0, 1)
            inner = (columns @ columns.T) * (rows @ rows.T)
            products += inner.view(count, rank, count, rank).sum((1, 3))
        return products * self.scaling**2

    def change_gram(self, adapters: Tensor, reference: Tensor) -> Tensor:
        """Return the (K, K) inner products of ``dW_k = s B_k A_k - s B_0 A_0``.

        ``reference`` is the (P,) adapter that the changes start from. This is
        what a robust rule should look at: (Q A, B Q^-1) is the same model.
        """
        full = self.gram(torch.cat([reference[None], adapters]))
        cross = full[0, 1:]
        return full[1:, 1:] - cross[:, None] - cross[None, :] + full[0, 0]


def checked(given: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Return a tensor from elsewhere as float32, cut off from its gradients.

    Raises
    ------
    UserError
        When it has another shape, holds no floats or is not dense.
    """
    if tuple(given.shape) != shape:
        raise UserError(f"{name} has shape {tuple(given.shape)}, expected {shape}")
    if not given.is_floating_point():
        raise UserError(f"{name} has type {given.dtype}, expected a float")
    if given.layout != torch.strided or given.is_meta:
        raise UserError(f"{name} is sparse or without data, expected a dense tensor")
    return given.detach().to(torch.float32)


def adapter_layout(backbone: Backbone, settings: LoraSettings) -> AdapterLayout:
    """Return the layout that peft gives these settings on this backbone.

    Raises
    ------
    UserError
        When the targets match nothing or match modules that are not Linear or Conv1D.
    """
    from peft import get_peft_model_state_dict

    peft_model = attach(backbone, settings)
    shapes = {k: tuple(v.shape) for k, v in get_peft_model_state_dict(peft_model).items()}
    modules = tuple(k[len(PREFIX) : -len(A_SUFFIX)] for k in shapes if k.endswith(A_SUFFIX))
    known = dict(backbone.model.named_modules())
    layers = [known.get(module) for module in modules]
    for module, layer in zip(modules, layers, strict=True):
        if not isinstance(layer, ADAPTED):
            raise UserError(
                f"lora.targets: '{module}' is not a Linear layer; expected names such as "
                f"{_some_names(backbone)}"
            )
    order = [PREFIX + m + suffix for m in modules for suffix in (A_SUFFIX, B_SUFFIX)]
    if set(order) != set(shapes):
        raise UserError(f"lora.targets: unsupported adapter tensors {set(shapes) - set(order)}")
    transposed = any(isinstance(layer, Conv1D) for layer in layers)
    return AdapterLayout(modules, {name: shapes[name] for name in order}, settings, transposed)


def _some_names(backbone: Backbone) -> list[str]:
    """Return the last names of the layers that can be adapted, a few of them."""
    layers = backbone.model.named_modules()
    names = (path.rpartition(".")[2] for path, layer in layers if isinstance(layer, ADAPTED))
    return list(dict.fromkeys(names))[:4]


def attach(backbone: Backbone, settings: LoraSettings) -> PeftModel:
    """Return a peft model over a copy of the backbone (the original stays clean)."""
    from peft import get_peft_model

    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers for an attribute under its old name.
            warnings.simplefilter("ignore", FutureWarning)
            # Where the order of weights is not as the configuration says, it sets that right.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
            # Of experts it says which of its own patterns match nothing; they are refused anyway.
            warnings.filterwarnings("ignore", ".*did not match any targeted module")
            return get_peft_model(deepcopy(backbone.model), settings.to_peft())
    except FAILURES as error:
        reason = first_line(error).rstrip(".")
        raise UserError(
            f"lora.targets: {reason}; expected names such as {_some_names(backbone)}"
        ) from error


def initial_adapter(backbone: Backbone, layout: AdapterLayout, seed: int) -> Tensor:
    """Return peft's initial adapter (P,): A Kaiming-uniform, B zero."""
    from peft import get_peft_model_state_dict

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = get_peft_model_state_dict(attach(backbone, layout.settings))
    return layout.flatten(state)
