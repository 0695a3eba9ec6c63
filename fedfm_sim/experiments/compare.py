"""Run one scenario under several alternatives, and put the outcomes side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.reported import Page, Reported, records
from fedfm_sim.experiments.workshop import Plan, Workshop
from fedfm_sim.reporting.comparison import draw_comparison, draw_front
from fedfm_sim.reporting.page import Section
from fedfm_sim.scenarios.loader import load_scenario

#: What is compared, and how tables and pictures head it. Paid is per round, utility
#: (U) per participant and round, both in money, and so is epsilon* of Eq. 13.
MEASURES = {
    "accuracy_after": "accuracy",
    "attack_success": "attack success",
    "leakage": "leakage",
    "megabytes": "megabytes",
    "marks_detection": "bits read",
    "marks_standing": "claims stand",
    "theft_sales": "copies sold",
    "payments": "paid",
    "selected": "train",
    "utility_honest": "U honest",
    "utility_malicious": "U malicious",
    "epsilon_star": "epsilon*",
}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Reported):
    """The outcomes of a scenario under alternatives.

    Attributes
    ----------
    scenario : str
    keys : tuple of str
        What was varied; columns of ``runs``.
    runs : DataFrame
        One row per alternative and seed: the keys, ``seed`` and the measures.
    """

    scenario: str
    keys: tuple[str, ...]
    runs: pd.DataFrame

    # Each run has a report of its own; the pictures are kept beside them.
    report_name = ""

    @property
    def table(self) -> pd.DataFrame:
        """Return the mean of each measure over the seeds, a row per alternative."""
        means: pd.DataFrame = self._grouped().mean()
        return means

    @property
    def spread(self) -> pd.DataFrame:
        """Return the standard error of each mean over the seeds; NaN with one seed."""
        errors: pd.DataFrame = self._grouped().sem()
        return errors

    def _grouped(self) -> Any:
        # What is 0 or missing everywhere, such as attacks where nobody attacks, is left out.
        measured = [name for name in MEASURES if self.runs[name].fillna(0).any()]
        return self.runs.groupby(list(self.keys), sort=False)[measured]

    @property
    def summary(self) -> dict[str, Any]:
        """The scenario, what was varied, and the means by alternative."""
        means = records(self.table.reset_index())
        return {"scenario": self.scenario, "keys": list(self.keys), "means": means}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per alternative and seed."""
        return self.runs

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the runs."""
        return {"comparison": self.runs}

    def page(self) -> Page:
        """Return the measures by alternative and the front, as pictures and as a table."""
        heading = f"{self.scenario}: by {', '.join(self.keys)}"
        bars = partial(draw_comparison, self.table, self.spread, MEASURES, heading)
        front = partial(draw_front, self.runs, self.keys, f"{self.scenario}: Eq. 1")
        return Page(
            heading,
            "Means over seeds, with two standard errors where there are several.",
            [
                Section("By alternative", figure=bars, name="comparison"),
                Section(
                    "Accuracy against leakage and bytes (Eq. 1)",
                    "What nothing beats in all three is filled.",
                    front,
                    name="front",
                ),
                Section("Means", table=self.table.reset_index()),
            ],
        )

    def lines(self) -> list[str]:
        """Return what was varied, and the table of means."""
        head = f"{self.scenario} over {', '.join(self.keys)}"
        return [head, *str(self.table.round(3)).splitlines()]


def compare(
    scenario: str | Path,
    over: Mapping[str, Sequence[str]],
    seeds: Sequence[int] = (0,),
    overrides: Sequence[str] = (),
    workshop: Workshop | None = None,
) -> Comparison:
    """Run a scenario for every combination of alternatives and seeds.

    Parameters
    ----------
    scenario : str or Path
        A catalogue name or a TOML path.
    over : mapping of str to sequence of str
        Key to its alternatives, as in ``{"mechanism": ["fmore", "vcg"]}``.
    seeds : sequence of int
        The same for every alternative, so that differences are paired.
    overrides : sequence of str
        ``key=value``, for all alternatives.
    workshop : Workshop, optional
        Where the runs are made and kept, each with its report.

    Returns
    -------
    Comparison

    Raises
    ------
    UserError
        Before anything runs, when any of the alternatives does not fit.
    """
    if not over or not all(over.values()):
        raise UserError("--over: expected key=value,value such as mechanism=posted-price,vcg")
    plans = [
        (dict(zip(over, values, strict=True)), seed)
        for values in product(*over.values())
        for seed in seeds
    ]
    loaded = [
        load_scenario(scenario, [*overrides, *(f"{k}={v}" for k, v in chosen.items())])
        for chosen, _ in plans
    ]
    runs = [
        Plan(_folder_name(chosen, seed), variant, seed)
        for (chosen, seed), variant in zip(plans, loaded, strict=True)
    ]
    rows = [
        {**chosen, "seed": seed, **_measures(done.summary)}
        for (chosen, seed), done in zip(plans, (workshop or Workshop()).make(runs), strict=True)
    ]
    return Comparison(loaded[0].name, tuple(over), pd.DataFrame(rows))


def _measures(summary: Mapping[str, Any]) -> dict[str, float]:
    by_kind = {f"utility_{kind}": value for kind, value in summary["utility_by_kind"].items()}
    nested = {
        f"{part}_{key}": value
        for part in ("marks", "theft")
        for key, value in (summary.get(part) or {}).items()
    }
    found = {**summary, **by_kind, **nested}
    return {name: float("nan") if found.get(name) is None else found[name] for name in MEASURES}


def _folder_name(chosen: Mapping[str, str], seed: int) -> str:
    parts = [*(f"{key}={value}" for key, value in chosen.items()), f"seed={seed}"]
    return re.sub(r"[^\w.=,+-]", "_", ",".join(parts))
