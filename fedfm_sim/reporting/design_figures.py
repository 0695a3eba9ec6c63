"""Pictures of designed sanctions: the deterrence frontier, and what it is made of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedfm_sim.mechanisms.theory.deterrence import Deterrent, Temptations
from fedfm_sim.reporting.figures import STYLE, mark_of
from fedfm_sim.reporting.labels import key, lines_of, name_ticks
from fedfm_sim.reporting.palette import BLACK, BLUE, GREEN, colour_of
from fedfm_sim.scenarios.schema import Scenario


def draw_frontier(line: pd.DataFrame, point: Deterrent, scenario: Scenario) -> Figure:
    """Draw the least audit rate for every fine, the point chosen, and that with fewer audits.

    Above the line honesty is everybody's best reply; the band is what single seeds say. The
    right panel has what the points of the line cost the server.

    Parameters
    ----------
    line : DataFrame
        ``fine``, ``rate``, ``low`` and ``high``.
    point : Deterrent
    scenario : Scenario
        Its costs of audits and deposits are drawn.
    """
    with plt.style.context(STYLE):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        axes, costs = figure.subplots(1, 2)
        axes.fill_between(line["fine"], line["rate"], 1, color=GREEN, alpha=0.12,
                          label="honesty is the best reply")  # fmt: skip
        axes.fill_between(line["fine"], line["low"], np.minimum(line["high"], 1), color=BLUE,
                          alpha=0.25, label="by single seeds")  # fmt: skip
        axes.plot(
            line["fine"], line["rate"], mark_of(line), color=BLUE, label="deterrence frontier"
        )
        axes.plot(
            point.fine,
            point.rate,
            "*",
            color=colour_of("designed"),
            markeredgecolor=BLACK,
            markersize=13,
            label="designed",
        )
        axes.plot(point.fine, 0.8 * point.rate, "x", color=colour_of("80 % of the audits"),
                  markersize=9,
                  label="80 % of the audits")  # fmt: skip
        axes.set(xlabel="fine, money", ylabel="audit rate", ylim=(0, 1.02))
        axes.set_title("Least audit rate that deters")
        key(axes)
        count = scenario.participants.count
        audits = count * scenario.sanctions.audit_cost * line["rate"]
        interest = count * scenario.design.capital * line["fine"]
        costs.plot(line["fine"], audits, mark_of(line), color=colour_of("audits"), label="audits")
        costs.plot(
            line["fine"], interest, mark_of(line), color=colour_of("deposits"), label="deposits"
        )
        costs.plot(line["fine"], audits + interest, mark_of(line), color=BLACK, label="both")
        costs.axvline(point.fine, color="black", ls=":", lw=1)
        costs.set(xlabel="fine, money", ylabel="money per round", ylim=(0, None))
        costs.set_title("What it costs the server")
        key(costs)
    return figure


def draw_temptations(table: pd.DataFrame, point: Deterrent) -> Figure:
    """Draw what every deviation gains: without sanctions, with fewer audits, as designed.

    Parameters
    ----------
    table : DataFrame
        ``path``, ``action``, and the three columns of `Temptations`, a row per deviation.
    point : Deterrent
    """
    parts = (*(("no sanctions", 0.0), ("80 % of the audits", 0.8), ("designed", 1.0)),)
    groups = list(table.groupby(["path", "action"], sort=True))
    names = [f"{own['action'].iloc[0]}, {_others(own['path'].iloc[0])}" for _, own in groups]
    with plt.style.context(STYLE):
        height = 1.6 + (0.28 + 0.14 * lines_of(names)) * len(groups)
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.subplots()
        for row, (_, own) in enumerate(groups):
            for offset, (name, part) in zip((-0.22, 0, 0.22), parts, strict=True):
                gains = Temptations.of(own).gains(part * point.rate, point.fine)
                axes.plot(gains, np.full(len(gains), row + offset), "o", color=colour_of(name),
                          alpha=0.5, markersize=4)  # fmt: skip
        for name, _ in parts:
            axes.plot([], [], "o", color=colour_of(name), label=name)
        axes.axvline(0, color="black", lw=1)
        name_ticks(axes.yaxis, names)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set(xlabel="gain over honesty, money; a point per participant, round and seed")
        axes.set_title("What deviations bring")
        key(axes)
    return figure


def _others(path: str) -> str:
    return "others honest" if path == "contribute" else f"the malicious {path}"
