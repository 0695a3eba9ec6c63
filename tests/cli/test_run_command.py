"""The command, as a user meets it: output, exit codes, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from peft import AutoPeftModel, PeftModel
from typer.testing import CliRunner

import fedfm_sim as fs
from fedfm_sim.cli import app, main
from fedfm_sim.learning.backbone import load_backbone

SMALL = ["--set", "rounds=2", "--set", "participants.count=5", "--set", "deviations.rounds=1"]
COMMAND = [sys.executable, "-m", "fedfm_sim"]


def printed(*arguments: str) -> str:
    """Return what a command prints, tried in this process: a new one takes seconds to begin."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_json_is_one_object_and_the_same_bytes_from_the_lock_file(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    one = json.loads(printed("run", "quickstart", "--seed", "7", "--json", *SMALL, *out))
    two = json.loads(printed("run", str(tmp_path / "run/scenario.lock.toml"), "--json"))
    keys = {"accuracy_before", "accuracy_after", "attack_success", "utility_by_kind"}
    assert keys | {"epsilon_star", "money_error", "timing"} <= set(one)
    assert one["money_error"] < 1e-9
    one.pop("timing"), two.pop("timing")
    assert json.dumps(one) == json.dumps(two)
    check_folder(tmp_path / "run")


def test_resume_goes_on_and_takes_what_is_finished(tmp_path: Path) -> None:
    tiny = ["--set", "rounds=1", "--set", "participants.count=3", "--set", "deviations.rounds=0"]
    arguments = ["run", "honest-only", "--json", *tiny, "--out", str(tmp_path), "--resume"]
    whole = printed(*arguments)
    assert printed(*arguments) == whole  # the time that it took included: it was loaded
    summary = tmp_path / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"begun"'))
    again = printed(*arguments)
    assert again != whole
    one, two = ({**json.loads(text), "timing": None} for text in (whole, again))
    assert one == two
    other = CliRunner().invoke(app, [*arguments, "--seed", "1"])
    assert isinstance(other.exception, fs.UserError)
    assert "holds a run of other settings, seed, files or version" in str(other.exception)
    fresh = [one for one in arguments if one != "--resume"]
    refused = CliRunner().invoke(app, [*fresh, "--seed", "1"])
    assert "expected another folder, or --replace" in str(refused.exception)
    assert fs.load(tmp_path).seed == 0
    printed(*fresh, "--seed", "1", "--replace")
    assert fs.load(tmp_path).seed == 1


def check_folder(folder: Path) -> None:
    rounds = pd.read_parquet(folder / "rounds.parquet")
    participants = pd.read_parquet(folder / "participants.parquet")
    assert rounds["round"].tolist() == [1, 2]
    assert len(participants) == 2 * 5
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"
    assert fs.load_scenario(folder / "scenario.lock.toml").rounds == 2
    model = PeftModel.from_pretrained(load_backbone("digits-vit").model, folder / "adapter")
    assert model.peft_config["default"].r == 8
    # The files alone are enough: they say where the base model is, and what it is.
    again = AutoPeftModel.from_pretrained(folder / "adapter")
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert one.equal(two)
    usual = folder / "usual"
    usual.touch()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {usual.stat().st_mode}
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http" not in page.replace("http-equiv", "")
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "quickstart", "--set", "participants.malicous=1"], ["participants.malicous"]),
        (["run", "quickstart", "--set", "mechanism.price=-1"], ["mechanism.price", "-1"]),
        (["run", "missing.toml"], ["missing.toml", "quickstart"]),
        (["run", "quickstart", "--set", "participants.malicious=99"], ["participants", "10"]),
        (["run", "quickstart", "--set", "defence=none"], ["defence.name", "fedavg"]),
        (["run", "quickstart", "--seed", "-1"], ["--seed", "at least 0"]),
        (["run", "quickstart", "--set", "backbone=no/such-model"], ["backbone", "digits-vit"]),
        (["pretrain", "gpt-9"], ["gpt-9", "digits-vit"]),
        (["compare", "quickstart", "--over", "mechanism"], ["--over", "key=value,value"]),
        (["compare", "quickstart", "--over", "mechanism=vgc"], ["unknown mechanism 'vgc'"]),
        (["run", "quickstart", "--set", "mechanisms.vgc.budget=1"], ["mechanisms.vgc", "vgc"]),
    ],
)
def test_a_mistake_ends_with_exit_code_2_and_one_line(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedfm-sim", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    for word in words:
        assert word in line


@pytest.mark.parametrize("command", ["run", "compare", "equilibrium", "design", "audit"])
@pytest.mark.parametrize("below", ["", "run"])
def test_no_work_is_begun_for_a_folder_that_cannot_be(
    command: str, below: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = CliRunner().invoke(app, [command, "nothing", "--out", str(tmp_path / "file" / below)])
    assert isinstance(done.exception, fs.UserError)
    expected = f"{tmp_path / 'file'} is a file; expected a folder, or none yet"
    assert expected in str(done.exception)


def test_a_process_of_its_own_ends_alike_and_loads_no_model_for_the_economics() -> None:
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], "audit", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    *loaded, line = done.stderr.splitlines()
    assert line.startswith("fedfm-sim: unknown mechanism 'nothing'")
    assert not {"torch", "mesa"} & {row.split("|")[-1].strip() for row in loaded}


def test_mechanisms_are_listed_with_what_they_promise() -> None:
    listed = json.loads(printed("mechanisms", "--json"))
    assert listed["reputation-auction"]["truthful"] is True
    assert listed["contribution-share"]["individually_rational"] is False
    table = printed("mechanisms")
    for name, properties in listed.items():
        assert name in table
        assert properties["knows"].split()[0] in table


def test_attacks_and_defences_are_listed_with_what_they_must_know() -> None:
    attacks = json.loads(printed("attacks", "--json"))
    assert attacks["backdoor"]["goal"] == "backdoor"
    defences = json.loads(printed("defences", "--json"))
    assert "f, how many" in defences["krum"]["knowledge"]
    table = printed("defences")
    assert all(name in table for name in defences)


def test_scenarios_are_listed() -> None:
    listed = printed("scenarios")
    for name in ("quickstart", "honest-only", "backdoor-undefended", "backdoor-defended"):
        assert name in listed


@pytest.mark.slow
def test_ctrl_c_leaves_a_readable_partial_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["run", "honest-only", "--set", "rounds=5000", "--set", "contribution.every=0",
                 "--set", "participants.count=3"]  # fmt: skip
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--json", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell starts what runs in the background with interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (folder / "deviations.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    summary = json.loads(stdout)
    assert summary["status"] == "interrupted"
    assert summary["rounds"] == len(pd.read_parquet(folder / "rounds.parquet")) >= 1
    assert summary["money_error"] < 1e-9
    assert "interrupted" in (folder / "report.html").read_text()
