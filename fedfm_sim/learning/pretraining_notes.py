"""Pre-train `notes-llama`, the small language model that ships with the package."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import Field
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from fedfm_sim.core.progress import Progress
from fedfm_sim.core.random import Streams
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.backbone import example_losses
from fedfm_sim.learning.datasets.notes import BEGIN, END, LENGTH, PAD, load_notes_split, words
from fedfm_sim.learning.examples import Examples


class NotesSettings(Settings):
    """Pre-training of `notes-llama`."""

    epochs: int = Field(default=30, ge=1)
    batch_size: int = 48
    learning_rate: float = 4e-3
    weight_decay: float = 0.05


def pretrain_notes_llama(
    folder: Path, seed: int, progress: Progress, settings: NotesSettings | None = None
) -> dict[str, object]:
    """Pre-train a small Llama on the public notes and save it with its tokenizer.

    Returns its provenance, which is also written to ``provenance.json``.
    """
    settings = settings or NotesSettings()
    data, streams = load_notes_split(), Streams(seed, "pretrain-notes-llama")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.integer("weights"))
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
    _fit(model, data.public, settings, streams, progress)
    model.eval()
    provenance: dict[str, object] = {
        "command": f"fedfm-sim pretrain notes-llama --seed {seed}",
        "seed": seed,
        "data": f"generated notes, public part, {len(data.public)} texts",
        "settings": settings.model_dump(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "public_nats": round(_nats(model, data.public), 4),
        "private_nats": round(_nats(model, data.test), 4),
        "public_accuracy": round(_accuracy(model, data.public), 4),
        "private_accuracy": round(_accuracy(model, data.test), 4),
        "torch": torch.__version__,
    }
    model.save_pretrained(folder)
    tokenizer().save_pretrained(str(folder))
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    return provenance


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


def _fit(
    model: LlamaForCausalLM,
    examples: Examples,
    settings: NotesSettings,
    streams: Streams,
    progress: Progress,
) -> None:
    rng = streams.generator("batches")
    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps
    )
    model.train()
    for epoch in range(settings.epochs):
        order = rng.permutation(len(examples))
        for start in range(0, len(order), settings.batch_size):
            batch = examples.select(order[start : start + settings.batch_size])
            loss = example_losses(model(**batch.inputs).logits, batch.labels).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        progress(epoch + 1, settings.epochs)


@torch.no_grad()
def _nats(model: LlamaForCausalLM, examples: Examples) -> float:
    """Return the mean loss per token of each note, averaged, nats."""
    return float(example_losses(model(**examples.inputs).logits, examples.labels).mean())


@torch.no_grad()
def _accuracy(model: LlamaForCausalLM, examples: Examples) -> float:
    """Return the share of next tokens told right."""
    told, wanted = model(**examples.inputs).logits.argmax(-1)[:, :-1], examples.labels[:, 1:]
    return float((told == wanted)[wanted != -100].float().mean())
