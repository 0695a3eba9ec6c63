"""Whether a model and a data set fit: what is done to make them, and what is said of it.

Nothing is trained before a model and data are known to fit: what can be made to work is, in
ways that are said (`Fitted.remarks`), and the rest is refused in one line that names both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import cached_file

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.backbone import IMAGES, TEXTS, WORDS, Backbone
from fedfm_sim.learning.datasets import PARTS, SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.reading import read_by


@dataclass(frozen=True)
class Fitted:
    """A model, and data as it takes them.

    Attributes
    ----------
    backbone : Backbone
        Whose model was prepared for the data, in place.
    data : SplitData
    remarks : tuple of str
        What was done to make them fit and what is unusual, in a line each.
    """

    backbone: Backbone
    data: SplitData
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Both:
    """A model and a data set, as their errors and remarks name them."""

    backbone: Backbone
    data: str

    def refuse(self, why: str) -> NoReturn:
        """Raise the error in which both are named."""
        raise UserError(f"{self}: {why}")

    def __str__(self) -> str:
        return f"backbone = '{self.backbone.name}', data.name = '{self.data}'"


def fit(backbone: Backbone, data: SplitData, name: str) -> Fitted:
    """Return a model and the data called ``name`` so that the one can be trained on the other.

    Grey images are repeated for a model of several channels, resized to the model's size and
    normalised as its preprocessor_config.json says. Texts are read by the model's own
    tokenizer where it has another vocabulary; for a classifier their classes are the labels.

    Raises
    ------
    UserError
        Naming ``backbone`` and ``data.name``, when they don't fit.
    """
    both, task = Both(backbone, name), backbone.task
    given = set(data.private.inputs)
    kind = "images" if "pixel_values" in given else "texts" if "input_ids" in given else ""
    wanted = "images" if task == IMAGES else "texts"
    if kind != wanted:
        held = kind or f"neither images nor texts but {', '.join(sorted(given))}"
        both.refuse(f"the model is for {task} and needs {wanted}, the data are {held}")
    data = data.each(_single)
    if kind == "images":
        remarks = [*backbone.remarks, *_prepare_images(both, data.private)]
    else:
        data, said = _texts(both, data)
        remarks = [*backbone.remarks, *said]
    if task != WORDS:
        remarks += _check_classes(both, data)
    return Fitted(backbone, data, tuple(remarks))


def _single(examples: Examples) -> Examples:
    """Return examples with inputs in float32 where they are floats, and labels as integers."""
    inputs = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in examples.inputs.items()
    }
    return replace(examples, inputs=inputs, labels=examples.labels.long())


def _check_classes(both: Both, data: SplitData) -> Iterator[str]:
    """Yield what is to be said of a classifier's labels."""
    config, parts = both.backbone.model.config, [getattr(data, part) for part in PARTS]
    if any(part.labels.ndim != 1 for part in parts):
        both.refuse(f"the model is for {both.backbone.task}, the data's labels are no classes")
    highest = max(int(part.labels.max()) for part in parts if len(part))
    needed, labels = max(data.classes, highest + 1), both.backbone.answers
    if labels < needed:
        both.refuse(
            f"the model tells {labels} class{'es' if labels > 1 else ''} apart and the data have "
            f"{needed}; expected a model of at least {needed} (num_labels)"
        )
    if labels > needed:
        yield f"{both}: {labels - needed} of the model's {labels} classes never occur"
    problem = getattr(config, "problem_type", None)
    if problem not in (None, "single_label_classification"):
        yield f"{both}: made for {problem}, trained by cross-entropy on one class each"


