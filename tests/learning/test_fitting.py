"""A user's model on the data: what is made to fit, what is refused, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertLMHeadModel,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.pytorch_utils import Conv1D

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning import reference, trainer
from fedfm_sim.learning.adapter_files import load_adapter, save_adapter
from fedfm_sim.learning.adapters import LoraSettings, adapter_layout, initial_adapter
from fedfm_sim.learning.backbone import Backbone, freeze, load_backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.datasets.notes import LENGTH, load_notes_split
from fedfm_sim.learning.evaluation import evaluate
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.fitting import Fitted, Preparation, fit
from fedfm_sim.learning.lora_files import CONFIG
from fedfm_sim.learning.partitions import DataSettings
from fedfm_sim.learning.pretraining_notes import tokenizer
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.learning.trial import try_out
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.triggers import trigger_set

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
TEXT = {**SMALL, "vocab_size": 170, "max_position_embeddings": 32}
DATA: dict[str, Callable[[], SplitData]] = {
    "digits": load_digits_split,
    "notes": load_notes_split,
}


def vit(**other: object) -> ViTForImageClassification:
    usual = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_labels": 10}
    return ViTForImageClassification(ViTConfig(**{**SMALL, **usual, **other}))


def llama(**other: object) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**{**TEXT, **other}))


def bert(**other: object) -> BertForSequenceClassification:
    return BertForSequenceClassification(BertConfig(**{**TEXT, "num_labels": 3, **other}))


def gpt2(**other: object) -> GPT2LMHeadModel:
    usual = {"vocab_size": 170, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    ends = {"bos_token_id": 1, "eos_token_id": 2}
    return GPT2LMHeadModel(GPT2Config(**{**usual, **ends, **other}))


def fitted(model: PreTrainedModel, data: str) -> Fitted:
    """Return a model, fitted and tried as a run does before anything is trained."""
    torch.manual_seed(0)
    own = fit(freeze("mine", model), DATA[data](), data)
    try_out(
        own.backbone, adapter_layout(own.backbone, LoraSettings(rank=2, alpha=8.0)), own.data, data
    )
    return own


@pytest.fixture(autouse=True)
def _weights() -> None:
    torch.manual_seed(0)


# What is refused


@pytest.mark.parametrize(
    ("make", "data", "said"),
    [
        (lambda: vit(num_labels=1), "digits", "tells 1 class apart and the data have 10"),
        (lambda: vit(num_labels=5), "digits", "5 classes apart .* at least 10 .num_labels"),
        (vit, "notes", "image classification and needs images, the data are texts"),
        (llama, "digits", "causal language modelling and needs texts, the data are images"),
        (bert, "digits", "sequence classification and needs texts, the data are images"),
        (lambda: bert(num_labels=2), "notes", "2 classes apart and the data have 3"),
        (lambda: llama(vocab_size=50), "notes", r"50 words .vocab_size. and the data use 162"),
        (lambda: bert(max_position_embeddings=8), "notes", "at most 8 tokens .* has 16"),
        (lambda: llama(max_position_embeddings=8), "notes", "at most 8 tokens .* has 16"),
        (lambda: gpt2(n_positions=8), "notes", "at most 8 tokens .* has 16"),
        (lambda: BertLMHeadModel(BertConfig(**TEXT)), "notes", "sees later words"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    make: Callable[[], PreTrainedModel], data: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        fitted(make(), data)
    message = str(error.value)
    assert message.startswith(f"backbone = 'mine', data.name = '{data}': ")
    assert "\n" not in message


def test_a_model_that_mixes_examples_is_refused() -> None:
    model = vit()

    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x.mean(0, keepdim=True)

    model.classifier = torch.nn.Sequential(Mixing(), model.classifier)
    with pytest.raises(UserError, match="mix examples of a batch"):
        fitted(model, "digits")


def test_a_model_that_answers_nonsense_is_refused() -> None:
    model = vit()
    model.classifier.bias.data[3] = float("inf")
    with pytest.raises(UserError, match="answers NaN or Inf"):
        fitted(model, "digits")


def test_a_model_that_fails_in_its_own_words_is_refused() -> None:
    model = vit()
    model.vit.forward = lambda *given, **named: 1 / 0
    with pytest.raises(UserError, match=r"does not take the data \(division by zero\)"):
        fitted(model, "digits")


def test_weights_that_can_not_be_computed_with(tmp_path: Path) -> None:
    model = llama()
    model.lm_head.weight.data[0] = float("nan")
    model.save_pretrained(tmp_path / "nan")
    with pytest.raises(UserError, match=r"'lm_head\.weight' holds NaN or Inf"):
        load_backbone(str(tmp_path / "nan"))
    llama().save_pretrained(tmp_path / "whole")
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "whole" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="its weights are quantised"):
        load_backbone(str(tmp_path / "whole"))


def test_layers_that_take_no_adapter_are_named() -> None:
    model = MixtralForCausalLM(MixtralConfig(**TEXT, num_key_value_heads=1, num_local_experts=2))
    backbone = freeze("mine", model)
    with pytest.raises(UserError, match=r"lora\.targets: .* names such as \['q_proj', 'k_proj'"):
        adapter_layout(backbone, LoraSettings(rank=4, alpha=8.0))
    assert len(adapter_layout(backbone, LoraSettings(targets=("q_proj", "v_proj"))).modules) == 2


# What is made to fit


def test_grey_images_are_repeated_resized_and_normalised(tmp_path: Path) -> None:
    model = vit(num_channels=3, image_size=16)
    model.save_pretrained(tmp_path)
    own = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 1.0]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own))
    made = fit(load_backbone(str(tmp_path)), load_digits_split(), "digits")
    assert [line.partition(": ")[2] for line in made.remarks] == [
        "grey images are repeated over the model's 3 channels",
        "images of 8 x 8 are resized to the model's 16 x 16",
        "images are normalised as the model's preprocessor_config.json says",
    ]
    few = made.data.test.select(slice(0, 2)).inputs["pixel_values"]
    assert few.shape == (2, 1, 8, 8)  # triggers and marks are of the data's own size
    large = torch.nn.functional.interpolate(few, (16, 16), mode="bilinear", align_corners=False)
    wanted = (large - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / torch.tensor(
        [0.5, 0.25, 1.0]
    ).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = model.eval()(pixel_values=wanted).logits
        torch.testing.assert_close(made.backbone.model(pixel_values=few).logits, expected)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own | {"image_std": [0.5, 0]}))
    with pytest.raises(UserError, match="expected 3 numbers, those of image_std above 0"):
        fit(load_backbone(str(tmp_path)), load_digits_split(), "digits")


def test_gradients_reach_the_images_through_the_preparation() -> None:
    images = torch.rand(1, 1, 4, 4, requires_grad=True)
    seen = Preparation(3, (8, 8), (0.5,), (0.25,)).prepared(images)
    (gradient,) = torch.autograd.grad(seen.sum(), [images])
    # Each pixel is seen by 4 pixels of each of 3 channels, each over 0.25.
    assert float(gradient.sum()) == pytest.approx(16 * 4 * 3 / 0.25)


def test_what_fits_is_left_alone(backbone: Backbone, digits: SplitData) -> None:
    before = dict(backbone.model.base_model._forward_pre_hooks)
    made = fit(backbone, digits, "digits")
    assert made.remarks == ()
    assert made.backbone.model.base_model._forward_pre_hooks == before
    assert torch.equal(made.data.test.inputs["pixel_values"], digits.test.inputs["pixel_values"])
    notes = fit(load_backbone("notes-llama"), load_notes_split(), "notes")
    assert notes.remarks == ()
    assert torch.equal(notes.data.test.labels, load_notes_split().test.labels)


def test_more_labels_than_classes_are_said() -> None:
    (said,) = fitted(vit(num_labels=12), "digits").remarks
    assert said.endswith("2 of the model's 12 classes never occur")


def test_a_model_of_two_heads_is_loaded_whole(tmp_path: Path) -> None:
    model = DeiTForImageClassificationWithTeacher(
        DeiTConfig(**SMALL, image_size=8, patch_size=2, num_channels=1, num_labels=10)
    )
    model.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path))
    assert fitted(loaded.model, "digits").remarks == ()
    second = loaded.model.distillation_classifier.weight
    assert torch.equal(second, model.distillation_classifier.weight)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_as_single(tmp_path: Path, kind: torch.dtype) -> None:
    model = llama(tie_word_embeddings=True).to(kind)
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    backbone = load_backbone(str(tmp_path))
    name = str(kind).removeprefix("torch.")
    assert backbone.remarks[0].endswith(f"its weights are {name}, computed as float32")
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}
    assert torch.equal(backbone.model.lm_head.weight, model.lm_head.weight.float())
    fitted(backbone.model, "notes")


def test_a_classifier_of_texts_tells_their_classes() -> None:
    made = fitted(bert(), "notes")
    assert made.data.test.labels.tolist() == load_notes_split().test.groups.tolist()
    triggers = trigger_set(Key(owner="a", secret="ab" * 32), made.data.public, 3, 5)
    assert triggers.labels.shape == (5,)
    assert triggers.inputs["input_ids"].max() < 170


def test_a_classifier_that_looks_for_the_last_word_is_told_the_padding() -> None:
    torch.manual_seed(0)
    own = LlamaForSequenceClassification(LlamaConfig(**TEXT, num_labels=3))
    assert own.config.pad_token_id is None
    made = fitted(own, "notes")
    assert any("names no padding" in line for line in made.remarks)
    # What is told of a text is what is told of it without any padding.
    one = made.data.test.select([0])
    length = int(one.inputs["attention_mask"].sum())
    bare = {name: tensor[:, :length] for name, tensor in one.inputs.items()}
    with torch.no_grad():
        torch.testing.assert_close(own(**one.inputs).logits, own(**bare).logits)


def test_texts_are_cut_where_the_longest_ends() -> None:
    made = fitted(gpt2(n_positions=20), "notes")
    assert LENGTH > 20
    assert made.data.test.inputs["input_ids"].shape[1] == 16
    assert torch.equal(made.data.test.labels, load_notes_split().test.labels[:, :16])


def test_texts_are_read_by_the_model_s_own_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    known = sorted(set(load_notes_split().words or ()) - {"fever"})[::-1]
    table = {word: number for number, word in enumerate(["<none>", *known])}
    inner = Tokenizer(WordLevel(table, unk_token="<none>"))
    inner.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<none>").save_pretrained(tmp_path)
    llama(vocab_size=len(table)).save_pretrained(tmp_path)
    made = fit(load_backbone(str(tmp_path)), load_notes_split(), "notes")
    assert "read by the model's own tokenizer, to which 0.3% of their tokens" in made.remarks[0]
    back = {number: word for word, number in table.items()}
    words = load_notes_split().words or ()
    for row in range(20):
        ids, mask = (made.data.test.inputs[n][row] for n in ("input_ids", "attention_mask"))
        read = [back[int(number)] for number in ids[mask == 1]]
        old = load_notes_split().test.inputs["input_ids"][row].tolist()
        written = [words[number] for number in old if number > 3]
        assert read == ["<none>" if word == "fever" else word for word in written]
        assert made.data.test.labels[row][mask == 1].tolist() == ids[mask == 1].tolist()
        assert set(made.data.test.labels[row][mask == 0].tolist()) <= {-100}
    assert made.data.words is None  # so that no secret is planted in other words
    # A tokenizer that numbers words alike, and none at all.
    tokenizer().save_pretrained(str(tmp_path))
    same = fit(load_backbone(str(tmp_path)), load_notes_split(), "notes")
    assert same.remarks == ()
    assert "no tokenizer beside the model" in fitted(llama(), "notes").remarks[0]
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="its tokenizer can't be read"):
        fit(load_backbone(str(tmp_path)), load_notes_split(), "notes")


# GPT-2


def test_adapters_on_layers_that_store_weights_the_other_way_round(tmp_path: Path) -> None:
    made = fitted(gpt2(), "notes")
    layout = adapter_layout(made.backbone, LoraSettings(rank=2, alpha=8.0))
    assert {type(made.backbone.model.get_submodule(m)) for m in layout.modules} == {Conv1D}
    few = made.data.private.select(slice(0, 12))
    shards = [few.select(slice(0, 5)), few.select(slice(5, 12))]
    rows = initial_adapter(made.backbone, layout, 0).repeat(2, 1)
    both = [
        own.train(
            made.backbone,
            layout,
            rows,
            shards,
            TrainingSettings(epochs=1, batch_size=4),
            [np.random.default_rng(1), np.random.default_rng(2)],
        )
        for own in (trainer, reference)
    ]
    ours, peft = both
    torch.testing.assert_close(ours.adapters, peft.adapters, rtol=1e-4, atol=1e-6)
    assert (ours.adapters - rows).abs().max() > 1e-3
    save_adapter(tmp_path, ours.adapters[0], layout, "mine")
    assert json.loads((tmp_path / CONFIG).read_text())["fan_in_fan_out"] is True
    assert torch.equal(load_adapter(tmp_path, layout), ours.adapters[0])
    from copy import deepcopy

    whole = PeftModel.from_pretrained(deepcopy(made.backbone.model), str(tmp_path))
    with torch.no_grad():
        logits = whole(**few.inputs).logits
    told = evaluate(made.backbone, layout, ours.adapters[:1], few)
    assert (logits.argmax(-1).numpy() == told.predictions[0]).all()


def test_a_layer_that_is_never_used_stays_as_it_was() -> None:
    model = vit()
    model.vit.spare = torch.nn.Linear(16, 16)
    made = fitted(model, "digits")
    layout = adapter_layout(made.backbone, LoraSettings(rank=2, alpha=8.0))
    assert "vit.spare" in layout.modules
    start = initial_adapter(made.backbone, layout, 0)[None]
    shard = made.data.private.select(slice(0, 8))
    settings = TrainingSettings(epochs=1, batch_size=4)
    trained = trainer.train(
        made.backbone, layout, start, [shard], settings, [np.random.default_rng(0)]
    ).adapters
    before, after = (layout.pair(layout.views(row), "vit.spare") for row in (start, trained))
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


# Domains


def test_only_digits_are_distorted_unless_a_scenario_says() -> None:
    assert DataSettings().domains == ("faded", "rotated", "shaded", "ruled", "occluded")
    assert DataSettings(name="notes").domains == ("original",)
    said = DataSettings(domains=("inverted",))
    assert DataSettings.model_validate(said.model_dump()) == said
    # What follows from the name is not said, so that another name has its own.
    assert "domains" not in DataSettings().model_dump()
    assert DataSettings().model_dump(context={"full": True})["domains"][0] == "faded"
    other = DataSettings.model_validate({**DataSettings().model_dump(), "name": "notes"})
    assert other.domains == ("original",)


def test_data_of_other_types_are_taken() -> None:
    def half(examples: Examples) -> Examples:
        inputs = {"pixel_values": examples.inputs["pixel_values"].double()}
        return replace(examples, inputs=inputs, labels=examples.labels.int())

    made = fit(freeze("mine", vit()), load_digits_split().each(half), "digits")
    assert made.data.test.inputs["pixel_values"].dtype == torch.float32
    assert made.data.test.labels.dtype == torch.int64
