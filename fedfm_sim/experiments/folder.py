"""The one place that names, writes and reads the files of a run's folder.

Files are written whole or not at all. Summary, tables, state and history carry the identity of
the run that made them, and those of another run are never read. Who writes has the folder for
itself. What stands in the place of a run's files and is no run's is never removed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import pandas as pd
from filelock import FileLock, Timeout
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import PART, cannot_write, made_folder, write_text
from fedfm_sim.experiments.identity import VERSION, identity_of
from fedfm_sim.experiments.owned_files import OwnedFiles
from fedfm_sim.experiments.reported import REPORT
from fedfm_sim.learning.adapter_files import load_adapter, save_adapter
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.lora_files import CONFIG, WEIGHTS
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.security.unlearning.past_round import PastRound
from fedfm_sim.simulation.state import State, load_state, save_state

LOCK = "scenario.lock.toml"
SUMMARY = "summary.json"
STATE = "state.safetensors"
HISTORY = "history"
ADAPTER = "adapter"
UNLEARNED = "unlearned.json"
VERIFICATION = "verification"
WITHOUT = "without-"
IN_USE = ".in-use"

#: The status of a run that was stopped before it wrote its result.
BEGUN = "begun"

#: Tables that a run writes after every round, and those that it ends with.
ROUND_TABLES = ("rounds", "participants", "deviations")
TABLES = (*ROUND_TABLES, "journal", "departure", "shares", "cells")


#: All files that a run leaves in its folder, and what is unlearned from it, as patterns.
_WEIGHTS = [f"{ADAPTER}/{CONFIG}", f"{ADAPTER}/{WEIGHTS}"]
_FILES = (
    *(LOCK, SUMMARY, REPORT, STATE, UNLEARNED, *(f"{name}.parquet" for name in TABLES)),
    *(f"{HISTORY}/round-*.safetensors", *_WEIGHTS),
    *(f"{WITHOUT}[0-9]*/{name}" for name in (*_WEIGHTS, f"{VERIFICATION}.parquet")),
)

#: The folders that these lie in.
_FOLDERS = re.compile(rf"{HISTORY}|{ADAPTER}|{WITHOUT}[0-9-]+(by-[\w.-]+?)?({re.escape(PART)})?")


class RunFolder(OwnedFiles):
    """A folder with one run, finished or not.

    Parameters
    ----------
    path : Path
    identity : str
        Of the run, by `identity_of`.
    """

    def __init__(self, path: Path, identity: str) -> None:
        super().__init__(path, identity)
        self._in_use = FileLock(path / IN_USE)

    @classmethod
    def of(cls, path: str | Path, scenario: Scenario, seed: int, *more: object) -> Self:
        """Take a folder for a run, and have it for oneself until `close`; nothing is changed.

        Raises
        ------
        UserError
            When it can't be written, another command is writing there, what the run would
            write over was written by none, or the run reads files of its own from there.
        """
        folder = made_folder(path)
        if any(folder.resolve() == own.resolve() for own in scenario.files):
            raise UserError(f"--out {path}: the run reads it; expected another folder")
        own = cls(folder, identity_of(scenario, seed, *more))
        own._take()
        try:
            own._check_free()
        except BaseException:
            own.close()
            raise
        return own

    def begin(self, scenario: Scenario, seed: int, resume: bool = False) -> None:
        """Make place for the run.

        What another run left goes, and so does what this run left unless it is to be resumed.

        Raises
        ------
        UserError
            When it can't be written.
        """
        kept = resume and self.holds_this_run and self.lock.is_file()
        try:
            # From here on what is there is this run's, and is not finished until it says so.
            self.write_json(SUMMARY, {"status": BEGUN})
            if not kept:
                self._clear()
                write_text(self.lock, to_toml(scenario, seed))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    @classmethod
    def existing(cls, path: str | Path, alone: bool = False) -> Self:
        """Return the folder of a run that was begun; ``alone``, for oneself until `close`.

        Raises
        ------
        UserError
            When there is none, or of another version, or it is in use.
        """
        own = cls(Path(path), str(_summary(Path(path))["identity"]))
        if alone:
            own._take()
        return own

    def _take(self) -> None:
        try:
            self._in_use.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path}: another command is writing there") from None
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Let others write here."""
        self._in_use.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_free(self) -> None:
        """Refuse a folder in which files that no run wrote have the names of a run's."""
        others = self._of_no_run()
        if others:
            raise UserError(
                f"--out {self.path}: holds '{others[0]}', which no run wrote that this version "
                "knows of; expected another folder, or that it is moved away"
            )

    def _of_no_run(self) -> list[str]:
        """Return the names of files that are in a run's way and that no run wrote."""
        others = [own.name for own in (self.path / HISTORY, self.path / ADAPTER) if own.is_file()]
        if not _is_a_run(self.path):
            others += [own.name for own in self._left() if not own.name.endswith(PART)]
        return others

    def _clear(self) -> None:
        """Remove what a run leaves but for the summary; files of other names stay.

        The lock file goes first and is written last: where it is, the rest is whole.
        """
        self.lock.unlink(missing_ok=True)
        for path in self._left():
            if path.name != SUMMARY:
                path.unlink()
        for path in sorted(self.path.glob("*/"), reverse=True):
            for folder in (path / ADAPTER, path):
                if folder.is_dir() and _FOLDERS.fullmatch(path.name) and not any(folder.iterdir()):
                    folder.rmdir()

    def _left(self) -> list[Path]:
        """Return the files that are there under the names that a run writes, in part or whole."""
        names = (f"{name}{end}" for name in _FILES for end in ("", PART))
        found = (path for name in names for path in self.path.glob(name))
        return [path for path in found if path.is_symlink() or not path.is_dir()]

    @property
    def holds_this_run(self) -> bool:
        """Whether what is there was made by the run of this identity."""
        try:
            return str(_summary(self.path)["identity"]) == self.identity
        except UserError:
            return False

    @property
    def holds_another_run(self) -> bool:
        """Whether what is there was made by a run of another identity."""
        return _is_a_run(self.path) and not self.holds_this_run

    @property
    def is_free(self) -> bool:
        """Whether the run can be made here without that anything else goes."""
        taken = self.holds_another_run or self._of_no_run()
        return not (taken or self.path.is_file())

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

    def summary(self) -> dict[str, Any]:
        """Return the summary that was written."""
        told = {*self.about, LOCK}
        return {key: value for key, value in _summary(self.path).items() if key not in told}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: last of all, as it says that the run is finished."""
        self.write_json(SUMMARY, {**summary, LOCK: self._lock_digest()})

    def _lock_digest(self) -> str:
        return blake2b(self.lock.read_bytes(), digest_size=16).hexdigest()

    def check_lock(self) -> None:
        """Refuse a finished run whose lock file is another one than when it was finished.

        Raises
        ------
        UserError
            When the lock file was edited or is missing.
        """
        try:
            same = _summary(self.path).get(LOCK) == self._lock_digest()
        except OSError:
            same = False
        if not same:
            raise UserError(f"{self.lock}: not as the run left it; copy it before you edit it")

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
        past.save(self.path / HISTORY / f"round-{number:05d}.safetensors", self.about)

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
        return tuple(PastRound.load(path, self.about) for path in paths[:rounds])

    def write_adapter(self, adapter: Tensor, layout: AdapterLayout, backbone: Backbone) -> None:
        """Write the final adapter (P,), in peft's format."""
        save_adapter(self.path / ADAPTER, adapter, layout, backbone.address, backbone.model)

    def adapter(self, layout: AdapterLayout, gone: Sequence[int] = ()) -> Tensor:
        """Return the final adapter (P,), or that without some participants."""
        folder = self.path / without(gone) if gone else self.path
        return load_adapter(folder / ADAPTER, layout)

    def write_without(
        self,
        gone: Sequence[int],
        adapter: Tensor,
        layout: AdapterLayout,
        backbone: Backbone,
        verification: pd.DataFrame,
        method: str = "",
    ) -> Path:
        """Write the adapter (P,) that is left without some participants; return its folder.

        ``method`` tells it from what another method left without the same.
        Everything is written under another name first, so that a crash leaves the run as it was.
        """
        target = self.path / without(gone, method)
        part = target.with_name(target.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        save_adapter(part / ADAPTER, adapter, layout, backbone.address, backbone.model)
        self._write_table(part / f"{VERIFICATION}.parquet", verification)
        shutil.rmtree(target, ignore_errors=True)  # of a crash before it was listed
        part.replace(target)
        return target


def refuse_another(path: Path, scenario: Scenario, seed: int) -> None:
    """Refuse to go on with a run in a folder that holds another one, which would be cleared.

    Raises
    ------
    UserError
        When the settings, the seed, the files or the version of what is there differ.
    """
    if RunFolder(path, identity_of(scenario, seed)).holds_another_run:
        raise UserError(
            f"--resume: {path} holds a run of other settings, seed, files or version; "
            "expected the same, or another --out"
        )


def without(gone: Sequence[int], method: str = "") -> str:
    """Return the name of the folder with the adapter that some participants were taken out of.

    With a ``method``, the last of them by another one than that after which the run went on.
    """
    return WITHOUT + "-".join(map(str, gone)) + (f"-by-{method}" if method else "")


def _is_a_run(path: Path) -> bool:
    try:
        _summary(path)
    except UserError:
        return False
    return True


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
