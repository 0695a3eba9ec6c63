"""Run one scenario under several alternatives, and put the outcomes side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from itertools import product
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.intervals import Estimate, critical, standard_error
from fedfm_sim.experiments.reported import Page, Reported, records
from fedfm_sim.experiments.workshop import Finished, Plan, Workshop
from fedfm_sim.games.deviation import RULE, deviation_test
from fedfm_sim.reporting.comparison import draw_comparison, draw_front
from fedfm_sim.reporting.page import Section
from fedfm_sim.reporting.tables import remark_lines
from fedfm_sim.scenarios.loader import load_scenario
from fedfm_sim.scenarios.overrides import Override, same_type, toml_or_text
from fedfm_sim.simulation.conditions import BETWEEN
from fedfm_sim.simulation.deviations import rounds_tried

#: What is compared, and how tables and pictures head it. Paid is per round, utility
#: (U) per participant and round, both in money, and so is epsilon* of Eq. 13; what is lost
#: to attackers is accuracy per round.
MEASURES = {
    "accuracy_after": "accuracy",
    "attack_success": "attack success",
    "accuracy_lost": "lost to attackers",
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


#: Characters of a run's folder that name what was chosen; file systems allow 255.
LONGEST = 180


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Reported):
    """The outcomes of a scenario under alternatives.

    Attributes
    ----------
    scenario : str
    keys : tuple of str
        What was varied; columns of ``runs``.
    runs : DataFrame
        One row per alternative and seed: the keys, with numbers as numbers, ``seed`` and the
        measures.
    deviations : DataFrame
        One row per alternative, seed and deviation that was tried: the keys, ``seed``, and
        ``participant``, ``kind``, ``action`` with the mean ``gain`` over the run's rounds and its
        standard ``error``.
    """

    scenario: str
    keys: tuple[str, ...]
    runs: pd.DataFrame
    deviations: pd.DataFrame = field(default_factory=pd.DataFrame)

    # Each run has a report of its own; the pictures are kept beside them.
    report_name = ""

    @property
    def table(self) -> pd.DataFrame:
        """Return the mean of each measure over the seeds, a row per alternative.

        epsilon* is that of rules kept to on all seeds: see `epsilon`.
        """
        means: pd.DataFrame = self._grouped().mean()
        if "epsilon_star" in means:
            means["epsilon_star"] = [self.epsilon[place].value for place in means.index]
        return means

    @property
    def spread(self) -> pd.DataFrame:
        """Return the standard error of each mean over the seeds; NaN with one seed."""
        errors: pd.DataFrame = self._grouped().sem()
        return errors

    @cached_property
    def ends(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The ends of 95 % intervals, low and high, NaN where one seed tells nothing.

        Student's over seeds; of epsilon*, that of the largest of all gains.
        """
        half = self.spread * critical(self.runs["seed"].nunique() - 1)
        low, high = self.table - half, self.table + half
        if "epsilon_star" in low:
            low["epsilon_star"] = [self.epsilon[place].low for place in low.index]
            high["epsilon_star"] = [self.epsilon[place].high for place in high.index]
        return low, high

    @cached_property
    def epsilon(self) -> dict[Any, Estimate]:
        """Eq. 13's epsilon* by alternative.

        The largest mean gain over rounds and seeds of a participant who always plays one
        other action. Seeds are the replicates, or with a single one its rounds: see
        `fedfm_sim.games.deviation`.
        """
        seeds = self.runs["seed"].nunique()
        found: dict[Any, Estimate] = {}
        for place in self._grouped().mean().index:
            names = place if isinstance(place, tuple) else (place,)
            own = self.deviations
            for key, value in zip(self.keys, names, strict=True):
                own = own if own.empty else own[own[key] == value]
            if own.empty:
                found[place] = Estimate(nan, nan, nan)
            elif seeds == 1:
                found[place] = Estimate.of_largest(
                    own["gain"].to_numpy(), own["error"].to_numpy(), int(own["rounds"].iloc[0]) - 1
                )
            else:
                # Who never had to deviate on a seed gained nothing there.
                gains = own.pivot_table("gain", "seed", [*RULE], fill_value=0.0)
                gains = gains.reindex(self.runs["seed"].unique(), fill_value=0.0)
                found[place] = Estimate.of_largest(
                    gains.to_numpy().mean(axis=0), standard_error(gains.to_numpy()), seeds - 1
                )
        return found

    @property
    def cells(self) -> pd.DataFrame:
        """Return the means in words, with their intervals where there are any."""
        low, high = self.ends
        return pd.DataFrame(
            {
                name: [
                    f"{value:.3f}" + ("" if isnan(least) else f"\n{least:.3f} to {most:.3f}")
                    for value, least, most in zip(column, low[name], high[name], strict=True)
                ]
                for name, column in self.table.items()
            },
            index=self.table.index,
        )

    def _grouped(self) -> Any:
        # What is 0 or missing everywhere, such as attacks where nobody attacks, is left out.
        measured = [name for name in MEASURES if self.runs[name].fillna(0).any()]
        return self.runs.groupby(list(self.keys), sort=False)[measured]

    @property
    def remarks(self) -> list[str]:
        """What was done to make things fit, and which conditions failed, by alternative."""
        said = [
            f"{', '.join(str(row[key]) for key in self.keys)}: {remark}"
            for _, row in self.runs.iterrows()
            if "remarks" in self.runs
            for remark in filter(None, str(row["remarks"]).split(BETWEEN))
        ]
        return list(dict.fromkeys(said))

    @property
    def summary(self) -> dict[str, Any]:
        """The scenario, what was varied, by alternative the means and their intervals, remarks."""
        named = {"means": self.table, "low": self.ends[0], "high": self.ends[1]}
        tables = {name: records(table.reset_index()) for name, table in named.items()}
        about = {"scenario": self.scenario, "keys": list(self.keys)}
        return {**about, **tables, "remarks": self.remarks}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per alternative and seed."""
        return self.runs

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the runs."""
        return {"comparison": self.runs}

    def page(self) -> Page:
        """Return the measures by alternative and the front, as pictures and as a table."""
        heading = f"{self.scenario}: by {', '.join(self.keys)}"
        bars = partial(draw_comparison, self.table, self.ends, MEASURES, heading)
        front = partial(draw_front, self.runs, self.keys, f"{self.scenario}: Eq. 1")
        return Page(
            heading,
            " ".join(
                [
                    "Means over seeds, with Student's 95 % intervals where there are several. "
                    "epsilon* is the largest of several gains, and so is its interval.",
                    *(f"Note: {remark}." for remark in self.remarks),
                ]
            ),
            [
                Section("By alternative", figure=bars, name="comparison"),
                Section(
                    "Accuracy against leakage and bytes (Eq. 1)",
                    "What nothing beats in all three is filled.",
                    front,
                    name="front",
                ),
                Section("Means and intervals", table=self.cells.reset_index()),
            ],
        )

    def lines(self) -> list[str]:
        """Return what was varied, and the table of means."""
        head = f"{self.scenario} over {', '.join(self.keys)}"
        return [head, *self.table.round(3).to_string().splitlines(), *remark_lines(self.summary)]


