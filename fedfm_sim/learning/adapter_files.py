"""Adapters in peft's own files: adapter_config.json and adapter_model.safetensors.

`load_adapter` reads an adapter of a known layout; `open_adapter` takes what it can from
anybody's files, so that a mark can be read without the base model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import write_text
from fedfm_sim.learning.adapters import (
    A_SUFFIX,
    B_SUFFIX,
    PREFIX,
    AdapterLayout,
    LoraSettings,
)
from fedfm_sim.learning.lora_files import (
    CONFIG,
    WEIGHTS,
    configuration,
    lora_tensors,
    merged_tensors,
)
from fedfm_sim.learning.lora_tensors import (
    MAGNITUDE,
    Pair,
    listed,
    pairs_of,
    said_of,
    scale_of,
)
from fedfm_sim.learning.tensor_files import write_tensors

#: What older versions of peft don't write, and what it must be for ``dW = s B A``.
OPTIONAL: dict[str, object] = {"use_dora": False, "alpha_pattern": {}, "rank_pattern": {}}


@dataclass(frozen=True, eq=False)
class StoredAdapter:
    """An adapter as its folder holds it.

    Attributes
    ----------
    adapter : Tensor
        (P,) float64: A and B of each module that can be read.
    layout : AdapterLayout
        Under peft's names, whatever the file has. Where modules have different scales, what
        is not of the first one's scale is in their B.
    base : str
        The base model's name, folder or hub id, as the configuration has it; or empty.
    tensors : mapping of str to Tensor
        As stored; what is no LoRA factor (a head trained in full) is left alone.
    folder : Path
    notes : tuple of str
        What the files say that is not so, and what of them could not be read.
    names : mapping of str to str
        The layout's name of a tensor to the file's.
    gains : mapping of str to float
        By module, what its B is multiplied by.
    """

    adapter: Tensor
    layout: AdapterLayout
    base: str
    tensors: Mapping[str, Tensor]
    folder: Path
    notes: tuple[str, ...]
    names: Mapping[str, str]
    gains: Mapping[str, float]

    @property
    def kind(self) -> str:
        """The type of the numbers, such as float32."""
        return str(self.tensors[next(iter(self.names.values()))].dtype).removeprefix("torch.")

    def _stored(self, adapter: Tensor) -> dict[str, Tensor]:
        """Return the factors of a (P,) adapter as the file would hold them, by its names."""
        views = self.layout.views(adapter[None].clone())
        for module, gain in self.gains.items():
            views[PREFIX + module + B_SUFFIX] = views[PREFIX + module + B_SUFFIX] / gain
        held = {own: self.tensors[name] for own, name in self.names.items()}
        return {
            self.names[own]: view[0].to(held[own].dtype).reshape(held[own].shape).clone()
            for own, view in views.items()
        }

    def rounded(self, adapter: Tensor) -> Tensor:
        """Return a (P,) adapter as it reads after it was stored in the file's types."""
        stored, row = self._stored(adapter), adapter.clone()
        for own, view in self.layout.views(row[None]).items():
            view[0] = stored[self.names[own]].to(row.dtype).flatten(1)
        for module, gain in self.gains.items():
            self.layout.pair(self.layout.views(row[None]), module)[1].mul_(gain)
        return row

    def rewrite(self, adapter: Tensor, folder: Path) -> None:
        """Write other numbers with the same configuration and types into a new folder.

        Raises
        ------
        UserError
            When the folder holds files already, can't be written, or there is no configuration.
        """
        try:
            config = (self.folder / CONFIG).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / CONFIG}: can't be read, so not copied") from error
        new_folder(folder)
        _write(folder, {**self.tensors, **self._stored(adapter)}, config)


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


