"""Adapters in peft's own files: adapter_config.json and adapter_model.safetensors.

`load_adapter` reads an adapter of a known layout; `open_adapter` takes the layout from
the files themselves, so that a mark can be read without the base model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import whole, write_text
from fedfm_sim.learning.adapters import (
    A_SUFFIX,
    B_SUFFIX,
    PREFIX,
    AdapterLayout,
    LoraSettings,
)

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

#: What older versions of peft don't write, and what it must be for ``dW = s B A``.
OPTIONAL: dict[str, object] = {"use_dora": False, "alpha_pattern": {}, "rank_pattern": {}}


@dataclass(frozen=True, eq=False)
class StoredAdapter:
    """An adapter as its folder holds it.

    Attributes
    ----------
    adapter : Tensor
        (P,) float32.
    layout : AdapterLayout
    base : str
        The base model's name, folder or hub id, as the configuration has it.
    tensors : mapping of str to Tensor
        As stored; what is no LoRA factor (a head trained in full) is left alone.
    folder : Path
    """

    adapter: Tensor
    layout: AdapterLayout
    base: str
    tensors: Mapping[str, Tensor]
    folder: Path

    def rewrite(self, adapter: Tensor, folder: Path) -> None:
        """Write other numbers with the same configuration and types into a new folder.

        Raises
        ------
        UserError
            When the folder holds files already, or can't be written.
        """
        new_folder(folder)
        views = self.layout.views(adapter[None])
        tensors = {
            name: views[name][0].to(stored.dtype).clone() if name in views else stored
            for name, stored in self.tensors.items()
        }
        _write(folder, tensors, (self.folder / CONFIG).read_text(encoding="utf-8"))


def new_folder(folder: Path) -> None:
    """Make a folder for results; one that holds files already stays as it is.

    Raises
    ------
    UserError
        When it holds files or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"--out {folder}: holds files already; name a new folder")
    except OSError as error:
        raise UserError(f"--out {folder}: can't be written: {error.strerror}") from error


def save_adapter(folder: Path, adapter: Tensor, layout: AdapterLayout, base: str) -> None:
    """Write a (P,) adapter as peft does: adapter_config.json and safetensors, each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v[0].clone() for k, v in layout.views(adapter[None]).items()}
    config = layout.settings.to_peft()
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.target_modules = list(layout.modules)
    with TemporaryDirectory() as made:
        config.save_pretrained(made)
        text = Path(made, CONFIG).read_text(encoding="utf-8")
    _write(folder, tensors, text)


def _write(folder: Path, tensors: Mapping[str, Tensor], config: str) -> None:
    # safetensors' own save_file makes files that nobody else can read.
    with whole(folder / WEIGHTS) as part:
        part.write_bytes(save(dict(tensors), metadata={"format": "pt"}))
    write_text(folder / CONFIG, config)


def load_adapter(folder: Path, layout: AdapterLayout) -> Tensor:
    """Read an adapter (P,) that peft or `save_adapter` wrote; never unpickles.

    Raises
    ------
    UserError
        When a file is missing, is not safetensors, is of another model or
        holds NaN or Inf.
    """
    config, tensors = _read(folder, "not a safetensors adapter for this model")
    required = {
        "r": layout.settings.rank,
        "lora_alpha": layout.settings.alpha,
        "use_rslora": False,
    }
    for key, expected in required.items():
        if config[key] != expected:
            raise UserError(
                f"{folder}: not a safetensors adapter for this model "
                f"({key} is {config[key]!r}, expected {expected!r})"
            )
    return _finite(folder, layout, tensors)


def open_adapter(folder: Path) -> StoredAdapter:
    """Read an adapter of any model, its layout taken from the files.

    Raises
    ------
    UserError
        When a file is missing or damaged, or it is no LoRA adapter on Linear layers.
    """
    config, tensors = _read(folder, "no LoRA adapter in peft's format")
    modules = [
        name[len(PREFIX) : -len(A_SUFFIX)]
        for name in tensors
        if name.startswith(PREFIX) and name.endswith(A_SUFFIX)
    ]
    names = [PREFIX + m + suffix for m in sorted(modules) for suffix in (A_SUFFIX, B_SUFFIX)]
    for name in names:
        if name not in tensors:
            raise UserError(f"{folder}: no LoRA adapter in peft's format (no tensor '{name}')")
        if tensors[name].ndim != 2:
            raise UserError(f"{folder}: '{name}' is not of a Linear layer")
    if not names:
        raise UserError(f"{folder}: no LoRA adapter in peft's format (no lora_A weights)")
    rank = config["r"]
    alpha = config["lora_alpha"] * (rank**0.5 if config["use_rslora"] else 1)
    layout = AdapterLayout(
        tuple(sorted(modules)),
        {name: tuple(tensors[name].shape) for name in names},
        LoraSettings(rank=rank, alpha=alpha),
    )
    for module in layout.modules:
        a, b = layout.pair_of_shapes(module)
        if not a[0] == b[1] == rank:
            raise UserError(f"{folder}: '{module}' is not of rank {rank} as {CONFIG} says")
    row = _finite(folder, layout, {name: tensors[name] for name in names})
    return StoredAdapter(row, layout, str(config["base_model_name_or_path"]), tensors, folder)


def _finite(folder: Path, layout: AdapterLayout, tensors: Mapping[str, Tensor]) -> Tensor:
    try:
        row = layout.flatten(tensors)
        if not row.isfinite().all():
            raise UserError("holds NaN or Inf")
    except UserError as error:
        raise UserError(f"{folder}: not a safetensors adapter for this model ({error})") from error
    return row


def _read(folder: Path, complaint: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the configuration and the tensors of an adapter whose weights mean ``s B A``."""
    try:
        tensors = load_file(folder / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text())
        if not isinstance(config, dict):
            raise UserError(f"{CONFIG} is no object")
        given = {"use_rslora": False, "base_model_name_or_path": ""} | OPTIONAL | config
        for key, expected in ({"peft_type": "LORA"} | OPTIONAL).items():
            if given.get(key) != expected:
                raise UserError(f"{key} is {given.get(key)!r}, expected {expected!r}")
        for key, kinds in (("r", int), ("lora_alpha", (int, float))):
            value = given.get(key)
            if not isinstance(value, kinds) or isinstance(value, bool) or not value > 0:
                raise UserError(f"{key} is {value!r}, expected a number above 0")
    except (OSError, SafetensorError, ValueError, UserError) as error:
        raise UserError(f"{folder}: {complaint} ({error})") from error
    return given, tensors
