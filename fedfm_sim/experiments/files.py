"""Results written whole or not at all: to another name first, then moved."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table, without its index."""
    part = path.with_name(path.name + ".part")
    table.to_parquet(part, index=False)
    part.replace(path)
