"""The shipped digits-vit: small, good at the public domain, and poor at the private ones."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fedfm_sim.core import registry
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.learning.backbone import BACKBONES, Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.partitions import DataSettings, across_domains, in_domain
from fedfm_sim.learning.pretraining import PRETRAINING, pretrain
from fedfm_sim.learning.pretraining_digits import DigitsSettings, augment, pretrain_digits_vit

FOLDER = BACKBONES["digits-vit"]


def accuracy(backbone: Backbone, examples: Examples) -> float:
    with torch.no_grad():
        predictions = backbone.model(**examples.inputs).logits.argmax(1)
    return float((predictions == examples.labels).double().mean())


def test_is_small_and_holds_no_pickle() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sorted(files) == ["config.json", "model.safetensors", "provenance.json"]
    assert sum(files.values()) < 1 << 20
    assert sum(tensor.numel() for tensor in load_file(FOLDER / "model.safetensors").values()) == (
        58_570
    )


def test_provenance_says_what_is_measured(backbone: Backbone, digits: SplitData) -> None:
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    # To one image of the 300 or 600, as another processor may round otherwise.
    assert accuracy(backbone, digits.test) == pytest.approx(
        provenance["unseen_accuracy"], abs=1.5 / 300
    )
    assert accuracy(backbone, digits.public) == pytest.approx(
        provenance["public_accuracy"], abs=1.5 / 600
    )
    assert provenance["parameters"] == sum(p.numel() for p in backbone.model.parameters())
    assert provenance["settings"] == DigitsSettings().model_dump()
    assert provenance["command"] == f"fedfm-sim pretrain digits-vit --seed {provenance['seed']}"


def test_is_good_at_the_public_domain(backbone: Backbone, digits: SplitData) -> None:
    assert accuracy(backbone, digits.test) >= 0.93


@pytest.mark.parametrize("part", ["private", "test"])
def test_has_much_to_learn_in_the_private_domains(
    part: str, backbone: Backbone, digits: SplitData
) -> None:
    rng = np.random.default_rng(0)
    domains = DataSettings().domains
    mixed = across_domains(getattr(digits, part), domains, rng)
    assert accuracy(backbone, mixed) <= 0.60
    # Every one of them has something to win, and none is beyond recognition.
    for name in domains:
        assert 0.15 < accuracy(backbone, in_domain(getattr(digits, part), name, rng)) < 0.9, name


def test_pretraining_is_deterministic(tmp_path: Path, digits: SplitData) -> None:
    state = torch.get_rng_state()
    short = DigitsSettings(epochs=2)
    seen: list[tuple[int, int]] = []
    first = pretrain_digits_vit(tmp_path / "1", 5, lambda *done: seen.append(done), short)
    again = pretrain_digits_vit(tmp_path / "2", 5, unwatched, short)
    other = pretrain_digits_vit(tmp_path / "3", 6, unwatched, short)
    weights = [(tmp_path / k / "model.safetensors").read_bytes() for k in "123"]
    assert weights[0] == weights[1] != weights[2]
    assert first == again != other
    assert json.loads((tmp_path / "1" / "provenance.json").read_text()) == first
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert torch.equal(torch.get_rng_state(), state)


def test_pretraining_learns(tmp_path: Path) -> None:
    provenance = pretrain_digits_vit(tmp_path, 0, unwatched, DigitsSettings(epochs=10))
    # From 10 % by chance.
    assert float(str(provenance["unseen_accuracy"])) > 0.4


@pytest.mark.slow
def test_the_command_of_the_provenance_gives_the_shipped_accuracy(tmp_path: Path) -> None:
    shipped = json.loads((FOLDER / "provenance.json").read_text())
    again = pretrain_digits_vit(
        tmp_path,
        shipped["seed"],
        unwatched,
        DigitsSettings.model_validate(shipped["settings"]),
    )
    assert again["unseen_accuracy"] == pytest.approx(shipped["unseen_accuracy"], abs=0.02)


def test_another_package_adds_a_pretraining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(group: str) -> EntryPoints:
        points = [EntryPoint("other-vit", "other_package:made", "fedfm_sim.pretraining")]
        return EntryPoints(points if group == "fedfm_sim.pretraining" else [])

    def made(folder: Path, seed: int, progress: Progress) -> dict[str, object]:
        progress(1, 1)
        return {"folder": folder, "seed": seed}

    package = ModuleType("other_package")
    package.made = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_package", package)
    monkeypatch.setattr(registry, "entry_points", installed)
    assert list(PRETRAINING) == ["digits-vit", "notes-llama", "other-vit"]
    expected = {"folder": tmp_path, "seed": 3}
    assert pretrain("other-vit", 3, unwatched, tmp_path) == expected
    with pytest.raises(UserError) as caught:
        pretrain("other-vit", 3, unwatched)
    assert str(caught.value) == (
        "--out: missing; backbone 'other-vit' has no shipped folder, name one"
    )
    with pytest.raises(
        UserError, match=r"unknown pre-training 'digits-vjt' \(did you mean 'digits-vit'"
    ):
        pretrain("digits-vjt", 3, unwatched)


def test_augmentation_moves_images_a_little(digits: SplitData) -> None:
    images = digits.public.inputs["pixel_values"]
    before = images.clone()
    moved = augment(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    assert torch.equal(images, before)
    assert torch.equal(augment(images, np.random.default_rng(0)), moved)
    flat, moved_flat = images.flatten(1), moved.flatten(1)
    likeness = torch.nn.functional.cosine_similarity(flat, moved_flat)
    stranger = torch.nn.functional.cosine_similarity(flat, moved_flat.roll(1, 0))
    assert float(likeness.mean()) > 0.8
    assert float((likeness > stranger).float().mean()) > 0.8
    assert float(likeness.max()) < 0.9999
