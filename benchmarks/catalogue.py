"""Play the whole catalogue, and say in which tables two versions of the code differ.

    python benchmarks/catalogue.py play FOLDER            # with one version
    python benchmarks/catalogue.py play OTHER             # with another one
    python benchmarks/catalogue.py compare FOLDER OTHER

What is there already is not played again. The comparison lists every table and column
that is not the same bit for bit, with the largest difference.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd


def play(folder: Path, names: list[str]) -> None:
    import fedfm_sim as fs
    from fedfm_sim.scenarios import catalogue

    for name in names or catalogue():
        if _is_finished(folder / name / "summary.json"):
            continue
        started = time.perf_counter()
        fs.run(name, seed=0, out=folder / name, report=False)
        print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)


def _is_finished(summary: Path) -> bool:
    return summary.is_file() and json.loads(summary.read_text())["status"] == "finished"


def compare(first: Path, second: Path) -> None:
    both = {path.parent.name for path in first.glob("*/summary.json")}
    both &= {path.parent.name for path in second.glob("*/summary.json")}
    for name in sorted(both):
        found = [*summaries(first / name, second / name)]
        for path in sorted((first / name).glob("*.parquet")):
            found += tables(path, second / name / path.name)
        weights = "adapter/adapter_model.safetensors"
        if (first / name / weights).is_file():
            same = (first / name / weights).read_bytes() == (second / name / weights).read_bytes()
            found += [] if same else ["adapter: other bytes"]
        print(f"{name}: {'the same' if not found else ''}")
        print("".join(f"    {line}\n" for line in found), end="", flush=True)


def summaries(first: Path, second: Path) -> list[str]:
    a, b = (json.loads((path / "summary.json").read_text()) for path in (first, second))
    keys = [key for key in dict.fromkeys([*a, *b]) if key not in ("timing", "identity")]
    return [
        f"summary.{key}: {str(a.get(key))[:90]} -> {str(b.get(key))[:90]}"
        for key in keys
        if a.get(key) != b.get(key)
    ]


def tables(first: Path, second: Path) -> list[str]:
    if not second.is_file():
        return [f"{first.name}: gone"]
    a, b = pd.read_parquet(first), pd.read_parquet(second)
    lines = [f"{first.name}: new column {c}" for c in b if c not in a]
    lines += [f"{first.name}: column {c} is gone" for c in a if c not in b]
    if len(a) != len(b):
        return [*lines, f"{first.name}: {len(a)} -> {len(b)} rows"]
    for column in (c for c in a if c in b):
        if a[column].equals(b[column]):
            continue
        try:
            gaps = np.abs(a[column].to_numpy(np.float64) - b[column].to_numpy(np.float64))
            lines.append(f"{first.name}: {column}: at most {np.nanmax(gaps, initial=0):.3g}")
        except (TypeError, ValueError):
            differ = (a[column].astype(str) != b[column].astype(str)).sum()
            lines.append(f"{first.name}: {column}: {differ} of {len(a)} cells")
    return lines


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "play":
        play(Path(rest[0]), rest[1:])
    else:
        compare(Path(rest[0]), Path(rest[1]))
