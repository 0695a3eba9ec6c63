"""The figures of a run, each a function of the result and an Axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedfm_sim.agents.actions import KINDS
from fedfm_sim.agents.ledger import LINES
from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices
from fedfm_sim.reporting.labels import key, name_ticks, nothing
from fedfm_sim.reporting.palette import colour_of, colours_of
from fedfm_sim.reporting.results import Outcome, Run

STYLE = str(Path(__file__).with_name("fedfm.mplstyle"))

#: More participants than these are drawn as points: bars would be thinner than their gaps.
MOST_BARS = 24

#: Units of what coalitions are worth, where it is not nats.
UNITS = {
    "accuracy": "accuracy",
    "data-size": "examples",
    "label-diversity": "classes",
    "similarity": "cosine",
}


def accuracy(result: Run, axes: Axes) -> None:
    """Draw test accuracy and attack success after each round, and what it lost to attackers."""
    rounds = result.rounds
    before = result.summary["accuracy_before"]
    numbers = rounds["round"]
    drawn: list[tuple[Any, Any, str, str, str]] = [
        ([0, *numbers], [before, *rounds["accuracy"]], "o", "accuracy", ""),
        (numbers, rounds["attack_success"], "s", "attack success", ""),
        (numbers, rounds["accuracy_lost"], "v", "accuracy lost", " to attackers"),
    ]
    for x, y, marker, name, more in drawn:
        axes.plot(x, y, marker=marker, ms=3, color=colour_of(name), label=name + more)
    whole_numbers(axes)
    axes.set(
        xlabel="round (0 is the base model)", ylabel="share of test examples", ylim=(-0.05, 1.02)
    )
    axes.set_title("The shared model, and what attacks do to it")
    key(axes)


def utility(result: Run, axes: Axes) -> None:
    """Draw each participant's mean utility per round, coloured by kind."""
    means = result.participants.groupby(["participant", "kind"])["utility"].mean().reset_index()
    bars = len(means) <= MOST_BARS
    for kind, own in means.groupby("kind", sort=False):
        _draw_each(axes, bars, own["participant"], own["utility"], colour_of(str(kind)), str(kind))
    axes.axhline(0, color="black", lw=0.8)
    whole_numbers(axes)
    axes.set(xlabel="participant", ylabel="money per round")
    axes.set_title("Who gained what: mean utility (Eq. 12)")
    key(axes)


def terms(result: Run, axes: Axes) -> None:
    """Draw the terms of Eq. 12 by kind, each in money, as they enter the utility."""
    table = result.participants
    money = {line.name: line.add(0.0, table[line.name], result.scenario.prices) for line in LINES}
    kinds = [kind for kind in KINDS if (table["kind"] == kind).any()]
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        heights = [float(part[table["kind"] == kind].mean()) for part in money.values()]
        left = np.arange(len(money)) - 0.4 + (place + 0.5) * width
        axes.bar(left, heights, width, color=colour_of(kind), label=kind)
    axes.axhline(0, color="black", lw=0.8)
    name_ticks(axes.xaxis, list(money))
    axes.set_ylabel("money per round and participant")
    axes.set_title("What utilities are made of")
    key(axes)


def actions(result: Run, axes: Axes) -> None:
    """Draw how many participants took each action in each round."""
    counts = result.participants.groupby(["round", "action"]).size().unstack(fill_value=0)
    bottom = np.zeros(len(counts))
    # Of many rounds the gaps would be all that is seen.
    width = 0.8 if len(counts) <= MOST_BARS else 1.0
    for name, colour in colours_of(counts.columns).items():
        axes.bar(counts.index, counts[name], width, bottom, label=name, color=colour)
        bottom += counts[name].to_numpy()
    whole_numbers(axes)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="round", ylabel="participants")
    axes.set_title("What they did")
    key(axes)


def contributions(result: Run, axes: Axes) -> None:
    """Draw the mean contribution of each participant by each scheme, per valued round."""
    names = [name.replace("-", "_") for name in result.scenario.contribution.schemes]
    valued = result.participants.dropna(subset=names[:1]) if names else result.participants[:0]
    axes.set_title("Contributions to the round's coalition game")
    if valued.empty:
        nothing(axes, "no round was valued")
        return
    means = valued.groupby("participant")[names].mean().astype(float)
    width, colours = 0.8 / len(names), colours_of(result.scenario.contribution.schemes)
    for place, (scheme, name) in enumerate(zip(colours, names, strict=True)):
        left = means.index.to_numpy() - 0.4 + (place + 0.5) * width
        label = name.replace("_", " ")
        _draw_each(axes, len(means) <= MOST_BARS, left, means[name], colours[scheme], label, width)
    axes.axhline(0, color="black", lw=0.8)
    whole_numbers(axes)
    unit = UNITS.get(result.scenario.contribution.measure, "nats")
    axes.set(xlabel="participant", ylabel=f"value, {unit}")
    key(axes)


