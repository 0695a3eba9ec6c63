"""The one way out of the command: whatever goes wrong is one line and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedfm_sim.cli import entry, main
from fedfm_sim.cli.interrupts import INTERRUPTS, Interrupts
from fedfm_sim.cli.shared import Bar
from fedfm_sim.core.errors import UserError


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Put back what the command changes in its process, which ends after it."""
    handler, hook, shown = signal.getsignal(signal.SIGINT), sys.unraisablehook, warnings.showwarning
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    yield
    signal.signal(signal.SIGINT, handler)
    sys.unraisablehook, warnings.showwarning = hook, shown
    INTERRUPTS.seen = False
    INTERRUPTS.end_work()


Ended = tuple[int, str, str]


@pytest.fixture
def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    """Return what runs the command, and gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["fedfm-sim", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return int(str(caught.value.code or 0)), said.out, said.err

    return run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["rum"], "no such command 'rum' (did you mean 'run'?); expected one of: run, compare"),
        (["run", "quickstart", "--sede", "3"],
         "run: no such option --sede (did you mean '--seed'?); expected one of: --seed, --out"),
        (["run"], "run: missing argument 'name'; see fedfm-sim run --help"),
        (["audit", "vcg", "--seed", "x"], "audit: invalid value for '--seed': "),
        (["audit", "vcg", "--seed", "-1"], "audit: invalid value for '--seed': "),
        (["audit", "vgc"], "unknown mechanism 'vgc' (did you mean 'vcg'?); expected one of: "),
        (["audit", "vcg", "--population", "identica"], "unknown population 'identica' (did you"),
        (["watermark", "embde"],
         "watermark: no such command 'embde' (did you mean 'embed'?); expected one of: embed, "),
        (["watermark", "verify", "x", "--kee", "y"], "watermark verify: no such option --kee "),
        (["run", "quikstart"], "quikstart: no such scenario (did you mean 'quickstart'?); expec"),
        (["run", "x" * 5000], f"{'x' * 200}... (5000 characters): no such scenario (File name"),
        (["run", "."], ".: a folder, not a scenario; expected a TOML file or one of: "),
        (["explain", "kruum"], "nothing is called 'kruum' (did you mean 'krum'?); expected a na"),
        (["compare", "quickstart", "--over", "round=1,2"], "--over round=1: round: unknown key "),
        (["compare", "quickstart", "--over", "rounds=1,1"], "--over: expected different values"),
        (["equilibrium", "backdoor-undefended", "--attacks", "backdor"],
         "attack 'backdor': unknown action 'backdor' (did you mean 'backdoor'?)"),
        (["equilibrium", "backdoor-undefended", "--attacks", "a,,b"], "--attacks a,,b: expected"),
        (["design", "backdoor-deterrence", "--objective", "budgt"],
         "unknown objective 'budgt' (did you mean 'budget'?); expected one of: budget"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_was_meant(
    arguments: list[str], line: str, ended: Callable[..., Ended], tmp_path: Path
) -> None:
    code, out, err = ended(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"fedfm-sim: {line}")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing was begun


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("two\nlines"), 2, "two lines"),
        (KeyError("weight"), 1, "unexpected KeyError: 'weight'; please report this"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (OSError(28, "No space left on device"), 1, "input or output: No space left on device"),
        (MemoryError(), 1, "out of memory: fewer participants"),
        (RecursionError("too deep"), 1, "unexpected RecursionError: too deep"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_no_error_shows_a_traceback(
    error: BaseException,
    code: int,
    line: str,
    ended: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> int:
        raise error

    monkeypatch.setattr(entry, "_called", fails)
    assert ended()[0] == code
    _, out, err = ended()
    assert out == ""
    assert err.startswith(f"fedfm-sim: {line}")
    assert err.count("\n") == 1


def test_who_wants_a_traceback_gets_one(
    ended: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> int:
        raise KeyError("weight")

    monkeypatch.setattr(entry, "_called", fails)
    monkeypatch.setenv(entry.TRACEBACK, "1")
    code, _, err = ended()
    assert code == 1
    assert "in fails" in err


def test_what_a_library_makes_of_an_interrupt_is_an_interrupt(
    ended: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallows() -> int:
        with Bar("rounds", "go on with --resume"):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise KeyError("weight") from None
        return 0

    monkeypatch.setattr(entry, "_called", swallows)
    code, _, err = ended()
    assert code == 130
    assert err.splitlines()[0] == "interrupted; go on with --resume"
    assert "KeyError" not in err


def test_an_interrupt_that_was_swallowed_stops_the_next_step() -> None:
    own = Interrupts()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    own.watch()
    own.begin_work()
    own.check()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        own.check()


def test_interrupts_that_are_ignored_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Interrupts().watch()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_interrupt_in_a_finaliser_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Ending:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    own = Interrupts()
    own.watch()
    ending: Any = Ending()
    del ending
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("moment", ["before the commands", "while they load"])
def test_before_work_begins_an_interrupt_ends_the_process_at_once(moment: str) -> None:
    """In a process of its own, which interrupts itself at a known place."""
    place = {
        "before the commands": "import fedfm_sim; signal.raise_signal(2)",
        "while they load": (
            "sys.modules['fedfm_sim.cli.commands'] = None\n"
            "import fedfm_sim.cli.entry as entry\n"
            "entry._quieten = lambda: signal.raise_signal(2)\n"
            "entry.main()"
        ),
    }[moment]
    code = f"import signal, sys; sys.argv = ['bin/fedfm-sim']\n{place}\nprint('went on')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr.strip() in ("", "interrupted")
    assert done.stdout == ""


def test_the_version_and_the_help_need_no_command(ended: Callable[..., Ended]) -> None:
    code, out, _ = ended("--version")
    assert (code, out.split()[0]) == (0, "fedfm-sim")
    for arguments in ([], ["--help"], ["watermark"]):
        code, out, err = ended(*arguments)
        assert (code, err) == (0, "")
        assert "Commands:" in out
        assert "..." not in out.replace("[ARGS]...", "")  # no line is cut


def test_brackets_in_the_help_are_not_taken_for_colours(ended: Callable[..., Ended]) -> None:
    assert "a table [game]" in " ".join(ended("equilibrium", "--help")[1].split())


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m fedfm_sim domains | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True,
                          env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    assert done.stdout.startswith("domain")
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
