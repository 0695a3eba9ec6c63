"""Notebooks run, end in asserts, stay small, and are what their paired script says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def test_there_is_a_notebook() -> None:
    assert [script.stem for script in SCRIPTS][:1] == ["01_quickstart"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_pair_agrees_and_is_small(script: Path) -> None:
    notebook = script.with_suffix(".ipynb")
    assert notebook.stat().st_size < 100 * 1024
    cells = [[c.cell_type, c.source] for c in jupytext.read(notebook).cells]
    assert cells == [[c.cell_type, c.source] for c in jupytext.read(script).cells]
    assert cells[-1][1].splitlines()[-1].startswith("assert")


@pytest.mark.slow  # half a minute each, and more
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_notebook_runs(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
