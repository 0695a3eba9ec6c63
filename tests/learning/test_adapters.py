"""Adapters as rows: where the tensors lie, what they multiply out to, and peft's files."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapter_files import load_adapter, open_adapter, save_adapter
from fedfm_sim.learning.adapters import (
    AdapterLayout,
    LoraSettings,
    adapter_layout,
    attach,
    initial_adapter,
)
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.evaluation import evaluate

seeds = st.integers(0, 2**32 - 1)


def random_rows(layout: AdapterLayout, count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(0.1 * rng.standard_normal((count, layout.size), dtype=np.float32))


def effective(layout: AdapterLayout, adapters: Tensor) -> npt.NDArray[np.float64]:
    """Return every ``s B A``, formed and laid out flat, (K, all weights)."""
    parts = [
        (layout.scaling * b.double() @ a.double()).flatten(1)
        for a, b in layout.factors(adapters).values()
    ]
    return torch.cat(parts, dim=1).numpy()


# Layout


def test_layout_of_digits_vit(backbone: Backbone, layout: AdapterLayout) -> None:
    # 3 blocks of 4 attention matrices (48 x 48) and 2 MLP ones (48 x 96), and
    # the classifier (48 x 10), at rank 4: 4 numbers per row and per column.
    assert len(layout.modules) == 3 * 6 + 1
    assert layout.size == 4 * (3 * (4 * 96 + 2 * 144) + 58) == 8296
    assert layout.size_bytes == 4 * 8296
    assert layout.scaling == 8 / 4
    for module in layout.modules:
        linear = backbone.model.get_submodule(module)
        assert isinstance(linear, nn.Linear)
        name = f"base_model.model.{module}"
        assert layout.shapes[f"{name}.lora_A.weight"] == (4, linear.in_features)
        assert layout.shapes[f"{name}.lora_B.weight"] == (linear.out_features, 4)


def test_views_share_the_row_in_order(small_layout: AdapterLayout) -> None:
    rows = torch.arange(2 * small_layout.size, dtype=torch.float32).view(2, -1)
    factors = small_layout.factors(rows)
    assert small_layout.size == 6 + 8 + 10 + 4
    assert factors["one"][0].tolist()[0] == [[0, 1, 2], [3, 4, 5]]
    assert factors["one"][1].tolist()[0] == [[6, 7], [8, 9], [10, 11], [12, 13]]
    assert factors["two"][0].tolist()[1] == [[42, 43, 44, 45, 46], [47, 48, 49, 50, 51]]
    assert factors["two"][1].tolist()[1] == [[52, 53], [54, 55]]
    factors["two"][1][1, 0, 0] = -1
    assert rows[1, 24] == -1


@given(seeds)
def test_flatten_undoes_views(small_layout: AdapterLayout, seed: int) -> None:
    row = random_rows(small_layout, 1, seed)
    tensors = {name: view[0] for name, view in reversed(small_layout.views(row).items())}
    assert torch.equal(small_layout.flatten(tensors), row[0])


def test_flatten_names_what_is_wrong(small_layout: AdapterLayout) -> None:
    good = {n: v[0] for n, v in small_layout.views(random_rows(small_layout, 1)).items()}
    first, *_, last = good
    with pytest.raises(UserError, match=f"missing tensor '{last}'"):
        small_layout.flatten({n: v for n, v in good.items() if n != last})
    with pytest.raises(UserError, match="unknown tensor 'surplus'"):
        small_layout.flatten(good | {"surplus": torch.zeros(1)})
    with pytest.raises(UserError, match=rf"'{first}' has shape \(3, 2\), expected \(2, 3\)"):
        small_layout.flatten(good | {first: torch.zeros(3, 2)})
    with pytest.raises(UserError, match=f"'{first}' has type torch.int64, expected a float"):
        small_layout.flatten(good | {first: torch.zeros(2, 3, dtype=torch.int64)})


def test_layout_leaves_the_backbone_clean(backbone: Backbone) -> None:
    before = [name for name, _ in backbone.model.named_modules()]
    adapter_layout(backbone, LoraSettings(rank=2, targets=("q_proj",)))
    assert [name for name, _ in backbone.model.named_modules()] == before


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("nonsense",), "nonsense"),
        (("projection",), "'vit.embeddings.patch_embeddings.projection' is not a Linear layer"),
    ],
)
def test_targets_that_cannot_be_adapted(
    backbone: Backbone, targets: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=r"^lora\.targets: ") as error:
        adapter_layout(backbone, LoraSettings(targets=targets))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_initial_adapter_is_no_change(backbone: Backbone, layout: AdapterLayout) -> None:
    state = torch.get_rng_state()
    adapter = initial_adapter(backbone, layout, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(initial_adapter(backbone, layout, seed=3), adapter)
    assert not torch.equal(initial_adapter(backbone, layout, seed=4), adapter)
    for a, b in layout.factors(adapter[None]).values():
        assert not b.any()
        # Kaiming-uniform with a = sqrt(5) is uniform on +-1 / sqrt(in).
        bound = a.shape[-1] ** -0.5
        assert 0.9 * bound < a.abs().max() <= bound


# Geometry of the effective weights


def test_gram_by_hand() -> None:
    shapes = {
        "base_model.model.m.lora_A.weight": (1, 2),
        "base_model.model.m.lora_B.weight": (2, 1),
    }
    layout = AdapterLayout(("m",), shapes, LoraSettings(rank=1, alpha=2.0))
    # B A is [[3, 6], [4, 8]] and [[1, 0], [0, 0]]: squares sum to 125 and 1, the
    # inner product is 3; the scaling of 2 enters squared.
    rows = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 1.0, 0.0]])
    assert layout.gram(rows).tolist() == [[500, 12], [12, 4]]
    # Both changes from the second: [[2, 6], [4, 8]], squares sum to 120, and zero.
    assert layout.change_gram(rows, rows[1]).tolist() == [[480, 0], [0, 0]]


@given(seeds, st.integers(0, 4))
def test_gram_is_the_inner_products_of_effective_weights(
    small_layout: AdapterLayout, seed: int, count: int
) -> None:
    rows, reference = random_rows(small_layout, count, seed), random_rows(small_layout, 1, seed + 1)
    weights = effective(small_layout, rows)
    np.testing.assert_allclose(small_layout.gram(rows), weights @ weights.T, atol=1e-12)
    changes = weights - effective(small_layout, reference)
    np.testing.assert_allclose(
        small_layout.change_gram(rows, reference[0]), changes @ changes.T, atol=1e-12
    )


def in_another_gauge(layout: AdapterLayout, adapters: Tensor, seed: int) -> Tensor:
    """Return the same models with every A as Q A and every B as B Q^-1."""
    rng = np.random.default_rng(seed)
    rank, count = layout.settings.rank, len(adapters)
    changed = adapters.clone()
    for a, b in layout.factors(changed).values():
        q = torch.from_numpy(rng.normal(size=(count, rank, rank)) + 3 * np.eye(rank))
        a.copy_(q @ a.double())
        b.copy_(b.double() @ torch.linalg.inv(q))
    return changed


@given(seeds)
def test_geometry_is_the_same_in_every_gauge(small_layout: AdapterLayout, seed: int) -> None:
    rows = random_rows(small_layout, 4, seed)
    moved = in_another_gauge(small_layout, rows, seed)
    assert (moved - rows).abs().max() > 0.01
    np.testing.assert_allclose(small_layout.gram(moved), small_layout.gram(rows), atol=1e-5)
    np.testing.assert_allclose(
        small_layout.change_gram(moved, moved[0]),
        small_layout.change_gram(rows, rows[0]),
        atol=1e-5,
    )


def test_a_gauge_does_not_change_the_model(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData
) -> None:
    rows = random_rows(layout, 2)
    moved = in_another_gauge(layout, rows, seed=1)
    test = digits.test.select(slice(0, 50))
    np.testing.assert_allclose(
        evaluate(backbone, layout, moved, test).losses,
        evaluate(backbone, layout, rows, test).losses,
        atol=1e-4,
    )


# Files


def test_peft_reads_what_is_saved(
    backbone: Backbone, layout: AdapterLayout, digits: SplitData, tmp_path: Path
) -> None:
    adapter = random_rows(layout, 1)[0]
    save_adapter(tmp_path / "new" / "folder", adapter, layout, backbone.name)
    model = PeftModel.from_pretrained(deepcopy(backbone.model), str(tmp_path / "new" / "folder"))
    with torch.no_grad():
        logits = model(**digits.test.inputs).logits
        plain = backbone.model(**digits.test.inputs).logits
    losses = nn.functional.cross_entropy(logits, digits.test.labels, reduction="none")
    result = evaluate(backbone, layout, adapter[None], digits.test)
    assert (logits - plain).abs().max() > 0.1
    np.testing.assert_allclose(result.losses[0], losses, atol=1e-4)
    np.testing.assert_array_equal(result.predictions[0], logits.argmax(1))
    assert model.peft_config["default"].base_model_name_or_path == "digits-vit"


def test_reads_what_peft_saved(backbone: Backbone, layout: AdapterLayout, tmp_path: Path) -> None:
    adapter = random_rows(layout, 1)
    model = attach(backbone, layout.settings)
    set_peft_model_state_dict(model, {name: v[0] for name, v in layout.views(adapter).items()})
    model.save_pretrained(str(tmp_path))
    assert torch.equal(load_adapter(tmp_path, layout), adapter[0])


def test_reads_what_it_saved(layout: AdapterLayout, tmp_path: Path) -> None:
    adapter = random_rows(layout, 1)[0]
    save_adapter(tmp_path, adapter, layout, "digits-vit")
    assert torch.equal(load_adapter(tmp_path, layout), adapter)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save_adapter(tmp_path, adapter, layout, "digits-vit")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert sorted(first) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("stabilised", [False, True])
def test_scales_of_opened_adapters_are_those_of_peft(
    stabilised: bool, backbone: Backbone, tmp_path: Path
) -> None:
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "fc1"], use_rslora=stabilised,
        rank_pattern={"q_proj": 2}, alpha_pattern={r".*layer.*\.0\..*q_proj": 32, "fc1": 3},
        init_lora_weights=False,
    )  # fmt: skip
    model = get_peft_model(deepcopy(backbone.model), config)
    model.save_pretrained(str(tmp_path))
    stored = open_adapter(tmp_path)
    assert stored.notes == ()
    factors = stored.layout.factors(stored.adapter[None])
    assert len(factors) == 6
    for name, (a, b) in factors.items():
        expected = model.base_model.model.get_submodule(name).get_delta_weight("default")
        found = stored.layout.scaling * b[0] @ a[0]
        torch.testing.assert_close(found, expected.double(), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(stored.rounded(stored.adapter), stored.adapter)


def test_files_are_as_readable_as_others(layout: AdapterLayout, tmp_path: Path) -> None:
    save_adapter(tmp_path / "own", random_rows(layout, 1)[0], layout, "digits-vit")
    stored = open_adapter(tmp_path / "own")
    stored.rewrite(stored.adapter, tmp_path / "copy")
    usual = tmp_path / "usual"
    usual.touch()
    for folder in ("own", "copy"):
        modes = {path.name: path.stat().st_mode for path in (tmp_path / folder).iterdir()}
        assert modes == dict.fromkeys(sorted(modes), usual.stat().st_mode)
        assert sorted(modes) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("stopped_at", ["adapter_config.json", "adapter_model.safetensors"])
def test_who_is_stopped_leaves_whole_files(
    stopped_at: str, layout: AdapterLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = random_rows(layout, 2)
    save_adapter(tmp_path, first, layout, "first")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = Path.replace

    def stop(part: Path, target: Path) -> Path:
        if target.name == stopped_at:
            raise KeyboardInterrupt
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save_adapter(tmp_path, second, layout, "second")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert after[stopped_at] == before[stopped_at]


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, changes: dict[str, Tensor | None]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path) | changes
    save_file({name: t for name, t in tensors.items() if t is not None}, path)


class Trap:
    """Unpickling this raises AssertionError."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _sprung, ()


