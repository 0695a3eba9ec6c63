"""Files that say which run they are of, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import whole, write_text
from fedfm_sim.experiments.identity import VERSION

#: Where a table's identity stands in the metadata of its file.
_METADATA = b"fedfm-sim"


class OwnedFiles:
    """Tables and plain values of one run in a folder; those of another are never read.

    Parameters
    ----------
    path : Path
    identity : str
        Of the run, by `identity_of`.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    @property
    def about(self) -> dict[str, Any]:
        """What every file says of itself."""
        return {"version": VERSION, "identity": self.identity}

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write plain values into a file of that name."""
        text = json.dumps({**values, **self.about}, indent=2, allow_nan=False)
        write_text(self.path / name, text + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read plain values; none where there is no such file.

        Raises
        ------
        UserError
            When the file is damaged, or of another run.
        """
        path = self.path / name
        if not path.exists():
            return {}
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            about = {key: stored.pop(key) for key in self.about}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: can't be read ({error!r})") from error
        self._check(about, path)
        return stored

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table, without its index."""
        self._write_table(self.path / f"{name}.parquet", table)

    def _write_table(self, path: Path, table: pd.DataFrame) -> None:
        made = pa.Table.from_pandas(table, preserve_index=False)
        metadata = {**(made.schema.metadata or {}), _METADATA: json.dumps(self.about).encode()}
        with whole(path) as part:
            pq.write_table(made.replace_schema_metadata(metadata), part)

    def read_table(self, name: str) -> pd.DataFrame:
        """Read a table.

        Raises
        ------
        UserError
            When it is missing, damaged, or of another run.
        """
        path = self.path / f"{name}.parquet"
        try:
            made = pq.read_table(path)
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: no table can be read ({reason})") from error
        self._check(json.loads((made.schema.metadata or {}).get(_METADATA, b"{}")), path)
        table: pd.DataFrame = made.to_pandas()
        return table

    def _check(self, about: Mapping[str, Any], path: Path) -> None:
        if about != self.about:
            raise UserError(f"{path}: of another run than the rest of its folder")
