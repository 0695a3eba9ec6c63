"""A population's figures and report are its table's, and it tells of itself in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import fedfm_sim as fs
from fedfm_sim.reporting.population import PANELS


@pytest.fixture(scope="module")
def result() -> Any:
    return fs.run("million-clients", overrides=["participants.count=500", "rounds=2"])


def test_lines_are_the_tables_numbers(result: Any) -> None:
    lines = result.plot("shares").get_lines()
    assert len(lines) == len(result.actions)
    for name, line in zip(result.actions, lines, strict=True):
        assert line.get_ydata().tolist() == result.rounds[f"share:{name}"].tolist()
    accuracy = result.plot("outcomes").get_lines()[0]
    assert accuracy.get_ydata().tolist() == result.to_frame()["accuracy"].tolist()
    plt.close("all")
    with pytest.raises(fs.UserError, match="unknown figure 'pie'; expected one of: shares"):
        result.plot("pie")


def test_it_tells_of_itself(result: Any, tmp_path: Path) -> None:
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 1
    assert list(PANELS) == ["shares", "outcomes"]
    assert not list(tmp_path.glob("*.part"))
    text = repr(result)
    assert "500 participants" in text
    assert len(text.splitlines()) == 3