def _sprung() -> None:
    raise AssertionError("a pickle was run")


A = "base_model.model.one.lora_A.weight"
CORRUPTIONS = {
    "no weights": lambda f: (f / "adapter_model.safetensors").unlink(),
    "no config": lambda f: (f / "adapter_config.json").unlink(),
    "no folder": lambda f: f.rename(f.with_name("elsewhere")),
    "weights are a folder": lambda f: (
        (f / "adapter_model.safetensors").unlink(),
        (f / "adapter_model.safetensors").mkdir(),
    ),
    "truncated": lambda f: (f / "adapter_model.safetensors").write_bytes(
        (f / "adapter_model.safetensors").read_bytes()[:-7]
    ),
    "empty": lambda f: (f / "adapter_model.safetensors").write_bytes(b""),
    "pickle": lambda f: (f / "adapter_model.safetensors").write_bytes(pickle.dumps(Trap())),
    "torch pickle": lambda f: torch.save({A: Trap()}, f / "adapter_model.safetensors"),
    "config is not JSON": lambda f: (f / "adapter_config.json").write_text("{\n\n,}"),
    "config is not text": lambda f: (f / "adapter_config.json").write_bytes(b"\xff\xfe\x00"),
    "config is a list": lambda f: (f / "adapter_config.json").write_text("[]"),
    "config has words for numbers": lambda f: edit_config(f, lora_alpha="three"),
    "other scaling": lambda f: edit_config(f, lora_alpha=6.0),
    "rank-stabilised scaling": lambda f: edit_config(f, use_rslora=True),
    "scaling by module": lambda f: edit_config(f, alpha_pattern={"one": 30.0}),
    "other method": lambda f: edit_config(f, peft_type="IA3"),
    "wrong shape": lambda f: edit_tensors(f, {A: torch.zeros(3, 3)}),
    "missing tensor": lambda f: edit_tensors(f, {A: None}),
    "unknown tensor": lambda f: edit_tensors(f, {"surplus": torch.zeros(1)}),
    "tensor of two lines": lambda f: edit_tensors(f, {"a\nb": torch.zeros(1)}),
    "integers": lambda f: edit_tensors(f, {A: torch.zeros(2, 3, dtype=torch.int8)}),
    "NaN": lambda f: edit_tensors(f, {A: torch.full((2, 3), torch.nan)}),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_bad_files_are_one_line_with_the_path(
    name: str, small_layout: AdapterLayout, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    save_adapter(folder, random_rows(small_layout, 1)[0], small_layout, "small")
    CORRUPTIONS[name](folder)  # type: ignore[no-untyped-call]
    with pytest.raises(UserError) as error:
        load_adapter(folder, small_layout)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_half_precision_files_are_read_exactly(small_layout: AdapterLayout, tmp_path: Path) -> None:
    adapter = random_rows(small_layout, 1).half().float()
    save_adapter(tmp_path, adapter[0], small_layout, "small")
    halves = {name: view[0].half() for name, view in small_layout.views(adapter).items()}
    save_file(halves, tmp_path / "adapter_model.safetensors")
    assert torch.equal(load_adapter(tmp_path, small_layout), adapter[0])
