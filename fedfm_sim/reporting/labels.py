"""Names, keys and labels of pictures: apart, beside what is drawn and never over it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from fedfm_sim.core.arrays import Array
from fedfm_sim.reporting.palette import GREY

#: Points of type from one line of labels to the next.
LINE = 11.0

#: Letters in a line of a name; longer ones would leave no room for the picture.
WIDEST = 24

#: More names than these below a picture stand upright.
MOST_SLANTED = 10


#: The line from a point to the left end of its label.
_LEADER = {"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkB": 4, "relpos": (0, 0.5)}


def wrapped(text: str, width: int = WIDEST) -> str:
    """Return a text in up to six lines of ``width`` letters, broken between words if it can be."""
    return textwrap.fill(text, width, max_lines=6, placeholder=" \N{HORIZONTAL ELLIPSIS}")


def lines_of(names: Iterable[str]) -> int:
    """Return the lines of the longest of some names: rows of a picture are as high."""
    return max((wrapped(name).count("\n") + 1 for name in names), default=1)


def name_ticks(axis: Axis, names: Sequence[str]) -> None:
    """Let the ticks 0, 1, ... of an axis be these names; those below a picture are slanted."""
    axis.set_ticks(range(len(names)), [wrapped(name) for name in names])
    if isinstance(axis, XAxis):
        slant = 30 if len(names) <= MOST_SLANTED else 90
        axis.set_tick_params(rotation=slant)
        for label in axis.get_ticklabels():
            label.set(ha="right", va="center" if slant == 90 else "top", rotation_mode="anchor")


def key(axes: Axes) -> None:
    """Write what the marks stand for at the right of the axes, where nothing is drawn.

    In as many columns as fit beside them, for which the figure is made wider.
    """
    marks, names = axes.get_legend_handles_labels()
    texts = [wrapped(name) for name in names]
    figure = _figure(axes)
    lines = sum(text.count("\n") + 1 for text in texts)
    columns = ceil(1.4 * LINE * lines / (72 * figure.get_figheight()))
    if columns > 1:
        figure.set_figwidth(figure.get_figwidth() + 1.8 * (columns - 1))
    axes.legend(marks, texts, loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=max(columns, 1))


def key_below(axes: Axes, columns: int = 3) -> None:
    """Write what the marks stand for below the axes, for which the figure is made higher."""
    marks, names = axes.get_legend_handles_labels()
    texts = [wrapped(name) for name in names]
    figure = _figure(axes)
    lines = lines_of(names) * ceil(len(texts) / columns)
    figure.set_figheight(figure.get_figheight() + 1.4 * LINE * lines / 72)
    figure.legend(marks, texts, loc="outside lower left", ncols=columns)


def nothing(axes: Axes, why: str) -> None:
    """Say why there is nothing to draw, on axes without a scale."""
    axes.text(0.5, 0.5, wrapped(why, 60), ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()


def plain_powers(*axes: Axis) -> None:
    """Write powers of ten as 1e-05: the style reads no formulas, as users' texts have dollars."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def label_points(axes: Axes, points: Array, labels: Sequence[str]) -> None:
    """Write the labels in a column at the right of the picture, a line to each point.

    The figure is made higher where the column needs it.

    Parameters
    ----------
    axes : Axes
        Linear, with its data drawn and its margins set.
    points : (n, 2) array
        In data units.
    labels : sequence of n str
    """
    texts = [wrapped(label, 40) for label in labels]
    line = LINE * max((text.count("\n") + 1 for text in texts), default=1)
    figure = _figure(axes)
    # The layout is only known once it was made.
    figure.draw_without_rendering()
    missing = line * len(texts) / 72 - axes.bbox.height / figure.dpi
    if missing > 0:
        figure.set_figheight(figure.get_figheight() + missing)
        figure.draw_without_rendering()
    height = axes.bbox.height / figure.dpi * 72
    bottom, top = axes.get_ylim()
    # Places are of the middle of a label; half of it is above, and half below.
    at = (points[:, 1] - bottom) / (top - bottom) * height - line / 2
    places = (apart(at, line, max(height - line, 0.0)) + line / 2) / height
    for place, (point, text) in enumerate(zip(points, texts, strict=True)):
        axes.annotate(
            text,
            tuple(point),
            xytext=(1.03, places[place]),
            textcoords="axes fraction",
            va="center",
            fontsize=7,
            arrowprops=_LEADER,
            annotation_clip=False,
        )


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


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
