"""The figures of a run, each a function of the result and an Axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from fedfm_sim.agents.ledger import LINES
from fedfm_sim.core.errors import UserError
from fedfm_sim.reporting.results import Outcome, Run

STYLE = str(Path(__file__).with_name("fedfm.mplstyle"))

#: One colour per kind, in every figure (Okabe and Ito's palette).
COLOURS = {"honest": "#0072B2", "semi-honest": "#E69F00", "malicious": "#D55E00"}

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
    axes.plot(
        [0, *rounds["round"]], [before, *rounds["accuracy"]], marker="o", ms=3, label="accuracy"
    )
    axes.plot(
        rounds["round"],
        rounds["attack_success"],
        marker="s",
        ms=3,
        color="#D55E00",
        label="attack success",
    )
    axes.plot(
        rounds["round"],
        rounds["accuracy_lost"],
        marker="v",
        ms=3,
        color="#E69F00",
        label="accuracy lost to attackers",
    )
    axes.set(
        xlabel="round (0 is the base model)", ylabel="share of test examples", ylim=(-0.05, 1.02)
    )
    axes.set_title("The shared model, and what attacks do to it")
    axes.legend()


def utility(result: Run, axes: Axes) -> None:
    """Draw each participant's mean utility per round, coloured by kind."""
    means = result.participants.groupby(["participant", "kind"])["utility"].mean().reset_index()
    axes.bar(means["participant"], means["utility"], color=[COLOURS[k] for k in means["kind"]])
    axes.axhline(0, color="black", lw=0.8)
    for kind in dict.fromkeys(means["kind"]):
        axes.bar(0, 0, color=COLOURS[kind], label=kind)
    axes.set_xticks(means["participant"])
    axes.set(xlabel="participant", ylabel="money per round")
    axes.set_title("Who gained what: mean utility (Eq. 12)")
    axes.legend()


def terms(result: Run, axes: Axes) -> None:
    """Draw the terms of Eq. 12 by kind, each in money, as they enter the utility."""
    table = result.participants
    money = {line.name: line.add(0.0, table[line.name], result.scenario.prices) for line in LINES}
    kinds = [kind for kind in COLOURS if (table["kind"] == kind).any()]
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        heights = [float(part[table["kind"] == kind].mean()) for part in money.values()]
        left = np.arange(len(money)) - 0.4 + (place + 0.5) * width
        axes.bar(left, heights, width, color=COLOURS[kind], label=kind)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(money)), list(money))
    axes.set_ylabel("money per round and participant")
    axes.set_title("What utilities are made of")
    axes.legend()


def actions(result: Run, axes: Axes) -> None:
    """Draw how many participants took each action in each round."""
    counts = result.participants.groupby(["round", "action"]).size().unstack(fill_value=0)
    bottom = np.zeros(len(counts))
    palette = plt.get_cmap("tab20")
    for place, name in enumerate(counts.columns):
        axes.bar(counts.index, counts[name], bottom=bottom, label=name, color=palette(place))
        bottom += counts[name].to_numpy()
    axes.set(xlabel="round", ylabel="participants")
    axes.set_title("What they did")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def contributions(result: Run, axes: Axes) -> None:
    """Draw the mean contribution of each participant by each scheme, per valued round."""
    names = [name.replace("-", "_") for name in result.scenario.contribution.schemes]
    valued = result.participants.dropna(subset=names[:1]) if names else result.participants[:0]
    axes.set_title("Contributions to the round's coalition game")
    if valued.empty:
        axes.text(0.5, 0.5, "no round was valued", ha="center", transform=axes.transAxes)
        return
    means = valued.groupby("participant")[names].mean().astype(float)
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        left = means.index.to_numpy() - 0.4 + (place + 0.5) * width
        axes.bar(left, means[name], width, label=name.replace("_", " "))
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(means.index)
    unit = UNITS.get(result.scenario.contribution.measure, "nats")
    axes.set(xlabel="participant", ylabel=f"value, {unit}")
    axes.legend()


def deviations(result: Run, axes: Axes) -> None:
    """Draw the largest mean gain from each deviation by kind, with its interval."""
    gains = result.deviation_test.gains
    axes.set_title("Would another action have paid? (Eq. 13; above 0 it would)")
    if gains.empty:
        axes.text(0.5, 0.5, "no deviation was tried", ha="center", transform=axes.transAxes)
        return
    best = gains.loc[gains.groupby(["action", "kind"])["gain"].idxmax()]
    names = sorted(best["action"].unique())
    kinds = [kind for kind in COLOURS if (best["kind"] == kind).any()]
    for place, kind in enumerate(kinds):
        rows = best[best["kind"] == kind]
        at = [names.index(name) + (place - (len(kinds) - 1) / 2) * 0.2 for name in rows["action"]]
        half = (rows["high"] - rows["gain"]).fillna(0.0)
        axes.errorbar(
            at, rows["gain"], yerr=half, fmt="o", ms=4, capsize=2, color=COLOURS[kind], label=kind
        )
    reach = float(best["gain"].abs().max()) * 2 + 1
    axes.set_ylim(max(axes.get_ylim()[0], -reach), min(axes.get_ylim()[1], reach))
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(names)), names, rotation=20)
    axes.set_ylabel("largest gain, money")
    axes.legend()


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
        raise UserError(f"unknown figure '{name}'; expected one of: {', '.join(figures)}")
