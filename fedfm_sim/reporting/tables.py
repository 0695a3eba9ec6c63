"""What a run prints in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console

from fedfm_sim.core.intervals import Estimate
from fedfm_sim.reporting.results import Leaving, Run
from fedfm_sim.reporting.terminal import print_table


def print_result(result: Run, console: Console) -> None:
    """Print utilities by kind, accuracy by round, what attacks did and epsilon*."""
    summary = result.summary
    if len(result.participants):
        _print_by_kind(result, console)
        _print_by_round(result, console)
    console.print(model_line(summary))
    if result.departure is not None:
        print_departure(result.departure, console)
    for line in ownership_lines(summary):
        console.print(line)
    for line in privacy_lines(summary):
        console.print(line, markup=False)
    for line in deviation_lines(summary):
        console.print(line)
    for line in remark_lines(summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def model_line(summary: Mapping[str, Any]) -> str:
    """Return what became of the shared model and the money."""
    return (
        f"accuracy {summary['accuracy_before']:.1%} -> {summary['accuracy_after']:.1%}, "
        f"attack success {summary['attack_success']:.1%}, "
        f"lost to attackers {summary['accuracy_lost']:.1%} a round, "
        f"money error {summary['money_error']:.1e}"
    )


def privacy_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what was spent of differential privacy, and what that assumes, two lines each."""
    lines, stated = [], summary["privacy_spent"]
    while stated is not None:
        lines += [
            f"privacy: {privacy_statement(stated)}",
            "  assumes: " + "; ".join(stated["assumes"]),
        ]
        stated = stated.get("also")
    return lines


def privacy_statement(stated: Mapping[str, Any]) -> str:
    """Return one statement of epsilon in words, without what it assumes."""
    who = f", of participant {stated['participant']}" if stated["participant"] is not None else ""
    text = (
        f"epsilon {_bound(stated['epsilon'])} at delta {stated['delta']:g}, "
        f"{stated['adjacency']}{who}"
    )
    if "epsilon_of_uploads" in stated:
        text += f"; {_bound(stated['epsilon_of_uploads'])} towards who sees single uploads"
    if stated.get("unprotected"):
        bare = ", ".join(map(str, stated["unprotected"]))
        text += f"; no bound for participants {bare}, who sent data unprotected"
    return text


def _bound(epsilon: float | None) -> str:
    return "unbounded" if epsilon is None else f"{epsilon:.2f}"


def deviation_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what the best deviation would have brought; nothing where none was tried."""
    best = summary["epsilon_star_deviation"]
    if best is None:
        return []
    found = epsilon_star(summary)
    tempts = ": nothing shows that any pays" if found.low == 0 else ""
    return [
        f"epsilon* = {found} money a round, over {best['of']} deviations in {best['rounds']} "
        f"rounds{tempts}; the best is participant {best['participant']} always playing "
        f"'{best['action']}'"
    ]


def epsilon_star(summary: Mapping[str, Any]) -> Estimate:
    """Return epsilon* of a run with its interval; there is one where deviations were tried."""
    best = summary["epsilon_star_deviation"]
    return Estimate.read(summary["epsilon_star"], best["low"], best["high"])


def remark_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what was done to make things fit, and which conditions of rules did not hold."""
    return [f"note: {remark}" for remark in summary.get("remarks", ())]


def print_departure(departure: Leaving, console: Console) -> None:
    """Print executors beside retraining, and shares before and after."""
    print_forgetting(departure.table, console)
    shares = [
        [f"{row['participant']:.0f}", f"{row['before']:.2f}", f"{row['after']:.2f}"]
        for _, row in departure.shares.iterrows()
    ]
    headings = ("participant", "share before", "after")
    print_table(console, headings, shares, "Settled again, money")
    chosen = departure.summary
    console.print(
        f"forgotten by {chosen['executor']} for {chosen['money']:.2f} money (retraining costs "
        f"{chosen['retraining_money']:.2f}); threatening to leave is worth "
        f"{chosen['threat']:.2f} on top of a share of {chosen['share']:.2f}"
    )


