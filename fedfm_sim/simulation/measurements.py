"""Tables of measured federations: how they are trained, kept and checked."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import whole
from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.scenarios.actions import whole_action
from fedfm_sim.scenarios.loader import parse_scenario
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.outcomes import TrainedOutcomes, checked_shares

#: What is measured of each action.
MEASURES = ("success", "detection", "leakage")

#: Sections of a scenario that outcomes at given shares depend on.
FEDERATION = (
    *("backbone", "data", "lora", "training", "defence", "protection", "leakage"),
    *("sanctions", "actions"),
)

_METADATA = b"fedfm-sim"


def bounds(column: str) -> tuple[float, float]:
    """Return between what the numbers of a column lie; leakage, less chance's, has a sign."""
    return (-2.0, 2.0) if column.startswith("leakage:") else (0.0, 1.0)


@dataclass(frozen=True)
class Workload:
    """What a round of the measured federation asks of its participants.

    Attributes
    ----------
    capacity : tuple of float
        Units of work (samples x local epochs) that each participant can do in a round.
    gflops_per_unit : float
        Counted operations of one training example, in 1e9.
    megabytes, gigabytes : float
        Sent and received in a round, and kept, by one who takes part.
    """

    capacity: tuple[float, ...]
    gflops_per_unit: float
    megabytes: float
    gigabytes: float


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured federations, and what they have in common.

    Attributes
    ----------
    actions : tuple of m str
    lock : str
        The lock file of their scenario, at the first seed.
    workload : Workload
    rows : DataFrame
        One row per federation: ``scenario``, ``seed`` and ``digest`` of its lock file name
        the run; ``share:``, ``success:`` and ``detection:`` with each action, and
        ``accuracy``, are numbers in [0, 1], and ``leakage:`` in [-2, 2].

    Raises
    ------
    UserError
        When a column is missing or has another action's name, or a number is out of range.
    """

    actions: tuple[str, ...]
    lock: str
    workload: Workload
    rows: pd.DataFrame

    def __post_init__(self) -> None:
        expected = ["scenario", "seed", "digest", *self.share_columns, *self.outputs]
        if set(self.rows.columns) != set(expected):
            wrong = ", ".join(sorted(set(self.rows.columns) ^ set(expected)))
            raise UserError(f"measured runs: missing or unknown columns: {wrong}")
        if self.rows.empty:
            raise UserError("measured runs: there is none")
        for name in (*self.share_columns, *self.outputs):
            numbers, (low, high) = self.rows[name].to_numpy(np.float64), bounds(name)
            # Written so that NaN fails.
            if not ((numbers >= low) & (numbers <= high)).all():
                raise UserError(f"measured runs: {name} must be numbers in [{low:g}, {high:g}]")
        for shares in self.points:
            checked_shares(shares, self.actions)

    @property
    def share_columns(self) -> list[str]:
        """The columns that hold the shares, in the order of the actions."""
        return [f"share:{name}" for name in self.actions]

    @property
    def outputs(self) -> list[str]:
        """The columns that hold what was measured, by measure and then by action."""
        return [*(f"{measure}:{name}" for measure in MEASURES for name in self.actions), "accuracy"]

    @property
    def points(self) -> Array:
        """The shares of each row (rows, m)."""
        return self.rows[self.share_columns].to_numpy(np.float64)

    def check(self, scenario: Scenario) -> None:
        """Refuse a scenario whose federation is not the one that was measured.

        Raises
        ------
        UserError
            When they differ in model, data, training, defence, attacks or measures.
        """
        content = tomllib.loads(self.lock)
        kept = {key: content[key] for key in FEDERATION if key in content}
        measured = parse_scenario(kept, "the measured runs' lock file")
        ours, theirs = (_federation(one, self.actions) for one in (scenario, measured))
        for key, value in ours.items():
            if value != theirs[key]:
                raise UserError(
                    f"{key}: {value}; expected {theirs[key]}, under which "
                    f"'{scenario.outcomes.table}' was measured"
                )

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [{str(k): v for k, v in row.items()} for row in self.rows.to_dict("records")]

    def save(self, path: str | Path) -> None:
        """Write a Parquet file, whole or not at all."""
        about = {"actions": self.actions, "lock": self.lock, "workload": asdict(self.workload)}
        table = pa.Table.from_pandas(self.rows, preserve_index=False)
        with whole(path) as part:
            pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(about)}), part)

    @classmethod
    def load(cls, path: str | Path) -> Measurements:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            When the file is missing, damaged, or something else.
        """
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[_METADATA])
            work = about["workload"]
            workload = Workload(**work | {"capacity": tuple(work["capacity"])})
            actions, lock = tuple(about["actions"]), about["lock"]
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: no measured runs can be read ({reason})") from error
        return cls(actions, lock, workload, table.to_pandas())