def compare(
    scenario: str | Path,
    over: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] | int = (0,),
    overrides: Sequence[str] = (),
    workshop: Workshop | None = None,
) -> Comparison:
    """Run a scenario for every combination of alternatives and seeds.

    Parameters
    ----------
    scenario : str or Path
        A catalogue name or a TOML path.
    over : mapping of str to sequence
        Key to its alternatives, as in ``{"mechanism": ["fmore", "vcg"]}``; a text is read as
        TOML where it can be.
    seeds : sequence of int, or int
        The same for every alternative, so that differences are paired; so many from 0.
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
    if isinstance(seeds, int):
        seeds = range(seeds)
    if not over or not all(over.values()):
        raise UserError("--over: expected key=value,value such as mechanism=posted-price,vcg")
    for own in map(Override.parse, overrides):
        if own.key in over:
            raise UserError(f"{own.said}: --over varies '{own.key}'; expected one of the two")
    swept = [[_override(key, value) for value in values] for key, values in over.items()]
    variants = [
        (chosen, load_scenario(scenario, [*overrides, *chosen])) for chosen in product(*swept)
    ]
    plans = [
        Plan(_folder_name(chosen, seed), variant, seed)
        for chosen, variant in variants
        for seed in seeds
    ]
    if len({plan.name for plan in plans}) < len(plans):
        raise UserError("--over: expected different values, each of them once")
    made = (workshop or Workshop()).make(plans)
    columns = {
        key: _column([chosen[place].value for chosen, _ in variants for _ in seeds])
        for place, key in enumerate(over)
    }
    named = [
        {key: column[place] for key, column in columns.items()} | {"seed": done.plan.seed}
        for place, done in enumerate(made)
    ]
    rows = [
        {**own, **_measures(done.summary), "remarks": done.remarks}
        for own, done in zip(named, made, strict=True)
    ]
    tried = [_deviations(done).assign(**own) for own, done in zip(named, made, strict=True)]
    table = pd.concat(tried, ignore_index=True)
    return Comparison(variants[0][1].name, tuple(over), pd.DataFrame(rows), table)


def _deviations(done: Finished) -> pd.DataFrame:
    """Return what each deviation gained in the mean over the rounds of a run."""
    rounds = rounds_tried(done.plan.scenario, len(done.rounds))
    gains = deviation_test(done.deviations, rounds).gains
    return gains[[*RULE, "gain", "error", "rounds"]]


def _override(key: str, value: Any) -> Override:
    if isinstance(value, str):
        value = toml_or_text(value)
    return Override(key, value, f"--over {key}={value}")


def _column(values: Sequence[Any]) -> list[Any]:
    """Return swept values as they are where a table can hold them, and else as texts."""
    plain = same_type(values) and isinstance(values[0], bool | int | float | str)
    return list(values) if plain else [str(value) for value in values]


def _measures(summary: Mapping[str, Any]) -> dict[str, float]:
    by_kind = {f"utility_{kind}": value for kind, value in summary["utility_by_kind"].items()}
    nested = {
        f"{part}_{key}": value
        for part in ("marks", "theft")
        for key, value in (summary.get(part) or {}).items()
    }
    found = {**summary, **by_kind, **nested}
    return {name: float("nan") if found.get(name) is None else found[name] for name in MEASURES}


def _folder_name(chosen: Sequence[Override], seed: int) -> str:
    parts = [*(f"{own.key}={own.value}" for own in chosen), f"seed={seed}"]
    text = ",".join(parts)
    name = re.sub(r"[^\w.=,+-]", "_", text)
    if name == text and len(name) <= LONGEST:
        return name
    # What is cut or replaced could make two alternatives alike.
    digest = blake2b(text.encode(), digest_size=6).hexdigest()
    return f"{name[:LONGEST]},{digest}"
