"""``fedfm-sim audit``, and the result behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner

from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.mechanism_audit import audit


def test_the_command_writes_and_prints_the_report(tmp_path: Path) -> None:
    arguments = ["audit", "lowest-price", "--participants", "2", "--instances", "2", "--seed", "3"]
    shown = CliRunner().invoke(
        app, [*arguments, "--set", "winners=1", "--out", str(tmp_path)], env={"COLUMNS": "200"}
    )
    assert shown.exit_code == 0, shown.output
    assert "incentive compatibility" in shown.output
    facts = json.loads((tmp_path / "audit.json").read_text())
    assert facts["mechanism"] == {"name": "lowest-price", "winners": 1, "reserve": 0.1}
    assert facts["population"]["participants"] == 2
    frame = pd.read_parquet(tmp_path / "audit.parquet")
    assert list(frame.index) == [row["property"] for row in facts["findings"]]
    assert frame["worst"].isna().sum() == 1
    assert (tmp_path / "audit.png").stat().st_size > 10_000
    again = CliRunner().invoke(
        app, [*arguments, "--set", "winners=1", "--out", str(tmp_path), "--json"]
    )
    assert json.loads(again.stdout) == facts


def test_the_command_refuses_what_is_no_parameter() -> None:
    for bad in ("winners", "=3", "winners=0"):
        result = CliRunner().invoke(
            app, ["audit", "lowest-price", "--instances", "1", "--set", bad]
        )
        assert isinstance(result.exception, UserError)


def test_the_result_tells_of_itself(tmp_path: Path) -> None:
    made = audit("lowest-price", participants=2, instances=2, parameters={"winners": 1})
    assert made.to_frame()["verdict"].tolist() == [row["verdict"] for row in made.rows()]
    assert len(made.plot("audit").axes[0].get_yticklabels()) == len(made.rows())
    assert made.report(tmp_path / "page.html").read_text().count("base64,") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    lines = repr(made).splitlines()
    assert lines[0] == "MechanismAudit: lowest-price on 2 instances (lognormal-costs), seed 0"
    assert len(lines) <= 4
