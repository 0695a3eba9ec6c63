"""Whether what is stated is true, held against independent answers: ``python benchmarks/truth.py``.

Four parts, each a script of its own beside this one: how often intervals cover, how often
foreign keys claim a model, the privacy stated against what is composed event by event, and
equilibria against pygambit (where it is installed; else against an enumeration in rationals).
Two parts at a time; under twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

#: By name: the script, and what it is told. The longest first.
PARTS: dict[str, list[str]] = {
    "claims": ["truth_claims.py"],
    "intervals": ["truth_intervals.py"],
    "equilibria": ["truth_equilibria.py"],
    "privacy": ["truth_privacy.py"],
}


def made(name: str) -> tuple[int, str]:
    """Run a part, and return its exit code and what it printed."""
    script, *arguments = PARTS[name]
    started = perf_counter()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
    )
    return done.returncode, f"{done.stdout}{name}: {perf_counter() - started:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"unknown part '{unknown[0]}'; expected some of: {', '.join(PARTS)}")
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(made, chosen)
        codes = []
        for code, text in results:
            print(text, flush=True)
            codes.append(code)
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
