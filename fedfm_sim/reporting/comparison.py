"""The picture of a comparison: one panel per measure, one bar per alternative."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedfm_sim.reporting.figures import STYLE

#: Panels in a row.
ACROSS = 4


def draw_comparison(
    means: pd.DataFrame, errors: pd.DataFrame, titles: Mapping[str, str], heading: str
) -> Figure:
    """Draw means as bars, with two standard errors where there are any.

    Parameters
    ----------
    means, errors : DataFrame
        A row per alternative, a column per measure.
    titles : mapping of str to str
        Column to the title of its panel.
    heading : str
    """
    labels = [_label(value) for value in means.index]
    with plt.style.context(STYLE):
        figure: Figure
        rows, columns = ceil(len(means.columns) / ACROSS), min(len(means.columns), ACROSS)
        figure, panels = plt.subplots(
            rows,
            columns,
            sharey=True,
            squeeze=False,
            figsize=(2.4 * columns + 1.5, rows * (0.28 * len(means) + 0.9) + 0.4),
            layout="constrained",
        )
        for spare in panels.flat[len(means.columns) :]:
            spare.set_visible(False)
        places = np.arange(len(means))[::-1]
        for axes, name in zip(panels.flat, means.columns, strict=False):
            bars = None if errors[name].isna().all() else 2 * errors[name].fillna(0.0)
            axes.barh(places, means[name], xerr=bars, ecolor="#444444")
            axes.axvline(0, color="black", lw=0.8)
            axes.set_title(titles[name], fontsize=9)
            axes.set_yticks(places, labels)
            axes.grid(axis="y", visible=False)
        figure.suptitle(heading)
    return figure


def _label(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