def save_adapter(
    folder: Path,
    adapter: Tensor,
    layout: AdapterLayout,
    base: str,
    model: nn.Module | None = None,
) -> None:
    """Write a (P,) adapter as peft does: adapter_config.json and safetensors, each file whole.

    Parameters
    ----------
    base : str
        Folder or hub id of the base model, from which ``AutoPeftModel`` would load it.
    model : Module, optional
        The base model, whose class ``AutoPeftModel`` is then told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v[0].clone() for k, v in layout.views(adapter[None]).items()}
    config = layout.settings.to_peft(layout.fan_in_fan_out)
    config.base_model_name_or_path = base
    config.inference_mode = True
    if model is not None:
        kind = type(model)
        config.auto_mapping = {
            "base_model_class": kind.__name__,
            "parent_library": kind.__module__,
        }
    config.target_modules = list(layout.modules)
    with TemporaryDirectory() as made:
        config.save_pretrained(made)
        text = Path(made, CONFIG).read_text(encoding="utf-8")
    _write(folder, tensors, text)


def _write(folder: Path, tensors: Mapping[str, Tensor], config: str) -> None:
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
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
    """Read the LoRA factors of an adapter of any model; never unpickles.

    Modules and ranks are those of the weights, whatever the configuration says or whether
    there is one; it gives the scale of each module alone. What can't be read is noted.

    Raises
    ------
    UserError
        When no file is safetensors, one is damaged, or they hold no module of LoRA that can
        be read.
    """
    tensors = lora_tensors(folder)
    config, notes = configuration(folder)
    pairs, unread = pairs_of(tensors)
    if not pairs:
        module, reason = next(iter(unread.items()))
        raise UserError(f"{folder}: no LoRA adapter that can be read ({module!r} {reason})")
    for reason in sorted(set(unread.values())):
        which = listed(module for module, why in unread.items() if why == reason)
        notes.append(f"left out: {which} {reason}")
    said = {m: said_of(config, m, "rank_pattern", "r") for m in pairs}
    if config and (other := [m for m, pair in pairs.items() if said[m] != len(pair.a)]):
        notes.append(f"{CONFIG} has another rank than the weights of {listed(other)}")
    if config.get("use_dora") or any(MAGNITUDE in name for name in tensors):
        notes.append("a DoRA adapter: its magnitudes are no part of a mark")
    scales = {m: scale_of(config, m, len(pair.a)) for m, pair in pairs.items()}
    if config and None in scales.values():
        notes.append(f"{CONFIG} has no scale (lora_alpha); every module counts the same")
    return _stored_adapter(folder, config, tensors, pairs, scales, notes)


def open_merged(folder: Path, base: Path) -> StoredAdapter:
    """Read what a model has beyond its base as an adapter of full rank: ``dW = W - W_0``.

    So a mark is found again in an adapter that was merged into the base and published as a model.

    Raises
    ------
    UserError
        When one of them holds no safetensors, or no matrix of theirs differs.
    """
    tensors = merged_tensors(folder, base)
    pairs, _ = pairs_of(tensors)
    return _stored_adapter(folder, {}, tensors, pairs, dict.fromkeys(pairs, 1.0), [])


def _stored_adapter(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    pairs: Mapping[str, Pair],
    scales: Mapping[str, float | None],
    notes: list[str],
) -> StoredAdapter:
    known = {m: 1.0 if scale is None else scale for m, scale in scales.items()}
    common = abs(next(iter(known.values())))
    gains = {m: scale / common for m, scale in known.items()}
    parts: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    for module, pair in pairs.items():
        own = PREFIX + module + A_SUFFIX, PREFIX + module + B_SUFFIX
        parts.update(zip(own, (pair.a, gains[module] * pair.b), strict=True))
        names.update(zip(own, pair.names, strict=True))
    rank = min(65_536, max(len(pair.a) for pair in pairs.values()))  # of the scale alone
    layout = AdapterLayout(
        tuple(pairs),
        {name: tuple(part.shape) for name, part in parts.items()},
        LoraSettings(rank=rank, alpha=common * rank),
    )
    row = torch.cat([part.flatten() for part in parts.values()])
    base = config.get("base_model_name_or_path")
    base = base if isinstance(base, str) else ""
    return StoredAdapter(row, layout, base, tensors, folder, tuple(notes), names, gains)


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
