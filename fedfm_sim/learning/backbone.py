"""A frozen foundation model, and the adapters' place in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.auto import modeling_auto

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.examples import Examples

_CHECKPOINTS = Path(__file__).parent / "checkpoints"
DIGITS_VIT, NOTES_LLAMA = _CHECKPOINTS / "digits-vit", _CHECKPOINTS / "notes-llama"

#: What a backbone can be for, and the classes of transformers that are for it.
IMAGES, TEXTS, WORDS = (
    "image classification",
    "sequence classification",
    "causal language modelling",
)
TASKS = {
    IMAGES: modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    TEXTS: modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    WORDS: modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
}

#: What the code of transformers and peft can end in, given a file or data it is not made for.
FAILURES = (
    *(OSError, ValueError, RuntimeError, IndexError, TypeError, KeyError, ArithmeticError),
    *(AttributeError, AssertionError, NotImplementedError, ImportError, SafetensorError),
)

#: Shipped backbones: each entry is the folder of a checkpoint.
BACKBONES: Registry[Path] = Registry(
    "backbone",
    "fedfm_sim.backbones",
    {
        "digits-vit": "fedfm_sim.learning.backbone:DIGITS_VIT",
        "notes-llama": "fedfm_sim.learning.backbone:NOTES_LLAMA",
    },
    base="pathlib:Path",
)


@dataclass(frozen=True)
class Backbone:
    """A frozen transformers model that all participants share.

    Attributes
    ----------
    name : str
        The shipped name, folder or hub id it came from.
    model : PreTrainedModel
        In eval mode, no parameter requires a gradient.
    source : Path or str
        The folder or hub id of its other files, such as its tokenizer; empty for none.
    remarks : tuple of str
        What was done to it to load it, in a line each.
    """

    name: str
    model: transformers.PreTrainedModel
    source: str | Path = ""
    remarks: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Where transformers and peft find it: an absolute folder, or a hub id.

        The shipped name means nothing to them, and would be asked for on the hub.
        """
        folder = BACKBONES[self.name] if self.name in BACKBONES else Path(self.name)
        return str(folder.resolve()) if folder.is_dir() else self.name

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the frozen parameters."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def task(self) -> str:
        """What the model is for: one of `TASKS`."""
        return task_of(type(self.model).__name__)

    @property
    def answers(self) -> int:
        """How many answers the model can give: classes, or words for a language model."""
        config = self.model.config
        return int(config.vocab_size if self.task == WORDS else config.num_labels)

    def forward_flops(self, examples: Examples) -> float:
        """Return the floating-point operations of one example's forward pass, counted."""
        with flop_counter() as counter, torch.no_grad():
            self.model(**examples.select(slice(0, 1)).inputs)
        return float(counter.get_total_flops())


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def flop_counter() -> Iterator[FlopCounterMode]:
    """Count floating-point operations, those of attention as plain matrix products.

    torch's counter doesn't know the fused attention of CPUs and would count it as 0.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def load_backbone(name: str) -> Backbone:
    """Load a shipped backbone, a local folder or a hub id.

    Only safetensors are read and code from a hub is never run.

    Raises
    ------
    UserError
        When there is no such model, its task is not supported, or its weights
        are damaged or don't fit its configuration.
    """
    transformers.utils.logging.disable_progress_bar()
    source: str | Path = name
    if name in BACKBONES:
        source = BACKBONES[name]
        if not any(source.glob("*.safetensors")):
            raise UserError(f"backbone '{name}' is not built; run: fedfm-sim pretrain {name}")
    try:
        model = _read(source)
    except FAILURES as error:
        raise UserError(f"{_expected(name)} ({first_line(error)})") from error
    kinds = {str(p.dtype).removeprefix("torch.") for p in model.parameters()} - {"float32"}
    said = f"backbone = '{name}': its weights are {', '.join(sorted(kinds))}, computed as float32"
    return Backbone(name, _frozen(model.float()), source, (said,) if kinds else ())


def _read(source: str | Path) -> transformers.PreTrainedModel:
    """Return the model of a folder or hub id, every weight of it read."""
    config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    if getattr(config, "quantization_config", None) is not None:
        raise UserError("its weights are quantised, expected float32, float16 or bfloat16")
    model, found = _class_of(config).from_pretrained(
        source, trust_remote_code=False, use_safetensors=True, output_loading_info=True
    )
    # transformers would leave these at random values.
    if found["missing_keys"]:
        raise UserError(f"no weights for {', '.join(sorted(found['missing_keys'])[:3])}")
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise UserError(f"'{name}' holds NaN or Inf")
    return model


def _expected(name: str) -> str:
    """Return what can stand where this name does, which led to no model."""
    places = "a folder with config.json and model.safetensors, or a hub id"
    try:
        if not Path(name, "config.json").exists():
            BACKBONES.check(name)
    except UserError as error:
        return f"{error}, {places}"
    known = ", ".join(BACKBONES)
    return f"backbone '{name}' can't be loaded; expected one of {known}, {places}"


def freeze(name: str, model: transformers.PreTrainedModel) -> Backbone:
    """Return ``model`` as a backbone: eval mode, no gradients."""
    return Backbone(name, _frozen(model))


def _frozen(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    return model.eval().requires_grad_(False)


def _class_of(config: object) -> Any:
    architecture = (getattr(config, "architectures", None) or [""])[0]
    task_of(architecture)
    return getattr(transformers, architecture)


def task_of(architecture: str) -> str:
    """Return what the models of a class of transformers are for, one of `TASKS`.

    Raises
    ------
    UserError
        When it is for none of them.
    """
    for task, mapping in TASKS.items():
        for own in mapping.values():  # a kind of model has one class, or several in a tuple
            if architecture == own or (not isinstance(own, str) and architecture in own):
                return task
    raise UserError(
        f"a backbone is a model for image classification, sequence classification or "
        f"causal language modelling; this one is '{architecture or 'unnamed'}'"
    )


def example_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each example's cross-entropy, in nats.

    Parameters
    ----------
    logits : Tensor
        (N, C) for classification, (N, T, V) for causal language modelling.
    labels : Tensor
        (N,) classes, or (N, T) tokens with -100 where ignored; position t is
        predicted from the positions before it, and the mean is over tokens.
    """
    if logits.ndim == 2:
        return functional.cross_entropy(logits, labels, reduction="none")
    targets = labels[:, 1:]
    losses = functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), targets, reduction="none", ignore_index=-100
    )
    return losses.sum(1) / (targets != -100).sum(1).clamp(min=1)


def module_at(model: nn.Module, path: str) -> tuple[nn.Module, str]:
    """Return the parent of the submodule at ``path``, and its name there."""
    parent, _, child = path.rpartition(".")
    return model.get_submodule(parent), child
