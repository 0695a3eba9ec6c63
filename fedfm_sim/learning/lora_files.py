"""Tensors and configuration out of anybody's adapter folder, without trust in either."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import A_SUFFIX, B_SUFFIX, PREFIX
from fedfm_sim.learning.lora_tensors import factor_of, listed

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights: peft's one, or shards, or other names.

    Raises
    ------
    UserError
        When none is safetensors.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if files := sorted(folder.glob("*.safetensors")):
        return files
    pickles = [path.name for kind in ("bin", "pt", "pth") for path in folder.glob(f"*.{kind}")]
    if pickles:
        raise UserError(
            f"{folder}: {listed(pickles)} is a pickle, which could run code and is not read; "
            "have it saved again as safetensors"
        )
    raise UserError(f"{folder}: no LoRA adapter in peft's format (no *.safetensors)")


def lora_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of an adapter; a whole model is refused before it is loaded.

    Raises
    ------
    UserError
        When no file is safetensors, one is damaged, or none holds LoRA factors.
    """
    tensors: dict[str, Tensor] = {}
    names: list[str] = []
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as stored:
                held = list(stored.keys())
            if any(factor_of(name) for name in held):
                tensors |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: no LoRA adapter in peft's format ({error})") from error
        names += held
    if not tensors:
        raise UserError(
            f"{folder}: no LoRA adapter in peft's format (no lora_A weights, but "
            f"{listed(sorted(names)) or 'nothing'}); if it is merged into its base, name the --base"
        )
    return tensors


def merged_tensors(folder: Path, base: Path) -> dict[str, Tensor]:
    """Return what each matrix of a model has beyond its base, as LoRA factors of full rank.

    Raises
    ------
    UserError
        When one of them holds no safetensors or a damaged one, or no matrix differs.
    """
    made: dict[str, Tensor] = {}
    try:
        with ExitStack() as stack:
            models = []
            for own in (folder, base):
                opened = [
                    stack.enter_context(safe_open(path, framework="pt"))
                    for path in weight_files(own)
                ]
                models.append({name: file for file in opened for name in sorted(file.keys())})
            for name in sorted(models[0].keys() & models[1].keys()):
                new, old = (model[name].get_tensor(name) for model in models)
                if new.ndim == 2 and new.shape == old.shape and new.is_floating_point():
                    change = new.double() - old.double()
                    if change.isfinite().all() and change.any():
                        made |= _as_factors(name.removesuffix(".weight"), change)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder}: no model that can be compared with {base} ({error})") from error
    if not made:
        raise UserError(f"{folder}: no matrix differs from that of the base {base}")
    return made


def _as_factors(module: str, change: Tensor) -> dict[str, Tensor]:
    outputs, inputs = change.shape
    if outputs < inputs:
        b, a = torch.eye(outputs, dtype=change.dtype), change
    else:
        b, a = change, torch.eye(inputs, dtype=change.dtype)
    return {PREFIX + module + A_SUFFIX: a, PREFIX + module + B_SUFFIX: b}


def configuration(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return peft's configuration, empty where it can't be read, and what is odd about it."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError):
        return {}, [f"{CONFIG} can't be read; every module counts the same"]
    kind = config.get("peft_type")
    return config, [] if kind == "LORA" else [f"{CONFIG} says that peft_type is {kind!r}"]