def measure(
    scenario: Scenario,
    actions: Sequence[str],
    design: Sequence[Sequence[float]],
    seeds: Sequence[int],
    path: Path,
    progress: Progress = unwatched,
) -> Measurements:
    """Train a federation for every point of the design and every seed.

    Rows are kept in ``path`` as they are finished, and those of the same scenario that are
    there already are not trained again.

    Parameters
    ----------
    scenario : Scenario
        The federation; its count of participants bounds how finely shares are resolved.
    design : sequence of m shares
    progress : callable
        Called with (federations finished, federations).

    Raises
    ------
    UserError
        When shares or actions do not fit, or ``path`` holds something else.
    """
    lock = to_toml(scenario, seeds[0])
    rows: list[dict[str, Any]] = []
    if path.is_file():
        stored = Measurements.load(path)
        if (stored.lock, stored.actions) != (lock, tuple(actions)):
            raise UserError(f"{path}: holds runs of another scenario or of other actions")
        rows = stored.records
    work = [(seed, shares) for seed in seeds for shares in design]
    table, source = None, None
    for done, (seed, shares) in enumerate(work):
        progress(done, len(work))
        if source is None or source.setting.streams.seed != seed:
            source = TrainedOutcomes(scenario, actions, seed)
        row = _described(source, np.array(shares, dtype=np.float64))
        if not any(row.items() <= known.items() for known in rows):
            rows.append(row | _measured(source, np.array(shares, dtype=np.float64)))
        table = Measurements(tuple(actions), lock, _workload(source), pd.DataFrame(rows))
        table.save(path)
    if table is None:
        raise UserError("measured runs: expected at least one share point and one seed")
    progress(len(work), len(work))
    return table


def _described(source: TrainedOutcomes, shares: Array) -> dict[str, Any]:
    scenario, seed = source.scenario, source.setting.streams.seed
    played = source.counts(shares) / source.setting.participants
    return {
        "scenario": scenario.name,
        "seed": seed,
        "digest": digest(to_toml(scenario, seed)),
        **{f"share:{a}": float(s) for a, s in zip(source.actions, played, strict=True)},
    }


def _measured(source: TrainedOutcomes, shares: Array) -> dict[str, float]:
    outcome = source.outcome(shares)
    each = {
        f"{measure}:{name}": float(value)
        for measure in MEASURES
        for name, value in zip(source.actions, getattr(outcome, measure), strict=True)
    }
    return {**each, "accuracy": outcome.accuracy}


def _workload(source: TrainedOutcomes) -> Workload:
    costs = source.setting.costs
    capacity = tuple(source.setting.capacity.tolist())
    return Workload(capacity, costs.gflops_per_unit, costs.megabytes, costs.gigabytes)


def _federation(scenario: Scenario, actions: Sequence[str]) -> dict[str, Any]:
    """Return all that outcomes at given shares depend on, but for size and rounds."""
    table = scenario.action_table
    known = {name: whole_action(table[name]) if name in table else None for name in actions}
    return {
        "backbone": scenario.backbone,
        "data": scenario.data,
        "lora": scenario.lora,
        "training": scenario.training,
        "defence": scenario.defence,
        "protection": scenario.protection,
        "leakage": scenario.leakage,
        "sanctions.tolerance": scenario.sanctions.tolerance,
        **{f"actions.{name}": action for name, action in known.items()},
    }


def digest(text: str) -> str:
    """Return 128 bits that name a text, in hexadecimal."""
    return blake2b(text.encode(), digest_size=16).hexdigest()
