"""Pictures of games: payoffs with standard errors, who replies how, and how play moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedfm_sim.games.dynamics import Trajectory
from fedfm_sim.games.empirical import EmpiricalGame, Intervals
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.reporting.figures import STYLE
from fedfm_sim.reporting.labels import (
    key,
    key_below,
    label_points,
    name_ticks,
    nothing,
    plain_powers,
    wrapped,
)
from fedfm_sim.reporting.palette import BLUE, GREEN, VERMILION, colours_of


def draw_payoffs(
    game: EmpiricalGame, found: tuple[Intervals, ...], players: tuple[str, str]
) -> Figure:
    """Draw both players' mean payoffs, standard errors, best replies and equilibrium play.

    A frame marks a best reply to what the other plays; the margins show the chance of each
    action in the first equilibrium.
    """
    rows, columns = game.actions
    with plt.style.context(STYLE):
        size = (5 + 1.6 * len(columns), 1.6 + 0.6 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for player, axes in enumerate(panels):
            means = game.game.payoffs[player]
            image = axes.imshow(means, cmap="viridis", aspect="auto")
            best = means == means.max(axis=player, keepdims=True)
            middle = (means.max() + means.min()) / 2
            for (row, column), mean in np.ndenumerate(means):
                error = game.standard_errors[player, row, column]
                text = amount(float(mean)) + ("" if np.isnan(error) else f"\n±{error:.2g}")
                colour = "black" if mean > middle else "white"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
                if best[row, column]:
                    frame = plt.Rectangle(
                        (column - 0.47, row - 0.46), 0.94, 0.92, fill=False, color=VERMILION, lw=2
                    )
                    axes.add_patch(frame)
            shares = found[0].equilibrium.strategies if found else (np.zeros(0), np.zeros(0))
            name_ticks(axes.yaxis, _labels(rows, shares[0]))
            name_ticks(axes.xaxis, _labels(columns, shares[1]))
            axes.set_title(f"Payoff of the {players[player]}, money")
            axes.grid(False)
            figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def draw_deterrence(table: pd.DataFrame) -> Figure:
    """Draw an attack game's deterrence ratios with their intervals; blue is deterred.

    Parameters
    ----------
    table : DataFrame
        Columns ``attack``, ``defence``, ``ratio``, ``low`` and ``high``; NaN ends for none.
    """
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("attack", "defence"))
    with plt.style.context(STYLE):
        size = (3.5 + 1.3 * len(columns), 1.8 + 0.6 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        shades = np.full((len(rows), len(columns)), np.nan)
        for _, own in table.iterrows():
            row, column = rows.index(own["attack"]), columns.index(own["defence"])
            shades[row, column] = shade = np.log2(np.clip(own["ratio"], 1 / 8, 8))
            text = _ratio_in_words(float(own["ratio"]), float(own["low"]), float(own["high"]))
            colour = "white" if abs(shade) > 2 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        image = axes.imshow(shades, cmap="RdBu", vmin=-3, vmax=3, aspect="auto")
        name_ticks(axes.xaxis, columns)
        name_ticks(axes.yaxis, rows)
        axes.set_title("Attackers' cost over benefit (deterred from 1 on)")
        axes.grid(False)
        bar = figure.colorbar(image, ax=axes, ticks=range(-3, 4), shrink=0.8)
        bar.ax.set_yticklabels(["\u2264 1/8", "1/4", "1/2", "1", "2", "4", "\u2265 8"])
    return figure


def _ratio_in_words(ratio: float, low: float, high: float) -> str:
    """Return a ratio and its interval, if any; one that is infinite throughout brings nothing."""
    if np.isnan(ratio):
        return "\N{EN DASH}"
    if low == np.inf or (np.isinf(ratio) and np.isnan(low)):
        return "brings\nnothing"
    if np.isnan(low):
        return amount(ratio, 2)
    end = f"to {amount(high, 2)}" if np.isfinite(high) else "and more"
    least = amount(low, 2)
    return f"{amount(ratio, 2)}\n{least} {end}" if np.isfinite(ratio) else f"{least}\nand more"


def amount(value: float, digits: int = 1) -> str:
    """Return a number that fits a cell: with so many digits, or from 10000 on as 1.23e+04."""
    return f"{value:.2e}" if abs(value) >= 1e4 else f"{round(value, digits) + 0.0:.{digits}f}"


def draw_best_replies(
    game: NormalFormGame, found: tuple[Intervals, ...], players: tuple[str, str]
) -> Figure:
    """Draw a game of two as a graph: from each profile an arrow to each player's best reply.

    Nobody leaves a filled profile. The first equilibrium's chances are the sizes of the rings.
    """
    rows, columns = game.actions
    first, second = game.payoffs
    stable = set(game.pure_profiles())
    with plt.style.context(STYLE):
        size = (3.4 + 1.3 * len(columns), 1.8 + 0.7 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for row, column in np.ndindex(first.shape):
            down, across = int(first[:, column].argmax()), int(second[row].argmax())
            for own, target, colour in (
                (first, (down, column), VERMILION),
                (second, (row, across), BLUE),
            ):
                # Nobody leaves for what is just as good.
                if own[target] > own[row, column] + 1e-9 * game.scale:
                    arrow = _ARROW | {"color": colour, "connectionstyle": _bow(row, column, target)}
                    axes.annotate("", target[::-1], (column, row), arrowprops=arrow)
            filled = GREEN if (row, column) in stable else "white"
            axes.plot(column, row, "o", markersize=10, color=filled, markeredgecolor="#444444")
        if found:
            x, y = found[0].equilibrium.strategies
            chances = np.outer(x, y)
            for row, column in np.argwhere(chances > 0.005):
                ring = 14 + 16 * float(chances[row, column])
                axes.plot(column, row, "o", markersize=ring, color="none", markeredgecolor="black")
        name_ticks(axes.xaxis, columns)
        name_ticks(axes.yaxis, rows)
        axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(rows) - 0.4, -0.6))
        axes.set_title(f"Best replies: {players[0]} up and down, {players[1]} across")
        axes.grid(False)
    return figure


def draw_trajectories(
    game: NormalFormGame, paths: Mapping[str, Trajectory], found: tuple[Intervals, ...]
) -> Figure:
    """Draw how learning moves: in the first player's simplex, and how far from equilibrium.

    The simplex is of the three actions that are played most; a player of two has a line of
    shares instead. Regret is that of the strategies passed through.
    """
    names = game.actions[0]
    with plt.style.context(STYLE):
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        played = np.sum([path.strategies[0].mean(0) for path in paths.values()], axis=0)
        most = np.sort(np.argsort(-played, kind="stable")[:3])
        colours = colours_of(paths)
        for name, path in paths.items():
            colour = colours[name]
            steps = np.arange(1, len(path.regrets) + 1)
            own = path.strategies[0]
            if len(names) < 3:
                left.plot(steps, own[:, 0], color=colour, label=name, lw=1.2)
            else:
                x, y = _in_simplex(own[:, most])
                left.plot(x, y, color=colour, label=name, lw=1.2, alpha=0.8)
                left.plot(x[-1], y[-1], "o", color=colour, markersize=6)
            right.plot(steps, np.maximum(path.regrets, 1e-12), color=colour, label=name, lw=1.2)
        equilibria = [own.equilibrium.strategies[0] for own in found]
        if len(names) < 3:
            for own in equilibria:
                left.axhline(own[0], color="black", ls=":", lw=1)
            left.set(
                xscale="log",
                xlabel="step",
                ylabel=wrapped(f"share of {names[0]}", 40),
                ylim=(-0.02, 1.02),
            )
            plain_powers(left.xaxis)
        else:
            _frame(left, [names[m] for m in most])
            for own in equilibria:
                left.plot(*_in_simplex(own[None, most]), "k*", markersize=12)
        left.set_title("Play of the first player (black: equilibria)")
        right.set(xscale="log", yscale="log", xlabel="step", ylabel="largest regret, money",
                  ylim=(1e-4 * game.scale, None))  # fmt: skip
        plain_powers(right.xaxis, right.yaxis)
        right.set_title("How far from an equilibrium")
        key(right)
        if max(float(path.regrets.max()) for path in paths.values()) < 1e-12:
            nothing(right, "nobody ever regrets anything")
    return figure


def draw_front(front: pd.DataFrame) -> Figure:
    """Draw total utility against total cost of every profile (Eq. 14), the front joined."""
    with plt.style.context(STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        colours = colours_of(map(str, front["rule"].unique()))
        for rule, part in front.groupby("rule", sort=False):
            axes.plot(part["cost"], part["welfare"], "o", color=colours[str(rule)], label=str(rule))
        best = front[front["best"]].sort_values("cost")
        axes.plot(best["cost"], best["welfare"], color="black", lw=1, label="Pareto front")
        axes.set(xlabel="total cost, money per round", ylabel="total utility, money per round")
        axes.set_title("Utility of all, the server included, against cost")
        key_below(axes)
        label_points(axes, best[["cost", "welfare"]].to_numpy(), best["profile"].tolist())
    return figure


def _bow(row: int, column: int, target: tuple[int, int]) -> str:
    """Return how an arrow curves: long ones less, so that they stay within the frame."""
    length = abs(target[0] - row) + abs(target[1] - column)
    return f"arc3,rad={0.36 / (1 + length):.3f}"


_ARROW = {
    "arrowstyle": "->",
    "alpha": 0.55,
    "shrinkA": 7,
    "shrinkB": 7,
}

#: The corners of a simplex of three actions.
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def _in_simplex(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of shares (k, 3); what is played beside them goes to all alike."""
    whole = shares + (1 - shares.sum(1, keepdims=True)) / 3
    points = whole @ _CORNERS
    return points[:, 0], points[:, 1]


def _frame(axes: Axes, names: Sequence[str]) -> None:
    around = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(around[:, 0], around[:, 1], color="#888888", lw=1)
    places = ((0, -0.03, "top"), (0, -0.03, "top"), (0, 0.03, "bottom"))
    for (x, y), name, (*place, at) in zip(_CORNERS, names, places, strict=True):
        axes.text(x + place[0], y + place[1], wrapped(name, 18), ha="center", va=at, fontsize=9)
    axes.set(xlim=(-0.15, 1.15), ylim=(-0.12, 1.0), aspect="equal")
    axes.axis("off")


def _labels(names: tuple[str, ...], shares: np.ndarray) -> list[str]:
    if len(shares) != len(names):
        return list(names)
    return [
        f"{name} ({share:.0%})" if share > 0.005 else name
        for name, share in zip(names, shares, strict=True)
    ]