def ownership_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of marks and thefts, a line each."""
    lines = []
    if (marks := summary["marks"]) is not None:
        lines.append(
            f"marks: {marks['standing']:.0%} of {marks['claims']} claims stand, "
            f"{marks['detection']:.1%} of bits or triggers read, largest p {marks['p_value']:.1e}"
        )
    if (theft := summary["theft"]) is not None:
        lines.append(
            f"theft: {theft['sales']} copies sold for {theft['gain']:.2f} money each, "
            f"{theft['traced']:.0%} traced; at a fine of {theft['fine']:g} selling stops to pay "
            f"from a watch rate of {_rate(theft['threshold'])} on "
            f"(95 % interval over sales {_rate(theft['low'])} to {_rate(theft['high'])}), "
            f"{_rate(theft['simulated'])} by played lotteries"
        )
    return lines


def _rate(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _print_by_kind(result: Run, console: Console) -> None:
    means = result.by_kind()
    rows = [[str(kind), *(f"{value:.3f}" for value in row)] for kind, row in means.iterrows()]
    print_table(console, ["kind", *means.columns], rows, "Mean per participant and round")


#: Columns of the table of rounds: headings and formats.
ROUNDS = {
    "round": ("round", "{}"),
    "accuracy": ("accuracy", "{:.1%}"),
    "attack_success": ("attack success", "{:.1%}"),
    "accuracy_lost": ("accuracy lost", "{:.1%}"),
    "price": ("price", "{:.4f}"),
    "payments": ("paid", "{:.2f}"),
    "fines": ("fines", "{:.2f}"),
    "convicted": ("convicted", "{}"),
}


def _print_by_round(result: Run, console: Console) -> None:
    rows = [
        [form.format(getattr(row, name)) for name, (_, form) in ROUNDS.items()]
        for row in result.rounds.itertuples()
    ]
    print_table(console, [heading for heading, _ in ROUNDS.values()], rows, "The shared model")


def print_comparison(cells: pd.DataFrame, headings: Mapping[str, str], console: Console) -> None:
    """Print one row per alternative, one column per measure, from cells in words."""
    rows = [
        [*map(str, index if isinstance(index, tuple) else (index,)), *row]
        for index, row in cells.iterrows()
    ]
    keys = list(map(str, cells.index.names))
    named = [*keys, *(headings[name] for name in cells.columns)]
    title = "Mean over seeds, with 95 % intervals (paid, U and epsilon* in money)"
    print_table(console, named, rows, title, keys=len(keys))


#: Columns of an unlearning comparison: heading and format.
FORGETTING = {
    "accuracy": ("accuracy", "{:.1%}"),
    "forget_accuracy": ("forgotten", "{:.1%}"),
    "attack_success": ("attack", "{:.1%}"),
    "membership": ("member", "{:+.2f}"),
    "distance": ("distance", "{:.2f}"),
    "relearn": ("relearn", "{:.2f}"),
    "speed_up": ("speed-up", "{:.1f}"),
    "miss": ("miss", "{:.3f}"),
    "money": ("money", "{:.2f}"),
}


def forgetting_headings(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of an unlearning comparison that have figures, with their headings."""
    return {
        name: heading
        for name, (heading, _) in FORGETTING.items()
        if name in table and not table[name].isna().all()
    }


def print_forgetting(table: pd.DataFrame, console: Console) -> None:
    """Print unlearned models beside the original and the retrained one."""
    columns = forgetting_headings(table)
    rows = [
        [str(row["executor"]), *(FORGETTING[name][1].format(row[name]) for name in columns)]
        for _, row in table.iterrows()
    ]
    title = "Measured beside retraining without the data"
    print_table(console, ["executor", *columns.values()], rows, title)
