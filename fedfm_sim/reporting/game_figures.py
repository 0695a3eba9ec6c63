"""Pictures of games: payoffs with their standard errors, and who replies how."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from fedfm_sim.games.empirical import EmpiricalGame, Intervals

STYLE = str(Path(__file__).with_name("fedfm.mplstyle"))


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
                text = f"{mean:.1f}" + ("" if np.isnan(error) else f"\n±{error:.1f}")
                colour = "black" if mean > middle else "white"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
                if best[row, column]:
                    frame = plt.Rectangle(
                        (column - 0.47, row - 0.46), 0.94, 0.92, fill=False, color="#D55E00", lw=2
                    )
                    axes.add_patch(frame)
            shares = found[0].equilibrium.strategies if found else (np.zeros(0), np.zeros(0))
            axes.set_yticks(range(len(rows)), _labels(rows, shares[0]))
            axes.set_xticks(
                range(len(columns)), _labels(columns, shares[1]), rotation=30, ha="right"
            )
            axes.set_title(f"Payoff of the {players[player]}, money")
            axes.grid(False)
            figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def _labels(names: tuple[str, ...], shares: np.ndarray) -> list[str]:
    if len(shares) != len(names):
        return list(names)
    return [
        f"{name} ({share:.0%})" if share > 0.005 else name
        for name, share in zip(names, shares, strict=True)
    ]
