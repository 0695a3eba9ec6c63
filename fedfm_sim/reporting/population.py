"""What a run of a population prints, and its report: one picture and the runs behind it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isnan
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from fedfm_sim.reporting.figures import STYLE, mark_of, on_new_axes, whole_numbers
from fedfm_sim.reporting.labels import key, wrapped
from fedfm_sim.reporting.page import Section, write_page
from fedfm_sim.reporting.palette import colour_of, colours_of
from fedfm_sim.reporting.results import PopulationRun
from fedfm_sim.reporting.sources import sources_of
from fedfm_sim.reporting.terminal import print_table
from fedfm_sim.scenarios.lock import to_toml

#: Rows of the printed table; a longer run is thinned out.
SHOWN = 12


def print_population(result: PopulationRun, console: Console) -> None:
    """Print shares and outcomes by round, and what the surface misses by."""
    actions = result.actions
    named = ("round", *actions, "accuracy", "attack success", "lost", "utility")
    every = max(1, -(-len(result.rounds) // SHOWN))
    last = len(result.rounds) - 1
    rows = [
        [
            f"{row['round']:.0f}",
            *(f"{row[f'share:{name}']:.1%}" for name in actions),
            f"{row['accuracy']:.1%}",
            f"{max(row[f'success:{name}'] for name in actions):.1%}",
            "" if isnan(row["accuracy_lost"]) else f"{row['accuracy_lost']:.1%}",
            f"{row['utility']:.3f}",
        ]
        for place, (_, row) in enumerate(result.rounds.iterrows())
        if place % every == 0 or place == last
    ]
    title = "What they choose, and what it leads to"
    print_table(console, [name.replace("-", " ") for name in named], rows, title)
    console.print(money_line(result))
    console.print(measured_line(result))


def money_line(result: PopulationRun) -> str:
    """Return how many took part, and what the server is left with."""
    summary = result.summary
    return (
        f"{summary['participants']} participants; server's balance "
        f"{summary['server_balance']:.3e} money, relative money error {summary['money_error']:.1e}"
    )


def measured_line(result: PopulationRun) -> str:
    """Return how many runs the outcomes come from, and by how much the surface misses."""
    measured = result.summary["measured"]
    count = sum(run["federations"] for run in measured["runs"])
    worst, error = max(
        measured["held_out_error"].items(), key=lambda item: item[1], default=("nothing", 0.0)
    )
    return (
        f"outcomes: {count} trained federations ('{measured['table']}'); with a share point held "
        f"out the surface misses {worst} by {error:.3f} at most (root mean square), and "
        f"{measured['held_out_coverage']:.0%} of runs lie within two standard deviations"
    )


def draw_population(result: PopulationRun) -> Figure:
    """Draw the shares by round, and outcomes with two standard deviations of the surface."""
    with plt.style.context(STYLE):
        figure: Figure
        figure, panels = plt.subplots(1, len(PANELS), figsize=(11, 3.8))
        for axes, panel in zip(panels, PANELS.values(), strict=True):
            panel(result, axes)
    return figure


def draw_panel(name: str, result: PopulationRun) -> Axes:
    """Draw a panel of `PANELS` on new Axes; `UserError` when there is none of that name."""
    return on_new_axes(PANELS, name, result)


def shares(result: PopulationRun, axes: Axes) -> None:
    """Draw the share of each action by round."""
    rounds = result.rounds
    for name, colour in colours_of(result.actions).items():
        share = rounds[f"share:{name}"]
        axes.plot(rounds["round"], share, mark_of(rounds), label=name, color=colour)
    whole_numbers(axes)
    axes.set(xlabel="round", ylabel="share of participants", ylim=(0, None))
    axes.set_title("What they choose")
    key(axes)


def outcomes(result: PopulationRun, axes: Axes) -> None:
    """Draw accuracy and attack success by round, with what the surface leaves open."""
    rounds = result.rounds
    drawn = {f"success:{a}": f"success_deviation:{a}" for a in result.actions}
    drawn = {k: v for k, v in drawn.items() if rounds[k].any()}
    own = {"accuracy": "accuracy", **{success: success.partition(":")[2] for success in drawn}}
    # What is drawn beside accuracy keeps the colour that it has among the shares.
    colours = colours_of(result.actions) | {"accuracy": colour_of("accuracy")}
    for name, deviation in {"accuracy": "accuracy_deviation", **drawn}.items():
        label, colour = name.replace(":", ": "), colours[own[name]]
        axes.plot(rounds["round"], rounds[name], mark_of(rounds), label=label, color=colour)
        low, high = (rounds[name] + sign * 2 * rounds[deviation] for sign in (-1, 1))
        axes.fill_between(rounds["round"], low, high, color=colour, alpha=0.2)
    whole_numbers(axes)
    axes.set(xlabel="round", ylabel="share of test examples", ylim=(-0.02, 1.02))
    inside = result.summary["measured"]["held_out_coverage"]
    title = f"What it leads to (bands: two deviations, {inside:.0%} of held-out runs)"
    axes.set_title(wrapped(title, 44))
    key(axes)


#: The panels of the picture, by name.
PANELS: dict[str, Callable[[PopulationRun, Axes], None]] = {"shares": shares, "outcomes": outcomes}


def write_population_report(result: PopulationRun, path: Path) -> Path:
    """Write the report to ``path`` and return it; needs nothing but the file."""
    summary, measured = result.summary, result.summary["measured"]
    done = "" if summary["status"] == "finished" else f" of {result.scenario.rounds}: interrupted"
    last = pd.DataFrame(summary["shares"].items(), columns=["action", "share"])
    errors = pd.DataFrame(
        measured["held_out_error"].items(), columns=["outcome", "root mean square error, held out"]
    )
    return write_page(
        path,
        summary["scenario"],
        f"{result.scenario.description}. Seed {summary['seed']}, {summary['participants']} "
        f"participants, {summary['rounds']} rounds{done}.",
        [
            Section(
                "Shares and outcomes by round",
                figure=partial(draw_population, result) if len(result.rounds) else None,
            ),
            Section("What they choose in the last round", table=last),
            Section("Where the outcomes come from", measured_line(result) + ".", table=errors),
            Section("The runs behind them", table=pd.DataFrame(measured["runs"])),
            Section("Sources", table=sources_of(result.scenario)),
            Section("The scenario in full", listing=to_toml(result.scenario, result.seed)),
        ],
    )
