"""Workers end with the process that they work for, and leave interrupts to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedfm_sim.core.workers import interrupts_ignored

#: A parent that starts a worker of endless work, tells its number, and waits.
PARENT = """
import multiprocessing, os, time
from fedfm_sim.core.workers import end_with

def work(parent):
    end_with(parent)
    print(os.getpid(), flush=True)
    while True:
        sum(range(1000))

if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),)).start()
    time.sleep(60)
"""


def running(number: int) -> bool:
    try:
        text = Path(f"/proc/{number}/stat").read_text()
        return text.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert running(worker)
    parent.send_signal(how)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(worker)


def test_what_is_started_in_the_block_gets_no_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    code = "import signal; signal.raise_signal(signal.SIGINT); print('went on')"
    with interrupts_ignored():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        signal.raise_signal(signal.SIGINT)
    assert inside.stdout == "went on\n"
    assert signal.getsignal(signal.SIGINT) == before
