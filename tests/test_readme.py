"""The README's examples are run as they stand, and it stays short."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedfm_sim import cli
from fedfm_sim.scenarios.loader import parse_scenario

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
((_, SHELL), (_, PYTHON)) = re.findall(r"<!-- run -->\n```(sh|python)\n(.*?)```", TEXT, re.DOTALL)


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a new one takes seconds to begin, and tests/cli tries one."""
    (command,) = entry_points(group="console_scripts", name="fedfm-sim")
    assert command.load() is cli.main
    monkeypatch.chdir(tmp_path)
    for line in SHELL.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "fedfm-sim"
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 0, (line, done.output, done.exception)
        assert done.stdout, line
    assert (tmp_path / "runs/readme/report.html").exists()


def test_the_library_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    exec(compile(PYTHON, str(README), "exec"), {"__name__": "__main__"})


def test_the_readme_stays_short() -> None:
    assert len(TEXT.splitlines()) < 150


def test_its_scenario_is_valid() -> None:
    (scenario,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert parse_scenario(tomllib.loads(scenario), "README").defence.build()
