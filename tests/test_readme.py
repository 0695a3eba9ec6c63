"""The README's examples are run as they stand, and it stays short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fedfm_sim.scenarios.loader import parse_scenario

README = Path(__file__).parents[1] / "README.md"
RUN = re.compile(r"<!-- run -->\n```(sh|python)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("example", RUN.findall(README.read_text()), ids=lambda e: str(e[0]))
def test_an_example_runs(example: tuple[str, str], tmp_path: Path) -> None:
    language, code = example
    shell = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shell, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    if language == "sh":
        assert (tmp_path / "runs/readme/report.html").exists()


def test_the_readme_has_runnable_examples_and_stays_short() -> None:
    assert len(RUN.findall(README.read_text())) == 2
    assert len(README.read_text().splitlines()) < 150


def test_its_scenario_is_valid() -> None:
    (scenario,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    assert parse_scenario(tomllib.loads(scenario), "README").build_defence()