# Images


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to images before a model sees them, as a hook on its first module.

    Data stay as they are, so that triggers, marks and reconstructions are of the data's own
    size and scale, and gradients reach them.

    Attributes
    ----------
    channels : int
        Of the model; grey images are repeated.
    size : tuple of int or None
        Height and width of the model's images; None leaves those of the data.
    mean, deviation : tuple of float
        By channel, taken off and divided by; one number stands for all channels.
    """

    channels: int
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    def __call__(
        self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the module's arguments with the images prepared."""
        if arguments:
            return (self.prepared(arguments[0]), *arguments[1:]), named
        return arguments, {**named, "pixel_values": self.prepared(named["pixel_values"])}

    def prepared(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as the model takes them."""
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        if self.size not in (None, tuple(images.shape[-2:])):
            images = functional.interpolate(
                images, self.size, mode="bilinear", align_corners=False, antialias=True
            )
        mean, deviation = images.new_tensor(self.mean), images.new_tensor(self.deviation)
        return (images - mean[:, None, None]) / deviation[:, None, None]


def _prepare_images(both: Both, examples: Examples) -> Iterator[str]:
    """Yield what has to be done to images, and hook it into the model."""
    config, shape = both.backbone.model.config, tuple(examples.inputs["pixel_values"].shape)
    if len(shape) != 4:
        both.refuse(f"images have shape {shape}, expected (N, channels, height, width)")
    channels = int(getattr(config, "num_channels", shape[1]))
    if shape[1] not in (1, channels):
        both.refuse(f"images have {shape[1]} channels, the model takes {channels}")
    size = _pair(getattr(config, "image_size", None))
    mean, deviation = _normalisation(both, channels)
    own = Preparation(channels, size, mean, deviation)
    if channels != shape[1]:
        yield f"{both}: grey images are repeated over the model's {channels} channels"
    if size is not None and size != shape[2:]:
        before, after = (" x ".join(map(str, pair)) for pair in (shape[2:], size))
        yield f"{both}: images of {before} are resized to the model's {after}"
    if (mean, deviation) != ((0.0,), (1.0,)):
        yield f"{both}: images are normalised as the model's preprocessor_config.json says"
    if own.channels != shape[1] or size not in (None, shape[2:]) or mean != (0.0,):
        # On the inner module: peft calls the outer one's forward past its hooks.
        own_model = both.backbone.model
        own_model.base_model.register_forward_pre_hook(own, with_kwargs=True)


def _pair(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, (list, tuple)) and len(size) == 2:
        return int(size[0]), int(size[1])
    return None


def _normalisation(both: Both, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and deviation by channel that the model's own files ask for."""
    own = _file(both.backbone, "preprocessor_config.json")
    if not own.get("do_normalize") or "image_mean" not in own or "image_std" not in own:
        return (0.0,), (1.0,)
    try:
        mean, deviation = (tuple(map(float, own[key])) for key in ("image_mean", "image_std"))
    except (TypeError, ValueError):
        mean = deviation = ()
    sizes = {len(mean), len(deviation)}
    if not sizes <= {1, channels} or not all(value > 0 for value in deviation):
        both.refuse(
            f"image_mean and image_std in preprocessor_config.json: expected {channels} numbers, "
            f"those of image_std above 0"
        )
    return mean, deviation


def _file(backbone: Backbone, name: str) -> dict[str, Any]:
    """Return a JSON object that stands beside the model's weights; empty where there is none."""
    if not backbone.source:
        return {}
    found = cached_file(
        backbone.source,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return {}
    try:
        content = json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"backbone = '{backbone.name}': {name} can't be read: {error}") from error
    return content if isinstance(content, dict) else {}


# Texts


def _texts(both: Both, data: SplitData) -> tuple[SplitData, list[str]]:
    """Return texts in the model's own words, no longer than it takes, and what is to be said."""
    model, remarks = both.backbone.model, list[str]()
    if data.words is not None:
        data, remarks = read_by(both.backbone, data, str(both))
    if both.backbone.task == TEXTS:
        data = data.each(_by_class)
        remarks += _padded_alike(both, model, data)
    if both.backbone.task == WORDS and data.private.labels.ndim != 2:
        both.refuse("the model is for causal language modelling, the data's labels are no words")
    highest = max(int(getattr(data, part).inputs["input_ids"].max()) for part in PARTS)
    words = model.get_input_embeddings().num_embeddings
    if highest >= words:
        both.refuse(
            f"the model knows {words} words (vocab_size) and the data use {highest + 1}; "
            f"expected a model of at least so many, or one with its own tokenizer beside it"
        )
    return _short_enough(both, data), remarks


def _by_class(examples: Examples) -> Examples:
    """Return texts with their classes as labels."""
    if examples.labels.ndim == 1 or examples.classes is None:
        return examples
    return Examples(examples.inputs, examples.classes)


def _padded_alike(
    both: Both, model: transformers.PreTrainedModel, data: SplitData
) -> Iterator[str]:
    """Tell a classifier that looks for the last word how texts are padded."""
    if getattr(model.config, "pad_token_id", None) is not None:
        return
    mask, tokens = data.private.inputs.get("attention_mask"), data.private.inputs["input_ids"]
    padding = tokens[mask == 0] if mask is not None else tokens[:0]
    model.config.pad_token_id = int(padding[0]) if len(padding) else 0
    yield f"{both}: the model names no padding (pad_token_id); token {model.config.pad_token_id} is"


def _short_enough(both: Both, data: SplitData) -> SplitData:
    """Return the texts, cut to where the longest ends if the model takes no more."""
    most = getattr(both.backbone.model.config, "max_position_embeddings", None)
    width = data.private.inputs["input_ids"].shape[1]
    if not isinstance(most, int) or most < 1 or most >= width:
        return data
    masks = [getattr(data, part).inputs.get("attention_mask") for part in PARTS]
    longest = max(width if mask is None else int(mask.sum(1).max()) for mask in masks)
    if longest > most:
        both.refuse(
            f"the model takes texts of at most {most} tokens (max_position_embeddings), the "
            f"longest here has {longest}"
        )

    def cut(examples: Examples) -> Examples:
        inputs = {name: tensor[:, :longest] for name, tensor in examples.inputs.items()}
        labels = examples.labels if examples.labels.ndim == 1 else examples.labels[:, :longest]
        return replace(examples, inputs=inputs, labels=labels)

    return data.each(cut)
