"""The one place that names, writes and reads the files of a run's folder.

Files are written whole or not at all. Summary, tables, state and history carry the identity of
the run that made them, and those of another run are never read. A folder is begun once, by a run
that has it for itself.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, from_numpy

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import PART, whole, write_text
from fedfm_sim.experiments.reported import REPORT
from fedfm_sim.learning.adapter_files import load_adapter, save_adapter
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.unlearning.request import PastRound
from fedfm_sim.simulation.state import State, load_state, save_state

#: Of the files' format; a folder of another version is not read.
VERSION = 1

LOCK = "scenario.lock.toml"
SUMMARY = "summary.json"
STATE = "state.safetensors"
HISTORY = "history"
ADAPTER = "adapter"
UNLEARNED = "unlearned.json"
VERIFICATION = "verification"
WITHOUT = "without-"
IN_USE = ".in-use"

#: Tables that a run writes after every round, and those that it ends with.
ROUND_TABLES = ("rounds", "participants", "deviations")
TABLES = (*ROUND_TABLES, "journal", "departure", "shares", "cells")

_METADATA = b"fedfm-sim"


def identity_of(scenario: Scenario, seed: int, *more: object) -> str:
    """Return 128 bits, in hexadecimal, that name a run: its lock file, and what else is given.

    Files that the lock names (a backbone's folder, a table) are told by path, not by content.
    """
    text = "\n".join([f"version {VERSION}", to_toml(scenario, seed), *map(repr, more)])
    return blake2b(text.encode(), digest_size=16).hexdigest()


class RunFolder:
    """A folder with one run, finished or not.

    Parameters
    ----------
    path : Path
    identity : str
        Of the run, by `identity_of`.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self._in_use = FileLock(path / IN_USE)

    @classmethod
    def begin(
        cls, path: str | Path, scenario: Scenario, seed: int, *more: object, resume: bool = False
    ) -> Self:
        """Take a folder for a run, and have it for oneself until `close`.

        What another run left there goes, and so does what this run left unless it is to be
        resumed.

        Raises
        ------
        UserError
            When it can't be written, or another run is writing there.
        """
        own = cls(Path(path), identity_of(scenario, seed, *more))
        try:
            own.path.mkdir(parents=True, exist_ok=True)
            own._in_use.acquire(timeout=0)
            if not (resume and own.holds_this_run):
                own.clear()
                write_text(own.path / LOCK, to_toml(scenario, seed))
            if not own.is_finished:
                # What an interrupted run said of itself holds no longer once it goes on.
                own._write_json(SUMMARY, {"status": "begun"})
        except Timeout:
            raise UserError(f"--out {path}: another run is writing there") from None
        except OSError as error:
            own.close()
            raise UserError(f"--out {path}: can't be written: {error.strerror}") from error
        return own

    @classmethod
    def existing(cls, path: str | Path) -> Self:
        """Return the folder of a run that was begun.

        Raises
        ------
        UserError
            When there is none, or of another version.
        """
        stored = _summary(Path(path))
        return cls(Path(path), str(stored["identity"]))

    def close(self) -> None:
        """Let others write here."""
        self._in_use.release()

    def clear(self) -> None:
        """Remove what a run leaves, finished or not; files of other names stay."""
        files = [LOCK, SUMMARY, REPORT, STATE, UNLEARNED, *(f"{name}.parquet" for name in TABLES)]
        for name in files:
            (self.path / name).unlink(missing_ok=True)
            (self.path / f"{name}{PART}").unlink(missing_ok=True)
        unlearned = re.compile(rf"{WITHOUT}[0-9-]+({re.escape(PART)})?")
        taken = [path for path in self.path.iterdir() if unlearned.fullmatch(path.name)]
        for folder in (self.path / HISTORY, self.path / ADAPTER, *taken):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def holds_this_run(self) -> bool:
        """Whether what is there was made by the run of this identity."""
        try:
            return str(_summary(self.path)["identity"]) == self.identity
        except UserError:
            return False

    @property
    def is_finished(self) -> bool:
        """Whether the run of this identity came to its end here."""
        return self.holds_this_run and self.summary()["status"] == "finished"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.path / LOCK

    @property
    def report(self) -> Path:
        """Where the report is."""
        return self.path / REPORT

    @property
    def about(self) -> dict[str, Any]:
        """What every file says of itself."""
        return {"version": VERSION, "identity": self.identity}

    def summary(self) -> dict[str, Any]:
        """Return the summary that was written."""
        return {key: value for key, value in _summary(self.path).items() if key not in self.about}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: last of all, as it says that the run is finished."""
        self._write_json(SUMMARY, summary)

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        text = json.dumps({**values, **self.about}, indent=2, allow_nan=False)
        write_text(self.path / name, text + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write one of `TABLES`, without its index."""
        made = pa.Table.from_pandas(table, preserve_index=False)
        metadata = {**(made.schema.metadata or {}), _METADATA: json.dumps(self.about).encode()}
        with whole(self.path / f"{name}.parquet") as part:
            pq.write_table(made.replace_schema_metadata(metadata), part)

    def read_table(self, name: str) -> pd.DataFrame:
        """Read one of `TABLES`.

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
        if json.loads((made.schema.metadata or {}).get(_METADATA, b"{}")) != self.about:
            raise UserError(f"{path}: of another run than {self.path / SUMMARY}")
        table: pd.DataFrame = made.to_pandas()
        return table

    def write_round(self, tables: Mapping[str, pd.DataFrame], state: State | None) -> None:
        """Keep what is there after a round; the state last, as the run goes on from it."""
        for name, table in tables.items():
            self.write_table(name, table)
        if state is not None:
            save_state(state, self.path / STATE, self.about)

    def state(self) -> State | None:
        """Return the state after the last whole round that was kept, if any was."""
        return load_state(self.path / STATE, self.about)

    def write_history(self, number: int, past: PastRound) -> None:
        """Keep what was aggregated in round ``number``, from 1."""
        (self.path / HISTORY).mkdir(exist_ok=True)
        tensors = {
            "reference": past.reference.clone(),
            "updates": past.updates,
            "members": from_numpy(past.members),
            "weights": from_numpy(np.asarray(past.weights, dtype=np.float64)),
        }
        with whole(self.path / HISTORY / f"round-{number:05d}.safetensors") as part:
            save_file(tensors, part, metadata={"about": json.dumps(self.about)})

    @property
    def has_updates(self) -> bool:
        """Whether what was aggregated is kept of every round of the finished run."""
        kept = len(list((self.path / HISTORY).glob("round-*.safetensors")))
        return 0 < kept == self.summary().get("rounds")

    def history(self, rounds: int | None = None) -> tuple[PastRound, ...]:
        """Return the rounds that were kept, or the first so many of them.

        Raises
        ------
        UserError
            When a file is damaged, or of another run.
        """
        paths = sorted((self.path / HISTORY).glob("round-*.safetensors"))
        return tuple(self._past_round(path) for path in paths[:rounds])

    def _past_round(self, path: Path) -> PastRound:
        try:
            with safe_open(path, framework="pt") as stored:
                about = json.loads((stored.metadata() or {}).get("about", "{}"))
                held = {name: stored.get_tensor(name) for name in PastRound.__dataclass_fields__}
        except (OSError, SafetensorError, ValueError) as error:
            raise UserError(f"{path}: not a round of kept updates ({error})") from error
        if about != self.about:
            raise UserError(f"{path}: of another run than {self.path / SUMMARY}")
        arrays = held["members"].numpy(), held["weights"].numpy()
        return PastRound(held["reference"], held["updates"], *arrays)

    def write_adapter(self, adapter: Tensor, layout: AdapterLayout, base: str) -> None:
        """Write the final adapter (P,), in peft's format."""
        save_adapter(self.path / ADAPTER, adapter, layout, base)

    def adapter(self, layout: AdapterLayout, gone: Sequence[int] = ()) -> Tensor:
        """Return the final adapter (P,), or that without some participants."""
        folder = self.path / without(gone) if gone else self.path
        return load_adapter(folder / ADAPTER, layout)

    def unlearned(self) -> list[dict[str, Any]]:
        """Return which participants were taken out since, in order: ``client`` and ``method``.

        Raises
        ------
        UserError
            When the list is damaged, or of another run.
        """
        path = self.path / UNLEARNED
        if not path.exists():
            return []
        try:
            stored = json.loads(path.read_text())
            entries = [{"client": int(e["client"]), "method": e["method"]} for e in stored["gone"]]
            about = {key: stored[key] for key in self.about}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a list of unlearned participants") from error
        if about != self.about:
            raise UserError(f"{path}: of another run than {self.path / SUMMARY}")
        return entries

    def write_unlearned(
        self,
        entry: Mapping[str, Any],
        adapter: Tensor,
        layout: AdapterLayout,
        base: str,
        verification: pd.DataFrame,
    ) -> Path:
        """Add a participant to those taken out, with the adapter that is left; return where.

        Everything is written under another name first, so that a crash leaves the run as it was.
        """
        entries = [*self.unlearned(), dict(entry)]
        target = self.path / without([int(own["client"]) for own in entries])
        part = target.with_name(target.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        save_adapter(part / ADAPTER, adapter, layout, base)
        verification.to_parquet(part / f"{VERIFICATION}.parquet", index=False)
        shutil.rmtree(target, ignore_errors=True)  # of a crash before the list was written
        part.replace(target)
        self._write_json(UNLEARNED, {"gone": entries})
        return target


def refuse_another(path: Path, scenario: Scenario, seed: int) -> None:
    """Refuse to go on with a run in a folder that holds another one, which would be cleared.

    Raises
    ------
    UserError
        When the settings, the seed or the version of what is there differ.
    """
    own = RunFolder(path, identity_of(scenario, seed))
    if own.lock.is_file() and not own.holds_this_run:
        raise UserError(
            f"--resume: {path} holds a run of other settings, seed or version; "
            "expected the same, or another --out"
        )


def without(gone: Sequence[int]) -> str:
    """Return the name of the folder with the adapter that some participants were taken out of."""
    return WITHOUT + "-".join(map(str, gone))


def _summary(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or "identity" not in stored:
            raise UserError("written by an earlier version, or something else")
        if stored["version"] != VERSION:
            raise UserError(f"of version {stored['version']}, expected {VERSION}")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: no folder of a run ({SUMMARY}: {error})") from error
    return stored
