"""Texts in the words of a model: read again by the tokenizer that it brings."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers import PreTrainedTokenizerBase

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.backbone import FAILURES, WORDS, Backbone, first_line
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples

#: Files of which a tokenizer has at least one.
FILES = ("tokenizer*", "vocab.*", "spiece.model", "sentencepiece.*", "merges.txt")


def read_by(backbone: Backbone, data: SplitData, both: str) -> tuple[SplitData, list[str]]:
    """Return texts as the backbone's own tokenizer reads them, and what is to be said of it.

    Texts whose words the tokenizer numbers alike stay as they are, and those for a model
    that brings no tokenizer.

    Parameters
    ----------
    data : SplitData
        Of texts, with their `SplitData.words`.
    both : str
        The model and the data, as remarks name them.

    Raises
    ------
    UserError
        When the tokenizer can't be read.
    """
    tokenizer, words = tokenizer_of(backbone), data.words or ()
    if tokenizer is None:
        return data, [f"{both}: no tokenizer beside the model; words have the data's own numbers"]
    own = tokenizer.get_vocab()
    if all(own.get(word) == number for number, word in enumerate(words)):
        return data, []
    tokens = {
        part: [tokenizer(text)["input_ids"] for text in _written(examples, words)]
        for part, examples in data.parts().items()
    }
    width = max(len(row) for rows in tokens.values() for row in rows)
    ends = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    padding = next((number for number in ends if number is not None), 0)
    public, private, validation, test = (
        _numbered(tokens[part], width, padding, examples, backbone.task == WORDS)
        for part, examples in data.parts().items()
    )
    unknown = tokenizer.unk_token_id
    every = [number for rows in tokens.values() for row in rows for number in row]
    share = sum(number == unknown for number in every) / max(1, len(every))
    said = f"{both}: texts are read by the model's own tokenizer"
    if share:
        said += f", to which {share:.1%} of their tokens are unknown"
    return SplitData(public, private, validation, test, data.classes), [said]


def tokenizer_of(backbone: Backbone) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer beside a model's weights, or None where there is none.

    Raises
    ------
    UserError
        When there is one that can't be read.
    """
    folder = Path(backbone.source)
    local = not backbone.source or folder.is_dir()
    if local and not (backbone.source and any(any(folder.glob(name)) for name in FILES)):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(backbone.source, trust_remote_code=False)
    except FAILURES as error:
        if not local:
            return None
        raise UserError(
            f"backbone = '{backbone.name}': its tokenizer can't be read ({first_line(error)})"
        ) from error


def _written(examples: Examples, words: tuple[str, ...]) -> list[str]:
    """Return texts as written, without the marks of their beginning and end."""
    rows = examples.inputs["input_ids"].tolist()
    marks = {number for number, word in enumerate(words) if word.startswith("<")}
    return [" ".join(words[number] for number in row if number not in marks) for row in rows]


def _numbered(
    rows: list[list[int]], width: int, padding: int, like: Examples, causal: bool
) -> Examples:
    """Return texts padded on the right; labels are words for a language model, else classes."""
    tokens = torch.full((len(rows), width), padding, dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, numbers in enumerate(rows):
        tokens[row, : len(numbers)] = torch.tensor(numbers)
        mask[row, : len(numbers)] = 1
    labels = torch.where(mask == 1, tokens, -100) if causal else like.groups
    classes = like.groups if causal else None
    return Examples({"input_ids": tokens, "attention_mask": mask}, labels, classes)
