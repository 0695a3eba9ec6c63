"""``fedfm-sim unlearn`` on a run's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def refused(*arguments: str | Path) -> str:
    result = call("unlearn", *arguments)
    assert isinstance(result.exception, UserError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two rounds with its updates kept."""
    folder = tmp_path_factory.mktemp("run") / "run"
    done = call(
        "run", "backdoor-undefended", "--set", "rounds=2", "--set", "contribution.every=0",
        "--set", "participants.malicious=1", "--set", "deviations.rounds=0",
        "--keep-updates", "--json", "--out", folder,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def test_participants_go_one_after_the_other(run: Path) -> None:
    before = contents(run)
    first = json.loads(call("unlearn", run, "--client", "9", "--method", "federaser",
                            "--json").stdout)  # fmt: skip
    assert [row["executor"] for row in first["models"]] == ["original", "federaser", "retrain"]
    assert first["models"][2]["distance"] == 0
    assert {name: contents(run)[name] for name in before} == before
    saved = pd.read_parquet(run / "without-9" / "verification.parquet")
    assert saved["accuracy"].tolist() == pytest.approx([r["accuracy"] for r in first["models"]])

    after = contents(run)
    told = refused(run, "--client", "9", "--method", "federaser")
    assert "participant 9 has been unlearned by 'federaser' already" in told
    assert contents(run) == after

    second = call("unlearn", run, "--client", "3", "--method", "fine-tune", "--set", "rounds=1")
    assert second.exit_code == 0, second.output
    assert "without-9-3" in second.stdout
    examples = pd.read_parquet(run / "without-9-3" / "verification.parquet")["examples"]
    assert examples.iloc[2] < saved["examples"].iloc[2]  # retrained without both of them
    gone = json.loads((run / "unlearned.json").read_text())["gone"]
    assert [entry["client"] for entry in gone] == [9, 3]

    # The first one by another method, from the same adapter: to compare, and beside the rest.
    after = contents(run)
    other = call(
        "unlearn", run, "--client", "9", "--method", "fine-tune", "--set", "rounds=1", "--json"
    )
    models = json.loads(other.stdout)["models"]
    assert [models[0], models[2]] == [first["models"][0], first["models"][2]]
    assert {name: contents(run)[name] for name in after} == after
    assert (run / "without-9-by-fine-tune" / "adapter" / "adapter_config.json").is_file()
    told = refused(run, "--client", "9", "--method", "fine-tune")
    assert "by 'fine-tune' already; the outcome is in without-9-by-fine-tune" in told


def test_bad_input_leaves_the_run_as_it_was(run: Path, tmp_path: Path) -> None:
    before = contents(run)
    assert "participant 77 never took part" in refused(
        run, "--client", "77", "--method", "fine-tune"
    )
    assert "unknown unlearning executor" in refused(run, "--client", "1", "--method", "nothing")
    assert "rouns: unknown key" in refused(
        run, "--client", "1", "--method", "fine-tune", "--set", "rouns=1"
    )
    assert "expected key=value" in refused(
        run, "--client", "1", "--method", "fine-tune", "--set", "rounds"
    )
    assert "no folder of a run" in refused(tmp_path, "--client", "1", "--method", "fine-tune")
    assert contents(run) == before


def test_damaged_runs(run: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(run, broken, ignore=shutil.ignore_patterns("without-*", "unlearned.json"))
    file = broken / "history" / "round-00001.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    assert "not a round of kept updates" in refused(
        broken, "--client", "1", "--method", "federaser"
    )
    shutil.rmtree(broken / "history")
    assert "--keep-updates" in refused(broken, "--client", "1", "--method", "federaser")
    adapter = broken / "adapter" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:-50])
    before = contents(broken)
    assert "not a safetensors adapter" in refused(broken, "--client", "1", "--method", "fine-tune")
    assert contents(broken) == before


def test_executors_are_listed() -> None:
    listed = json.loads(call("executors", "--json").stdout)
    assert len(listed) == 10
    assert "kept updates" in listed["federaser"]["needs"]
