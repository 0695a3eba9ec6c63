"""Frozen backbones: what loads, what is refused, and how losses are counted."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from fedfm_sim.core import registry
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.backbone import (
    BACKBONES,
    Backbone,
    example_losses,
    freeze,
    load_backbone,
    module_at,
)
from fedfm_sim.learning.datasets import SplitData


def test_digits_vit_is_frozen(backbone: Backbone) -> None:
    assert not backbone.model.training
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert backbone.size_bytes == 4 * 58_570


def test_forward_flops_by_hand(backbone: Backbone, digits: SplitData) -> None:
    # 16 patches of 2 x 2 and a class token make 17 rows of width 48. A matrix
    # product of (m, k) and (k, n) is 2 m k n operations.
    patches = 2 * 16 * 4 * 48
    projections = 4 * 2 * 17 * 48 * 48
    attention = 2 * 2 * 17 * 17 * 48
    mlp = 2 * 2 * 17 * 48 * 96
    classifier = 2 * 48 * 10
    expected = patches + 3 * (projections + attention + mlp) + classifier
    assert backbone.forward_flops(digits.test) == expected


def test_loads_a_folder(tmp_path: Path, digits: SplitData, backbone: Backbone) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(BACKBONES["digits-vit"], folder)
    copy = load_backbone(str(folder))
    assert copy.name == str(folder)
    with torch.no_grad():
        expected = backbone.model(**digits.test.inputs).logits
        assert torch.equal(copy.model(**digits.test.inputs).logits, expected)


def refused(name: str) -> str:
    with pytest.raises(UserError) as error:
        load_backbone(name)
    message = str(error.value)
    assert message.startswith(f"backbone '{name}' can't be loaded; expected one of digits-vit")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digits-vjt", " (did you mean 'digits-vit'?)"),
        ("nobody/nothing", ""),
        ("not a name!", ""),
        ("", ""),
        ("no/such/dir", ""),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    # conftest.py keeps the hub client off the network; without that it tries for 20 s.
    with pytest.raises(UserError) as error:
        load_backbone(name)
    assert str(error.value).startswith(
        f"unknown backbone '{name}'{hint}; expected one of: digits-vit, notes-llama, "
        "a folder with config.json and model.safetensors, or a hub id ("
    )
    assert "\n" not in str(error.value)


def test_another_package_ships_a_backbone(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(group: str) -> EntryPoints:
        assert group == "fedfm_sim.backbones"
        return EntryPoints([EntryPoint("other-vit", "other_package:FOLDER", group)])

    package = ModuleType("other_package")
    package.FOLDER = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_package", package)
    monkeypatch.setattr(registry, "entry_points", installed)
    assert list(BACKBONES) == ["digits-vit", "notes-llama", "other-vit"]
    with pytest.raises(UserError, match="'other-vit' is not built; run: fedfm-sim pretrain"):
        load_backbone("other-vit")
    backbone.model.save_pretrained(tmp_path)
    loaded = load_backbone("other-vit")
    assert loaded.name == "other-vit"
    assert torch.equal(loaded.model.classifier.weight, backbone.model.classifier.weight)


def test_a_model_of_another_task(tmp_path: Path) -> None:
    shutil.copytree(BACKBONES["digits-vit"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"architectures": ["ViTForMaskedImageModeling"]})
    )
    assert "this one is 'ViTForMaskedImageModeling'" in refused(str(tmp_path))


def test_pickled_weights_are_not_read(tmp_path: Path, backbone: Backbone) -> None:
    shutil.copy(BACKBONES["digits-vit"] / "config.json", tmp_path)
    torch.save(backbone.model.state_dict(), tmp_path / "pytorch_model.bin")
    refused(str(tmp_path))


def test_damaged_weights(tmp_path: Path) -> None:
    shutil.copytree(BACKBONES["digits-vit"], tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-type"}'])
def test_damaged_configuration(tmp_path: Path, text: str) -> None:
    shutil.copytree(BACKBONES["digits-vit"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(text)
    refused(str(tmp_path))


def test_weights_of_another_size(tmp_path: Path) -> None:
    shutil.copytree(BACKBONES["digits-vit"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    refused(str(tmp_path))


def test_weights_that_are_not_all_there(tmp_path: Path) -> None:
    # transformers would draw the missing block at random and carry on.
    shutil.copytree(BACKBONES["digits-vit"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    refused(str(tmp_path))


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    llama = tiny_llama(tied=True)
    llama.model.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        expected = llama.model(input_ids=tokens).logits
        loaded = load_backbone(str(tmp_path)).model(input_ids=tokens).logits
    assert torch.equal(loaded, expected)


def test_module_at(backbone: Backbone) -> None:
    parent, name = module_at(backbone.model, "vit.layers.1.mlp.fc2")
    assert getattr(parent, name) is backbone.model.get_submodule("vit.layers.1.mlp.fc2")
    assert module_at(backbone.model, "classifier") == (backbone.model, "classifier")


# Losses


def test_classification_losses_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, np.log(6.0), 0.0, 0.0]])
    # Probabilities 1/4 each, and 1/9, 6/9, 1/9, 1/9.
    np.testing.assert_allclose(
        example_losses(logits, torch.tensor([2, 1])), [np.log(4), np.log(1.5)], rtol=1e-6
    )


def test_language_model_losses_by_hand() -> None:
    # Position t predicts token t + 1. Every row prefers token 1 at odds of 3 to 1.
    logits = torch.tensor([0.0, np.log(3.0)]).expand(4, 4, 2)
    labels = torch.tensor(
        [[0, 1, 1, 0], [0, 1, -100, -100], [1, -100, 0, -100], [1, -100, -100, -100]]
    )
    right, wrong = np.log(4 / 3), np.log(4)
    expected = [(2 * right + wrong) / 3, right, wrong, 0.0]
    np.testing.assert_allclose(example_losses(logits, labels), expected, rtol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_language_model_losses_are_those_of_transformers(seed: int) -> None:
    model = tiny_llama().model
    rng = np.random.default_rng(seed)
    tokens = torch.from_numpy(rng.integers(0, 11, (3, 6)))
    labels = tokens.masked_fill(torch.from_numpy(rng.random((3, 6)) < 0.3), -100)
    labels[:, 2] = tokens[:, 2]
    with torch.no_grad():
        losses = example_losses(model(input_ids=tokens).logits, labels)
        one_by_one = [
            float(model(input_ids=tokens[k : k + 1], labels=labels[k : k + 1]).loss)
            for k in range(3)
        ]
    np.testing.assert_allclose(losses, one_by_one, rtol=1e-5)


def tiny_llama(*, tied: bool = False) -> Backbone:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        tie_word_embeddings=tied,
    )
    return freeze("llama", LlamaForCausalLM(config))


def test_the_address_of_a_backbone_is_what_others_can_load(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipped name is no hub id: who loads the adapter would ask a stranger's hub for it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BACKBONES["digits-vit"], tmp_path / "own")
    assert Path(backbone.address) == BACKBONES["digits-vit"].resolve()
    assert freeze("own", backbone.model).address == str(tmp_path / "own")
    assert freeze("org/model", backbone.model).address == "org/model"
