"""Pre-train `notes-llama`, the small language model that ships with the package."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from fedfm_sim.core.progress import Progress
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.backbone import example_losses
from fedfm_sim.learning.datasets.notes import BEGIN, END, LENGTH, PAD, load_notes_split, words
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.pretraining import PretrainingSettings, fit, save_checkpoint, seeded


class NotesSettings(PretrainingSettings):
    """Pre-training of `notes-llama`."""

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 48
    learning_rate: PositiveFloat = 4e-3
    weight_decay: NonNegativeFloat = 0.05


def pretrain_notes_llama(
    folder: Path, seed: int, progress: Progress, settings: NotesSettings | None = None
) -> dict[str, object]:
    """Pre-train a small Llama on the public notes and save it with its tokenizer.

    Returns its provenance, which is also written to ``provenance.json``.
    """
    settings = settings or NotesSettings()
    data, streams = load_notes_split(), Streams(seed, "pretrain-notes-llama")
    with seeded(streams.integer("weights")):
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(words()),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=2 * LENGTH,
                pad_token_id=PAD,
                bos_token_id=BEGIN,
                eos_token_id=END,
                tie_word_embeddings=True,
            )
        )

    def loss(batch: Examples) -> Tensor:
        return example_losses(model(**batch.inputs).logits, batch.labels).mean()

    fit(model, data.public, loss, settings, streams.generator("batches"), progress)
    measures = {
        "public_nats": _nats(model, data.public),
        "private_nats": _nats(model, data.test),
        "public_accuracy": _accuracy(model, data.public),
        "private_accuracy": _accuracy(model, data.test),
    }
    tokenizer().save_pretrained(str(folder))
    text = f"generated notes, public part, {len(data.public)} texts"
    return save_checkpoint(folder, model, "notes-llama", seed, text, settings, measures)


def tokenizer() -> PreTrainedTokenizerFast:
    """Return the word-level tokenizer of the notes."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    table = {word: token for token, word in enumerate(words())}
    inner = Tokenizer(WordLevel(table, unk_token="<rare>"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


@torch.no_grad()
def _nats(model: LlamaForCausalLM, examples: Examples) -> float:
    """Return the mean loss per token of each note, averaged, nats."""
    return float(example_losses(model(**examples.inputs).logits, examples.labels).mean())


@torch.no_grad()
def _accuracy(model: LlamaForCausalLM, examples: Examples) -> float:
    """Return the share of next tokens told right."""
    told, wanted = model(**examples.inputs).logits.argmax(-1)[:, :-1], examples.labels[:, 1:]
    return float((told == wanted)[wanted != -100].float().mean())
