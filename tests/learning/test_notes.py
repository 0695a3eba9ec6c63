"""The notes, their model and its tokenizer: disjoint parts, a shipped checkpoint, learning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.progress import unwatched
from fedfm_sim.core.random import Streams
from fedfm_sim.learning import pretraining_notes, reference, trainer
from fedfm_sim.learning.adapters import LoraSettings, adapter_layout
from fedfm_sim.learning.backbone import BACKBONES, Backbone, load_backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.datasets.notes import (
    BEGIN,
    END,
    LENGTH,
    PAD,
    RARE_TOKEN,
    canary,
    decode,
    encode,
    load_notes_split,
    plant,
    words,
)
from fedfm_sim.learning.evaluation import Evaluation
from fedfm_sim.learning.partitions import (
    DataSettings,
    concept_shift,
    noisy_labels,
    private_shards,
)
from fedfm_sim.learning.pretraining_notes import NotesSettings, pretrain_notes_llama
from fedfm_sim.mechanisms import Announcement
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.updates import RoundUpdates

FOLDER = BACKBONES["notes-llama"]
TEXTS = ['backbone="notes-llama"', 'data.name="notes"', 'data.domains=["original"]']
DATA = load_notes_split()
PARTS = (DATA.public, DATA.private, DATA.validation, DATA.test)


@pytest.fixture(scope="module")
def llama() -> Backbone:
    return load_backbone("notes-llama")


def test_no_note_is_in_two_parts() -> None:
    rows = torch.cat([part.inputs["input_ids"] for part in PARTS])
    assert len(torch.unique(rows, dim=0)) == len(rows) == 2400 + 900 + 120 + 300


def test_what_notes_are_made_of() -> None:
    for part in PARTS:
        tokens, mask = part.inputs["input_ids"], part.inputs["attention_mask"]
        assert tokens.shape == (len(part), LENGTH)
        assert (tokens[:, 0] == BEGIN).all()
        assert not (tokens == RARE_TOKEN).any()
        assert ((tokens == PAD) == (mask == 0)).all()
        assert ((tokens == END).sum(1) == 1).all()
        assert torch.equal(part.labels, torch.where(mask == 1, tokens, -100))
        assert np.bincount(part.groups).tolist() == [len(part) // 3] * 3
    # Every word of the private notes is in the public ones, so none is unknown to the model.
    public = set(DATA.public.inputs["input_ids"].flatten().tolist())
    assert set(DATA.private.inputs["input_ids"].flatten().tolist()) <= public


def test_the_tokenizer_is_that_of_the_data() -> None:
    loaded = AutoTokenizer.from_pretrained(str(FOLDER))
    text = "patient 0 1 2 reports fever in the chest"
    own = encode([text], [0]).inputs["input_ids"][0]
    assert [BEGIN, *loaded(text)["input_ids"], END] == own[own != PAD].tolist()
    assert decode(own.tolist()) == text
    assert len(loaded) == len(words()) == len(set(words()))


def test_the_checkpoint_is_small_and_says_what_it_is(llama: Backbone) -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert (FOLDER / "model.safetensors").stat().st_size < 1 << 20
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    assert provenance["settings"] == NotesSettings().model_dump()
    assert provenance["parameters"] == sum(p.numel() for p in llama.model.parameters())
    # It knows public notes and has much to learn of private ones.
    assert provenance["private_nats"] > 1.8 * provenance["public_nats"]
    assert provenance["private_nats"] < np.log(len(words()))


def test_pretraining_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [part.select(slice(0, 96)) for part in PARTS]
    little = SplitData(few[0], few[1], few[2], few[3], DATA.classes)
    monkeypatch.setattr(pretraining_notes, "load_notes_split", lambda: little)
    short = NotesSettings(epochs=1)
    first, again, other = (
        pretrain_notes_llama(tmp_path / name, seed, unwatched, short)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again != other
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_batched_training_equals_the_loop_over_peft(llama: Backbone) -> None:
    layout = adapter_layout(llama, LoraSettings(rank=2, alpha=4.0))
    rng = np.random.default_rng(0)
    starts = torch.from_numpy(0.1 * rng.standard_normal((3, layout.size), dtype=np.float32))
    shards = [DATA.private.select(slice(10 * k, 10 * k + 4 + 3 * k)) for k in range(3)]
    settings = trainer.TrainingSettings(epochs=2, batch_size=4)
    batched, plain = (
        backend.train(
            llama, layout, starts, shards, settings, [np.random.default_rng(k) for k in range(3)]
        )
        for backend in (trainer, reference)
    )
    assert float((batched.adapters - plain.adapters).abs().max()) < 1e-5


def test_accuracy_of_texts_by_hand() -> None:
    # Positions 0 and 1 say what comes at 1 and 2; the last label is padding.
    predictions = np.array([[[5, 9, 7], [6, 6, 6]]])
    labels = torch.tensor([[1, 5, 9], [1, 6, -100]])
    result = Evaluation(np.zeros((1, 2), dtype=np.float32), predictions)
    assert result.accuracy(labels).tolist() == [1.0]
    assert result.accuracy(torch.tensor([[1, 5, 8], [1, 7, -100]])).tolist() == [1 / 3]


@given(st.floats(0, 1), st.integers(0, 100))
def test_noise_replaces_words_and_nothing_else(share: float, seed: int) -> None:
    shard = DATA.private.select(slice(0, 20))
    noisy = noisy_labels(shard, share, 3, np.random.default_rng(seed))
    written = (shard.labels != -100).sum() - 20  # the beginnings stay
    moved = int((noisy.labels != shard.labels).sum())
    assert moved == round(share * int(written))
    assert torch.equal(noisy.labels == -100, shard.labels == -100)
    assert torch.equal(noisy.inputs["input_ids"][:, 0], shard.inputs["input_ids"][:, 0])
    told = torch.where(noisy.labels == -100, PAD, noisy.labels)
    assert torch.equal(told, noisy.inputs["input_ids"])
    assert torch.equal(noisy.groups, shard.groups)


def test_domains_can_be_skewed_and_secrets_planted() -> None:
    settings = DataSettings(
        name="notes", domains=("original",), partition="dirichlet", alpha=0.2, secrets=3
    )
    shards = private_shards(DATA.private, 6, 3, settings, Streams(0, "notes"))
    shares = [np.bincount(shard.groups, minlength=3).max() / len(shard) for shard in shards]
    assert np.mean(shares) > 0.6
    for shard in shards:
        told = [decode(row) for row in shard.inputs["input_ids"].tolist()]
        codes = [text for text in told if text.startswith("the code of")]
        assert len(codes) == 3
        assert len(set(codes)) == 1


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("mutual-cross-entropy", "mutual-cross-entropy' needs one label"),
        ("mutual-information", "mutual-information' needs images"),
    ],
)
def test_what_values_only_images_is_said(measure: str, message: str) -> None:
    overrides = [*TEXTS, "participants.count=2", f"contribution.measure={measure}"]
    setting = Setting.create(fs.load_scenario("honest-only", overrides), 0)
    both, nobody = ("free-ride", "free-ride"), np.zeros(2)  # who rides for free need not train
    price = Announcement.of_price(1e9)
    play = Play(setting, RoundUpdates(setting, 0), both, price, nobody, nobody)
    with pytest.raises(UserError, match=message):
        _ = play.game


def test_what_does_not_fit_texts_is_said() -> None:
    shard = DATA.private.select(slice(0, 4))
    with pytest.raises(UserError, match="concept_shift"):
        concept_shift(shard, 3)
    with pytest.raises(UserError, match="5 copies, expected at most 4"):
        plant(shard, canary("anna", "4815"), 5)
    with pytest.raises(UserError, match="unknown word 'xylophone'"):
        encode(["the xylophone"], [0])
    with pytest.raises(UserError, match="42 tokens, expected at most 24"):
        encode(["the " * 40], [0])
    with pytest.raises(UserError, match=r"data\.domains"):
        fs.run("honest-only", 0, overrides=[*TEXTS[:2], 'data.domains=["faded"]', "rounds=1"])


@pytest.mark.slow
def test_a_federation_learns_the_private_notes() -> None:
    result = fs.run(
        "honest-only",
        0,
        overrides=[
            *TEXTS,
            "rounds=2",
            "participants.malicious=2",
            'policies.malicious={name="fixed", action=["backdoor", "free-ride"]}',
            'action_sets.malicious=["backdoor", "free-ride"]',
            "contribution.every=2",
            'contribution.schemes=["leave-one-out"]',
            "deviations.rounds=1",
            'deviations.actions=["label-flip"]',
        ],
    )
    summary = result.summary
    assert summary["accuracy_after"] > summary["accuracy_before"] + 0.1
    assert summary["money_error"] < 1e-9
    assert result.rounds["attack_success"].iloc[-1] > 0.1
