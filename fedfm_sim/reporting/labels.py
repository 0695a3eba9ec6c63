"""Labels of points that don't lie over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fedfm_sim.core.arrays import Array

#: Points of type from one line of labels to the next.
LINE = 11.0


def label_points(axes: Axes, points: Array, labels: Sequence[str]) -> None:
    """Write the labels in a column at the right of the picture, a line to each point.

    Parameters
    ----------
    axes : Axes
        Linear, with its data drawn and its margins set.
    points : (n, 2) array
        In data units.
    labels : sequence of n str
    """
    height = axes.bbox.height / axes.figure.dpi * 72
    bottom, top = axes.get_ylim()
    places = apart((points[:, 1] - bottom) / (top - bottom) * height, LINE, height) / height
    for place, (point, label) in enumerate(zip(points, labels, strict=True)):
        axes.annotate(
            label,
            tuple(point),
            xytext=(1.03, places[place]),
            textcoords="axes fraction",
            va="center",
            fontsize=7,
            arrowprops={"arrowstyle": "-", "color": "#999999", "lw": 0.6, "shrinkB": 4},
            annotation_clip=False,
        )


def apart(at: Array, least: float, height: float) -> Array:
    """Return places near ``at``, (n,), at least ``least`` apart, from 0 to ``height``.

    Their order stays. Where there is no room for all they are spread evenly.
    """
    order = np.argsort(at, kind="stable")
    step = min(least, height / max(len(at) - 1, 1))
    placed = np.array(at, dtype=np.float64)[order]
    for k in range(1, len(placed)):
        placed[k] = max(placed[k], placed[k - 1] + step)
    over = max(0.0, float(placed[-1]) - height) if len(placed) else 0.0
    if over:
        placed[-1] -= over
        for k in range(len(placed) - 2, -1, -1):
            placed[k] = min(placed[k], placed[k + 1] - step)
    result = np.empty_like(placed)
    result[order] = placed
    return result
