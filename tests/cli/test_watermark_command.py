"""``fedfm-sim watermark`` on files, as people use it who have no simulation."""

from __future__ import annotations

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from typer.testing import CliRunner, Result

from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapter_files import open_adapter, save_adapter
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["watermark", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """Return the one line that is said of bad input."""
    result = call(*arguments)
    assert isinstance(result.exception, UserError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def adapter(tmp_path: Path, layout: AdapterLayout) -> Path:
    folder = tmp_path / "adapter"
    rng = np.random.default_rng(0)
    row = torch.from_numpy(0.1 * rng.normal(size=layout.size)).float()
    save_adapter(folder, row, layout, "digits-vit")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_copies_are_marked_verified_and_traced(tmp_path: Path, adapter: Path) -> None:
    before = contents(adapter)
    for owner in ("alice", "bob", "carol"):
        key = tmp_path / "keys" / f"{owner}.json"
        done = call("embed", adapter, "--key", key, "--owner", owner, "--out", tmp_path / owner)
        assert done.exit_code == 0, done.output
    assert contents(adapter) == before
    own = call("verify", tmp_path / "bob", "--key", tmp_path / "keys" / "bob.json", "--json")
    assert json.loads(own.stdout) | {"p_value": 0} == {
        "owner": "bob", "hits": 64, "trials": 64, "p_value": 0, "claimants": 1, "stands": True,
        "notes": [],
    }  # fmt: skip
    foreign = call("verify", tmp_path / "bob", "--key", tmp_path / "keys" / "carol.json")
    assert foreign.exit_code == 1
    assert "no proof of ownership" in foreign.stdout
    found = call("trace", tmp_path / "carol", "--keys", tmp_path / "keys", "--json")
    assert json.loads(found.stdout)["accused"] == "carol"
    nobody = call("trace", adapter, "--keys", tmp_path / "keys")
    assert nobody.exit_code == 1
    assert "accused: nobody" in nobody.stdout


def test_a_signed_mark(tmp_path: Path, adapter: Path) -> None:
    pem, key, out = tmp_path / "a.pem", tmp_path / "a.json", tmp_path / "out"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(pem)]
    if shutil.which("openssl") is None or subprocess.run(make, check=False).returncode:
        pytest.skip("no openssl with Ed25519")
    done = call("embed", adapter, "--key", key, "--owner", "a", "--private-key", pem,
                "--out", out, "--json")  # fmt: skip
    public = json.loads(done.stdout)["public_key"]
    assert call("verify", out, "--key", key, "--public-key", public).exit_code == 0
    assert "not registered" in refused("verify", out, "--key", key, "--public-key", "0" * 64)
    key.write_text(key.read_text().replace('"owner": "a"', '"owner": "b"'))
    assert "not for what its statement says" in refused("verify", out, "--key", key)


def test_types_and_other_tensors_are_kept(tmp_path: Path, adapter: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = adapter / "adapter_model.safetensors"
    tensors = {k: v.to(torch.bfloat16) for k, v in load_file(file).items()}
    head = torch.arange(6.0)
    save_file({**tensors, "base_model.model.head.weight": head}, file)
    key, out = tmp_path / "k.json", tmp_path / "out"
    assert call("embed", adapter, "--key", key, "--owner", "a", "--out", out).exit_code == 0
    stored = load_file(out / "adapter_model.safetensors")
    assert torch.equal(stored.pop("base_model.model.head.weight"), head)
    assert {v.dtype for v in stored.values()} == {torch.bfloat16}
    assert call("verify", out, "--key", key).exit_code == 0


def test_rank_stabilised_scaling_is_understood(tmp_path: Path, adapter: Path) -> None:
    config = adapter / "adapter_config.json"
    layout = open_adapter(adapter).layout
    plain, rank = layout.scaling, layout.settings.rank
    config.write_text(config.read_text().replace('"use_rslora": false', '"use_rslora": true'))
    assert open_adapter(adapter).layout.scaling == pytest.approx(plain * rank**0.5)


def test_bad_input_is_named_and_leaves_the_files(tmp_path: Path, adapter: Path) -> None:
    key, out = tmp_path / "k.json", tmp_path / "out"
    assert call("embed", adapter, "--key", key, "--owner", "a", "--out", out).exit_code == 0
    before = contents(tmp_path)
    told = refused("embed", adapter, "--key", tmp_path / "a.key", "--owner", "a", "--out", out)
    assert "a.key: expected a name that ends in .json" in told
    assert "the key exists" in refused(
        "embed", adapter, "--key", key, "--owner", "b", "--out", tmp_path / "new"
    )
    assert "holds files already" in refused("embed", adapter, "--key", key, "--out", out)
    assert "name its --owner" in refused(
        "embed", adapter, "--key", tmp_path / "no.json", "--out", tmp_path / "new"
    )
    too_many = refused("embed", adapter, "--key", tmp_path / "no.json", "--owner", "b",
                       "--bits", "20000", "--out", tmp_path / "new")  # fmt: skip
    assert "do not fit" in too_many
    assert "no such folder" in refused("trace", adapter, "--keys", tmp_path / "none")
    (tmp_path / "new").mkdir(exist_ok=True)
    assert "holds no key" in refused("trace", adapter, "--keys", tmp_path / "new")
    assert "no watermark key" in refused("verify", adapter, "--key", out / "adapter_config.json")
    (tmp_path / "new").rmdir()
    assert contents(tmp_path) == before


def test_what_a_thief_edits_is_a_note(tmp_path: Path, adapter: Path) -> None:
    key, out = tmp_path / "keys" / "k.json", tmp_path / "out"
    assert call("embed", adapter, "--key", key, "--owner", "a", "--out", out).exit_code == 0
    config = out / "adapter_config.json"
    config.write_text(config.read_text().replace('"digits-vit"', '"/another/folder/"'))
    found = json.loads(call("verify", out, "--key", key, "--json").stdout)
    assert found["stands"]
    (note,) = found["notes"]
    assert "'digits-vit', the files say '/another/folder/'" in note
    assert f"note: {note}" in call("verify", out, "--key", key).stdout
    config.unlink()
    traced = json.loads(call("trace", out, "--keys", key.parent, "--json").stdout)
    assert traced["accused"] == "a"
    assert "adapter_config.json can't be read" in traced["notes"][0]
    assert "note: " in call("trace", out, "--keys", key.parent).stdout


def test_a_merged_adapter_needs_its_base(tmp_path: Path, adapter: Path, backbone: Backbone) -> None:
    key, out = tmp_path / "keys" / "k.json", tmp_path / "out"
    assert call("embed", adapter, "--key", key, "--owner", "a", "--out", out).exit_code == 0
    model = PeftModel.from_pretrained(deepcopy(backbone.model), out)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    assert "name the --base" in refused("verify", tmp_path / "merged", "--key", key)
    beside = ["--base", backbone.address]
    assert call("verify", tmp_path / "merged", "--key", key, *beside).exit_code == 0
    assert call("trace", tmp_path / "merged", "--keys", key.parent, *beside).exit_code == 0


def test_names_of_owners_are_printed_as_they_are(tmp_path: Path, adapter: Path) -> None:
    key, out = tmp_path / "keys" / "k.json", tmp_path / "out"
    done = call("embed", adapter, "--key", key, "--owner", "[/x] [EU] Ltd", "--out", out)
    assert "owner [/x] [EU] Ltd" in done.stdout
    assert "accused: [/x] [EU] Ltd" in call("trace", out, "--keys", key.parent).stdout


def test_schemes_are_listed() -> None:
    listed = json.loads(call("schemes", "--json").stdout)
    assert listed["fedsov"]["side"] == "client"
    assert "who leaked" in listed["fedtracker"]["proves"]
    assert all(name in call("schemes").stdout for name in listed)


def test_a_truncated_adapter(tmp_path: Path, adapter: Path) -> None:
    key, out = tmp_path / "k.json", tmp_path / "out"
    assert call("embed", adapter, "--key", key, "--owner", "a", "--out", out).exit_code == 0
    file = out / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    before = contents(out)
    assert "no LoRA adapter in peft's format" in refused("verify", out, "--key", key)
    again = refused("embed", out, "--key", key, "--out", tmp_path / "again")
    assert "no LoRA adapter in peft's format" in again
    assert contents(out) == before
    assert not (tmp_path / "again").exists()
