"""Pictures of a comparison: a panel of bars per measure, and the front of Eq. 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedfm_sim.core.intervals import critical
from fedfm_sim.core.pareto import pareto_front
from fedfm_sim.reporting.figures import STYLE, drawable, mark_beyond
from fedfm_sim.reporting.labels import label_points, lines_of, name_ticks, wrapped
from fedfm_sim.reporting.palette import BLUE

#: Panels in a row.
ACROSS = 4


def draw_comparison(
    means: pd.DataFrame,
    ends: tuple[pd.DataFrame, pd.DataFrame],
    titles: Mapping[str, str],
    heading: str,
) -> Figure:
    """Draw means as bars, with their intervals where there are any.

    Arrowheads stand for intervals of which little would be left beside the means.

    Parameters
    ----------
    means : DataFrame
        A row per alternative, a column per measure.
    ends : tuple of DataFrame
        The lower and the upper ends of intervals alike; NaN for none.
    titles : mapping of str to str
        Column to the title of its panel.
    heading : str
    """
    labels = [_label(value) for value in means.index]
    row = 0.14 + 0.14 * lines_of(labels)
    with plt.style.context(STYLE):
        figure: Figure
        rows, columns = ceil(len(means.columns) / ACROSS), min(len(means.columns), ACROSS)
        figure, panels = plt.subplots(
            rows,
            columns,
            sharey=True,
            squeeze=False,
            figsize=(2.4 * columns + 1.5, rows * (row * len(means) + 0.9) + 0.4),
            layout="constrained",
        )
        for spare in panels.flat[len(means.columns) :]:
            spare.set_visible(False)
        places = np.arange(len(means))
        for axes, name in zip(panels.flat, means.columns, strict=False):
            low, high = (own[name] for own in ends)
            reach = 3 * float(means[name].abs().max())
            bars = drawable(low, means[name], high, reach)
            axes.barh(places, means[name], xerr=bars if bars.any() else None, color=BLUE,
                      ecolor="#444444")  # fmt: skip
            axes.set_xlim(*np.clip(axes.get_xlim(), -reach or None, reach or None))
            mark_beyond(axes, places, means[name] - bars[0], means[name] + bars[1], "#444444",
                        across=True)  # fmt: skip
            axes.axvline(0, color="black", lw=0.8)
            axes.set_title(titles[name], fontsize=9)
            axes.grid(axis="y", visible=False)
            name_ticks(axes.yaxis, labels)
        panels.flat[0].set_ylim(len(means) - 0.5, -0.5)
        figure.suptitle(wrapped(heading, round(11 * figure.get_figwidth())))
    return figure


def draw_front(runs: pd.DataFrame, keys: Sequence[str], heading: str) -> Figure:
    """Draw privacy, utility and efficiency of alternatives against each other (Eq. 1).

    Leakage and accuracy are axes, with Student's 95 % intervals over the seeds; the area of a
    mark is what was sent. Filled marks are not beaten in all three by another one.

    Parameters
    ----------
    runs : DataFrame
        A row per alternative and seed: the keys, ``leakage``, ``accuracy_after``, ``megabytes``.
    keys : sequence of str
        The columns that name an alternative.
    heading : str
    """
    columns = ["leakage", "accuracy_after", "megabytes"]
    grouped = runs.groupby(list(keys), sort=False)[columns]
    reach = critical(grouped.size().to_numpy() - 1)[:, None]
    means, errors = grouped.mean(), (grouped.sem() * reach).fillna(0.0)
    front = pareto_front(means.to_numpy() * np.array([1.0, -1.0, 1.0]))
    area = 40 + 160 * means["megabytes"] / max(float(means["megabytes"].max()), 1e-12)
    with plt.style.context(STYLE):
        figure: Figure
        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
        axes.errorbar(
            means["leakage"],
            means["accuracy_after"],
            xerr=errors["leakage"],
            yerr=errors["accuracy_after"],
            fmt="none",
            ecolor="#888888",
        )
        colours = np.where(front, BLUE, "white")
        axes.scatter(means["leakage"], means["accuracy_after"], s=area, c=colours, edgecolors=BLUE)
        axes.set_xlabel("leakage, by the scenario's measure (less is better)")
        axes.set_ylabel("test accuracy")
        axes.margins(0.15)
        axes.set_title(wrapped(f"{heading} (filled: on the front; area: bytes sent)", 70))
        points = means[["leakage", "accuracy_after"]].to_numpy()
        label_points(axes, points, [_label(value) for value in means.index])
    return figure


def _label(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