def deviations(result: Run, axes: Axes) -> None:
    """Draw the largest mean gain from each deviation by kind, with its interval."""
    gains = result.deviation_test.gains
    axes.set_title("Would another action have paid? (Eq. 13; above 0 it would)")
    if gains.empty:
        nothing(axes, "no deviation was tried")
        return
    best = gains.loc[gains.groupby(["action", "kind"])["gain"].idxmax()]
    names = sorted(best["action"].unique())
    kinds = [kind for kind in KINDS if (best["kind"] == kind).any()]
    drawn: list[tuple[Any, ...]] = []
    reach = float(best["gain"].abs().max()) * 2 + 1
    for place, kind in enumerate(kinds):
        rows = best[best["kind"] == kind]
        at = [names.index(name) + (place - (len(kinds) - 1) / 2) * 0.2 for name in rows["action"]]
        half = drawable(2 * rows["gain"] - rows["high"], rows["gain"], rows["high"], reach)
        axes.errorbar(
            at, rows["gain"], yerr=half, fmt="o", ms=4, capsize=2, color=colour_of(kind), label=kind
        )
        drawn.append((at, rows["gain"] - half[0], rows["gain"] + half[1], colour_of(kind)))
    axes.set_ylim(max(axes.get_ylim()[0], -reach), min(axes.get_ylim()[1], reach))
    for marks in drawn:
        mark_beyond(axes, *marks)
    axes.axhline(0, color="black", lw=0.8)
    name_ticks(axes.xaxis, names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("largest gain, money")
    key(axes)


def _draw_each(
    axes: Axes, bars: bool, places: Any, heights: Any, colour: str, label: str, width: float = 0.8
) -> None:
    """Draw a value for each participant as bars, or as points."""
    if bars:
        axes.bar(places, heights, width, color=colour, label=label)
    else:
        axes.plot(places, heights, "o", ms=3, color=colour, label=label)


def mark_of(points: Sized) -> str:
    """Return how matplotlib is to draw so many points: a line of one would not be seen."""
    return "-" if len(points) > 1 else "o"


def whole_numbers(axes: Axes) -> None:
    """Let the ticks of the horizontal axis stand at whole rounds or participants, and apart."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))


def mark_beyond(
    axes: Axes, places: Any, low: Any, high: Any, colour: str, across: bool = False
) -> None:
    """Put arrowheads on the frame where intervals go beyond it: up or down, or to the sides."""
    bottom, top = axes.get_xlim() if across else axes.get_ylim()
    places, low, high = (np.asarray(values, dtype=float) for values in (places, low, high))
    above, below = (">", "<") if across else ("^", "v")
    for edge, beyond, marker in ((top, high > top, above), (bottom, low < bottom, below)):
        at = places[beyond], np.full(int(beyond.sum()), edge)
        # The layout would make room for a line that is nowhere.
        if beyond.any():
            axes.plot(*(at[::-1] if across else at), marker, ms=5, color=colour, clip_on=False,
                      zorder=5)  # fmt: skip


def drawable(low: Any, middle: Any, high: Any, reach: float) -> Array:
    """Return how far intervals go down and up from their middles, (2, n), to be drawn.

    None where there is no interval, and just beyond a frame of this reach where it is wider.
    """
    middle = np.asarray(middle, dtype=float)
    lengths = np.array([middle - np.asarray(low, float), np.asarray(high, float) - middle])
    drawn: Array = np.clip(np.nan_to_num(lengths, nan=0.0, posinf=np.inf), 0.0, 10 * reach)
    return drawn


FIGURES: dict[str, Callable[[Run, Axes], None]] = {
    "accuracy": accuracy,
    "utility": utility,
    "terms": terms,
    "actions": actions,
    "contributions": contributions,
    "deviations": deviations,
}


def draw(name: str, result: Run) -> Axes:
    """Draw the figure ``name`` on new Axes; `UserError` when there is none of that name."""
    return on_new_axes(FIGURES, name, result)


def on_new_axes(
    figures: Mapping[str, Callable[[Any, Axes], None]], name: str, result: Outcome
) -> Axes:
    """Draw one of some figures on new Axes, which stay empty where no round was finished.

    Raises
    ------
    UserError
        When there is none of that name.
    """
    known(name, figures)
    with plt.style.context(STYLE):
        axes: Axes = plt.subplots()[1]
        if len(result.rounds):
            figures[name](result, axes)
    return axes


def known(name: str, figures: Iterable[str]) -> None:
    """Raise a `UserError` when there is no figure of that name."""
    if name not in figures:
        raise UserError(f"unknown figure '{name}'{choices(name, figures)}")
