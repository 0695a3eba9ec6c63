"""Progress: a bar on a terminal and in a notebook, and elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from functools import partial
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from fedfm_sim.core import watched
from fedfm_sim.core.progress import in_time
from fedfm_sim.core.watched import Watched


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "EVERY", 0.02)


def test_where_no_bar_can_be_drawn_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Watched("rounds") as progress:
        progress(2, 10)
        progress(6, 10)
        time.sleep(0.2)
    time.sleep(0.1)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) > 2
    # Four of the eight that were left took no time worth the name.
    assert lines[0].startswith("rounds: 6 of 10 done after 0 s, about 0 s left")
    time.sleep(0.1)
    assert capsys.readouterr().err == ""  # over is over


def test_what_a_resumed_run_had_done_says_nothing_of_its_pace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Watched("rounds") as progress:
        progress(6, 10)
        time.sleep(0.1)
    assert "left" not in capsys.readouterr().err


def test_a_short_task_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "EVERY", 10.0)
    with Watched("rounds") as progress:
        progress(1, 1)
    assert capsys.readouterr().err == ""


def test_a_notebook_gets_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(html: str, display_id: bool) -> SimpleNamespace:
        shown.append(html)
        return SimpleNamespace(update=shown.append)

    module = ModuleType("IPython.display")
    vars(module).update(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(watched, "Console", lambda **_: SimpleNamespace(is_jupyter=True))
    with Watched("rounds") as progress:
        progress(3, 10)
    assert '<progress value="3" max="10"></progress> 3 of 10' in shown[1]
    assert shown[-1] == ""


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        watched, "Console", partial(Console, force_interactive=True, force_terminal=True)
    )
    with Watched("[x] rounds") as progress:
        progress(3, 10)
    assert "[x] rounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7260, "2 h 1 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_time(seconds) == words
