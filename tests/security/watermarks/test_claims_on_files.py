"""Nothing that a thief can edit without changing the model is a precondition of a claim."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapter_files import open_adapter, open_merged, save_adapter
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.lora_files import CONFIG, WEIGHTS
from fedfm_sim.security.watermarks.key import Key, layout_digest
from fedfm_sim.security.watermarks.marking import mark, new_key, notes, trace, verify
from fedfm_sim.security.watermarks.matching import assignment

Tensors = dict[str, Tensor]
Case = Callable[[Path], object]


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Key]:
    """Return a marked adapter of twelve modules, and the key."""
    folder = tmp_path_factory.mktemp("marked")
    shapes: dict[str, tuple[int, ...]] = {}
    for k in range(6):
        for name, out in (("attention.q_proj", 24), ("mlp.fc1", 32)):
            module = f"base_model.model.vit.layer.{k}.{name}"
            shapes |= {f"{module}.lora_A.weight": (4, 24), f"{module}.lora_B.weight": (out, 4)}
    names = tuple(
        dict.fromkeys(n.split(".lora")[0].removeprefix("base_model.model.") for n in shapes)
    )
    layout = AdapterLayout(names, shapes, LoraSettings(rank=4, alpha=8))
    rng = np.random.default_rng(0)
    row = torch.from_numpy(0.1 * rng.standard_normal(layout.size)).float()
    save_adapter(folder / "plain", row, layout, "org/base")
    stored = open_adapter(folder / "plain")
    key = new_key(stored, "owner", 64)
    mark(stored, key, folder / "marked")
    return folder / "marked", key


def config(**changes: Any) -> Case:
    def edit(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def tensors(change: Callable[[Tensors], Tensors]) -> Case:
    def edit(folder: Path) -> None:
        new = change(load_file(folder / WEIGHTS))
        save_file({name: t.contiguous() for name, t in new.items()}, folder / WEIGHTS)

    return edit


def renamed(*pairs: tuple[str, str]) -> Case:
    def new(name: str) -> str:
        for old, other in pairs:
            name = name.replace(old, other)
        return name

    return tensors(lambda own: {new(name): t for name, t in own.items()})


def each_module(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Case:
    def edit(own: Tensors) -> Tensors:
        made = {}
        for name in own:
            if name.endswith("lora_A.weight"):
                other = name.replace("lora_A", "lora_B")
                made[name], made[other] = change(own[name].double(), own[other].double())
        return made

    return tensors(edit)


def both(*edits: Case) -> Case:
    def edit(folder: Path) -> None:
        for own in edits:
            own(folder)

    return edit


def in_shards(folder: Path) -> None:
    own = sorted(load_file(folder / WEIGHTS).items())
    (folder / WEIGHTS).unlink()
    for k in range(2):
        save_file(dict(own[k::2]), folder / f"adapter_model-0000{k + 1}-of-00002.safetensors")


def turn(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    q = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 4)) + 3 * np.eye(4))
    return q @ a, b @ torch.linalg.inv(q)


SCALES = torch.tensor([1e-200, 1e200, 1e-50, 1.0], dtype=torch.float64)
FIRST = "base_model.model.vit.layer.0.attention.q_proj"
NOISE = {
    "base_model.model.decoy.lora_A.weight": torch.full((4, 24), 1e3),
    "base_model.model.decoy.lora_B.weight": torch.randn(24, 4, generator=torch.manual_seed(0))
    * 1e3,
}

EDITS: dict[str, Case] = {
    "base of another folder": config(base_model_name_or_path="/home/thief/base"),
    "base with a slash": config(base_model_name_or_path="org/base/"),
    "no base": config(base_model_name_or_path=None),
    "a number for a base": config(base_model_name_or_path=7),
    "another method": config(peft_type="IA3"),
    "another task": config(task_type="CAUSAL_LM"),
    "other targets": config(target_modules=["nothing"]),
    "DoRA in name": config(use_dora=True),
    "rank 0": config(r=0),
    "rank 5": config(r=5),
    "rank in words": config(r="four"),
    "alpha of 1e9": config(lora_alpha=1e9),
    "alpha beyond all numbers": config(lora_alpha=10**400),
    "alpha 1e308": config(lora_alpha=1e308, use_rslora=True),
    "alpha 0": config(lora_alpha=0),
    "alpha NaN": config(lora_alpha=float("nan")),
    "alpha in words": config(lora_alpha="much"),
    "rank-stabilised": config(use_rslora=True),
    "patterns that are none": config(alpha_pattern=[1], rank_pattern=3),
    "patterns without end": config(alpha_pattern={"(a+)+$": 3, "(": 1, "(.*)*x": 2}),
    "no configuration": lambda f: (f / CONFIG).unlink(),
    "broken configuration": lambda f: (f / CONFIG).write_bytes(b"\xff{"),
    "configuration of a list": lambda f: (f / CONFIG).write_text("[" * 3 + "]" * 3),
    "a module dropped": tensors(lambda own: {n: t for n, t in own.items() if FIRST not in n}),
    "a module of zeros": tensors(
        lambda own: {**own, **{n: torch.zeros_like(t) for n, t in NOISE.items()}}
    ),
    "a module of noise": tensors(lambda own: own | NOISE),
    "another prefix": renamed(("base_model.model.", "model.")),
    "no prefix": renamed(("base_model.model.", "")),
    "an adapter's name": renamed((".weight", ".thief.weight")),
    "names of diffusers": renamed(("lora_A", "lora_down"), ("lora_B", "lora_up")),
    "other words": renamed(("vit.layer", "h"), ("attention.q_proj", "x"), ("mlp.fc1", "y")),
    "underscores": renamed(("vit.layer.", "vit_layer_"), (".attention.", "_attention_")),
    "a decoy under a second name": tensors(
        lambda own: own | {n.replace(".weight", ".zz.weight"): 9 * t for n, t in own.items()}
    ),
    "another order": tensors(lambda own: dict(reversed(own.items()))),
    "bfloat16": tensors(lambda own: {n: t.bfloat16() for n, t in own.items()}),
    "float16": tensors(lambda own: {n: t.half() for n, t in own.items()}),
    "another gauge": each_module(turn),
    "factors of extreme scale": each_module(lambda a, b: (a * 1e-200, b * 1e200)),
    "another scale in each rank": each_module(
        lambda a, b: (a * SCALES[:, None], b / SCALES)
    ),
    "both signs": both(each_module(lambda a, b: (a, -b)), config(lora_alpha=-8)),
    "alpha by module": both(
        tensors(lambda own: {n: t / (1000 if "q_proj.lora_B" in n else 1) for n, t in own.items()}),
        config(alpha_pattern={r".*\.q_proj": 8000}),
    ),
    "rank 512": both(
        each_module(
            lambda a, b: (
                torch.nn.functional.pad(a, (0, 0, 0, 508)),
                torch.nn.functional.pad(b, (0, 508)),
            )
        ),
        config(r=512, lora_alpha=1024),
    ),
    "shards": in_shards,
    "another file name": lambda f: (f / WEIGHTS).rename(f / "lora.safetensors"),
    "a convolution's shape": each_module(lambda a, b: (a[..., None, None], b[..., None, None])),
    "one module empty": tensors(
        lambda own: {n: torch.empty(0) if FIRST in n else t for n, t in own.items()}
    ),
    "NaN in one module": tensors(
        lambda own: {n: t * torch.nan if FIRST in n else t for n, t in own.items()}
    ),
    "integers in one module": tensors(
        lambda own: {n: t.int() if FIRST in n else t for n, t in own.items()}
    ),
    "half a module": tensors(
        lambda own: {n: t for n, t in own.items() if f"{FIRST}.lora_A" not in n}
    ),
    "magnitudes of DoRA": tensors(
        lambda own: own | {f"{FIRST}.lora_magnitude_vector": torch.ones(24)}
    ),
}  # fmt: skip
SILENT = {
    "another task", "other targets", "alpha of 1e9", "rank-stabilised", "another order", "bfloat16",
    "float16", "another gauge", "another scale in each rank", "factors of extreme scale",
    "both signs", "alpha by module",
    "rank 512", "shards", "another file name", "a convolution's shape", "no prefix",
    "an adapter's name", "names of diffusers", "a decoy under a second name",
    "patterns that are none", "patterns without end",
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_the_claim_is_computed_from_the_weights(
    name: str, marked: tuple[Path, Key], tmp_path: Path
) -> None:
    folder, key = shutil.copytree(marked[0], tmp_path / "stolen"), marked[1]
    EDITS[name](folder)
    stored = open_adapter(folder)
    claim = verify(stored, key)
    assert claim.stands, claim
    foreign = Key.draw("foreign", np.random.default_rng(5)).model_copy(
        update={"modules": key.modules}
    )
    assert not verify(stored, foreign).stands
    assert trace(stored, [foreign, key]).accused == 1
    said = notes(stored, [key])
    assert bool(said) == (name not in SILENT), said
    assert not any("\n" in note for note in said)


def torch_pickle(folder: Path) -> None:
    own = load_file(folder / WEIGHTS)
    torch.save(own, folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


REFUSED: dict[str, tuple[Case, str]] = {
    "a pickle": (torch_pickle, "'adapter_model.bin' is a pickle"),
    "a pickle by another name": (
        lambda f: (f / WEIGHTS).write_bytes(pickle.dumps({})),
        "no LoRA adapter in peft's format",
    ),
    "no file": (lambda f: (f / WEIGHTS).unlink(), "no .*safetensors"),
    "no folder": (lambda f: shutil.rmtree(f), "no .*safetensors"),
    "cut off": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]),
        "no LoRA adapter in peft's format",
    ),
    "all empty": (
        tensors(lambda own: {n: torch.empty(0) for n in own}),
        "is empty, as ZeRO-3 leaves weights",
    ),
    "merged": (
        tensors(lambda own: {"vit.layer.0.weight": torch.ones(3, 3)}),
        "no lora_A weights, but 'vit.layer.0.weight'.*name the --base",
    ),
    "all of other ranks": (
        tensors(lambda own: {n: t[:3] if "lora_A" in n else t for n, t in own.items()}),
        "factors of ranks 3 and 4",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_line(
    name: str, marked: tuple[Path, Key], tmp_path: Path
) -> None:
    folder = shutil.copytree(marked[0], tmp_path / "stolen")
    edit, message = REFUSED[name]
    edit(folder)
    with pytest.raises(UserError, match=message) as error:
        open_adapter(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_merged_adapter_is_read_beside_its_base(
    kind: torch.dtype, marked: tuple[Path, Key], tmp_path: Path
) -> None:
    stored, rng = open_adapter(marked[0]), np.random.default_rng(3)
    base, merged = {"head.bias": torch.ones(3)}, {"head.bias": torch.zeros(3)}
    for module, (a, b) in stored.layout.factors(stored.adapter[None]).items():
        change = stored.layout.scaling * b[0] @ a[0]
        weight = torch.from_numpy(0.1 * rng.standard_normal(change.shape)).to(kind)
        base[f"other.{module}.weight"] = weight
        merged[f"other.{module}.weight"] = (weight.double() + change).to(kind)
    for name, model in (("base", base), ("merged", merged)):
        (tmp_path / name).mkdir()
        save_file(model, tmp_path / name / "model.safetensors")
    found = open_merged(tmp_path / "merged", tmp_path / "base")
    assert verify(found, marked[1]).hits >= 62
    assert not verify(found, Key.create("foreign")).stands
    with pytest.raises(UserError, match="no matrix differs"):
        open_merged(tmp_path / "base", tmp_path / "base")
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        open_merged(tmp_path / "merged", tmp_path)


def test_nothing_of_the_key_is_no_claim(marked: tuple[Path, Key]) -> None:
    other = marked[1].model_copy(update={"modules": (("elsewhere", 7, 7),), "layout": ""})
    claim = verify(open_adapter(marked[0]), other)
    assert (claim.hits, claim.trials, claim.p_value) == (0, 64, 1)
    assert any(
        "1 of 1 marked modules not there" in n for n in notes(open_adapter(marked[0]), [other])
    )


def test_marks_are_written_under_the_files_own_names_types_and_scales(
    marked: tuple[Path, Key], tmp_path: Path
) -> None:
    folder = shutil.copytree(marked[0], tmp_path / "other")
    for name in ("names of diffusers", "a convolution's shape", "magnitudes of DoRA"):
        if name != "a convolution's shape":
            EDITS[name](folder)
    tensors(lambda own: {n: t.half() for n, t in own.items()})(folder)
    config(alpha_pattern={"q_proj": 32})(folder)
    before, stored = load_file(folder / WEIGHTS), open_adapter(folder)
    assert torch.equal(stored.rounded(stored.adapter), stored.adapter)
    key = new_key(stored, "second", 16)
    assert mark(stored, key, tmp_path / "again").hits == 16
    after = load_file(tmp_path / "again" / WEIGHTS)
    assert {n: (t.dtype, t.shape) for n, t in after.items()} == {
        n: (t.dtype, t.shape) for n, t in before.items()
    }
    assert verify(open_adapter(tmp_path / "again"), key).hits == 16


def test_a_key_of_other_modules_than_its_layout_is_none(marked: tuple[Path, Key]) -> None:
    key = marked[1]
    assert key.layout == layout_digest(open_adapter(marked[0]).layout)
    facts = json.loads(key.model_dump_json())
    assert Key.model_validate(facts) == key
    facts["modules"][0][1] += 1
    with pytest.raises(ValueError, match="not those of the layout"):
        Key.model_validate(facts)


names = st.lists(
    st.lists(st.sampled_from("abc012"), min_size=1, max_size=3).map(".".join),
    unique=True,
    max_size=8,
)
sizes = st.sampled_from([(2, 3), (3, 3)])
modules_there = st.builds(
    lambda known, drawn: dict(zip(known, drawn, strict=False)), names, st.lists(sizes, min_size=8)
)


@given(modules_there, modules_there)
def test_assignments_are_of_one_size_and_one_to_one(
    wanted: dict[str, tuple[int, int]], there: dict[str, tuple[int, int]]
) -> None:
    found = assignment(wanted, there)
    assert len(set(found.values())) == len(found)
    assert all(wanted[name] == there[now] for name, now in found.items())
    for name in wanted.keys() & there.keys():
        if wanted[name] == there[name]:
            assert found[name] == name
    assert assignment(wanted, wanted) == {name: name for name in wanted}
