"""Times and errors of contribution evaluation: ``python benchmarks/economics.py``.

Prints how long exact solutions take, and how far estimators are from the exact
Shapley value at equal numbers of evaluations, beside pyDVL and shapiq where
these are installed. pyDVL 0.10 asks for a NumPy older than ours but runs with it:
``pip install shapiq && pip install --no-deps pyDVL``. The games are the same for
all, and no parameter was fitted to them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution import evaluate
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.contribution.nucleolus import nucleolus, prenucleolus
from fedfm_sim.mechanisms.contribution.shapley import shapley_values
from fedfm_sim.reporting.figures import STYLE
from fedfm_sim.reporting.labels import key, plain_powers
from fedfm_sim.reporting.palette import colours_of

warnings.simplefilter("ignore")

Estimator = Callable[[CoalitionGame, int, int], Values]
BUDGETS = (50, 100, 200, 500)
OURS = ("permutation", "truncated", "gtg", "stratified", "kernel-shap")
PLAYERS = 10


def federated(seed: int, players: int = PLAYERS) -> CoalitionGame:
    """Return accuracy against pooled data: saturating by class, of mixed quality, noisy.

    Sizes are lognormal, qualities uniform, labels Dirichlet(0.5) over ten
    classes; each class's accuracy rises as ``1 - exp(-amount)`` to 95 %, and
    every coalition's measurement has a noise of 0.3 points.
    """
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(0, 0.6, players) * rng.uniform(0.3, 1, players)
    classes = rng.dirichlet(np.full(10, 0.5), players)
    noise = rng.normal(0, 0.003, 1 << players)

    def accuracy(masks: Masks) -> Values:
        held = (members(masks, players) * amount) @ classes
        learnt = 1 - np.exp(-25 / players * held)
        return np.asarray(0.1 + 0.85 * learnt.mean(axis=1) + noise[masks])

    return CoalitionGame(players, accuracy)


def ours(method: str) -> Estimator:
    """Return one of our sampled schemes."""
    return lambda game, budget, seed: (
        evaluate(game, method, budget=budget, rng=np.random.default_rng(seed)).values
    )


def shapiq_estimators() -> Iterator[tuple[str, Estimator]]:
    """Yield shapiq's estimators of the Shapley value."""
    from shapiq import approximator

    def run(
        kind: Callable[..., Any], game: CoalitionGame, budget: int, seed: int, **options: Any
    ) -> Values:
        powers = 1 << np.arange(game.players)

        def worth(rows: Any) -> Values:
            return game.values(np.atleast_2d(rows).astype(np.int64) @ powers)

        made = kind(n=game.players, random_state=seed, **options)
        return np.asarray(made.approximate(budget, worth).get_n_order_values(1))

    for name in ("PermutationSamplingSV", "StratifiedSamplingSV", "SVARM", "KernelSHAP"):
        kind = getattr(approximator, name)
        yield f"shapiq {name}", lambda g, b, s, kind=kind: run(kind, g, b, s)
    paired = approximator.KernelSHAP
    yield "shapiq KernelSHAP, paired", lambda g, b, s: run(paired, g, b, s, pairing_trick=True)


def pydvl_estimators() -> Iterator[tuple[str, Estimator]]:
    """Yield pyDVL's permutation sampler, whole and truncated."""
    from pydvl import valuation
    from pydvl.valuation.utility.base import UtilityBase

    class Worth(UtilityBase):  # type: ignore[misc]
        def __init__(self, game: CoalitionGame) -> None:
            self.game = game

        def __call__(self, sample: object) -> float:
            chosen = () if sample is None else tuple(int(i) for i in sample.subset)  # type: ignore
            return self.game.value(*chosen)

    def permutation(game: CoalitionGame, budget: int, seed: int) -> Values:
        data = valuation.Dataset(np.zeros((game.players, 1)), np.zeros(game.players))
        orders = max(1, (budget - 2) // (game.players - 1))
        method = valuation.ShapleyValuation(
            Worth(game),
            valuation.PermutationSampler(valuation.NoTruncation(), seed=seed),
            valuation.MinUpdates(orders),
            progress=False,
        )
        return np.asarray(method.fit(data).result.sort(key="index").values)

    yield "pyDVL permutation", permutation


def times() -> Table:
    """Return how long exact solutions take, in seconds."""
    table = Table(title="Exact solutions from a table of values, seconds")
    for name in ("what", "players", "median", "slowest of 3 games"):
        table.add_column(name, justify="right")
    cases: list[tuple[str, Callable[[CoalitionGame], object], tuple[int, ...]]] = [
        ("Shapley", shapley_values, (10, 14, 16, 20)),
        ("least core", least_core, (10, 16, 20, 24)),
        ("nucleolus", nucleolus, (10, 14)),
        ("prenucleolus", prenucleolus, (10, 14)),
    ]
    for name, solve, sizes in cases:
        for players in sizes:
            seconds = []
            for seed in range(3):
                game = _table_game(seed, players)
                started = time.perf_counter()
                solve(game)
                seconds.append(time.perf_counter() - started)
            median = f"{np.median(seconds):.3f}"
            table.add_row(name, str(players), median, f"{max(seconds):.3f}")
    return table


def _table_game(seed: int, players: int) -> CoalitionGame:
    rng = np.random.default_rng(seed)
    worth = rng.lognormal(0, 0.5, players)
    sums = np.zeros(1 << players)
    for player, value in enumerate(worth):
        sums[1 << player : 2 << player] = sums[: 1 << player] + value
    # Together they are worth more than apart, so that there are imputations.
    table = (sums / worth.sum()) ** 1.5 + rng.normal(0, 0.02, sums.size)
    table[0], table[-1] = 0.0, 1.2
    return CoalitionGame.from_table(table)


def errors(games: int, draws: int) -> pd.DataFrame:
    """Return each estimator's relative L2 error by budget, over games and draws."""
    estimators: dict[str, Estimator] = {name: ours(name) for name in OURS}
    for package, peers in (("shapiq", shapiq_estimators), ("pydvl", pydvl_estimators)):
        if find_spec(package):
            estimators |= dict(peers())
        else:
            Console().print(f"{package} is not installed: left out")
    rows = []
    for number in range(games):
        game = federated(number)
        exact = shapley_values(game)
        for name, estimate in estimators.items():
            for budget in BUDGETS:
                for draw in range(draws):
                    try:
                        values = estimate(game, budget, draw)
                    except UserError:  # the budget does not cover one sample
                        continue
                    error = float(np.linalg.norm(values - exact) / np.linalg.norm(exact))
                    rows.append({"estimator": name, "budget": budget, "error": error})
    return pd.DataFrame(rows)


def error_table(found: pd.DataFrame) -> Table:
    """Return mean and 90th percentile of the errors."""
    table = Table(title="Relative L2 error to the exact Shapley value: mean (90th percentile)")
    table.add_column("estimator")
    for budget in BUDGETS:
        table.add_column(f"{budget}", justify="right")
    grouped = found.groupby(["estimator", "budget"])["error"]
    means, high = grouped.mean(), grouped.quantile(0.9)
    for name in dict.fromkeys(found["estimator"]):
        cells = [
            f"{means[name, b]:.3f} ({high[name, b]:.3f})" if (name, b) in means.index else "-"
            for b in BUDGETS
        ]
        table.add_row(name, *cells)
    return table


def draw(found: pd.DataFrame, path: Path) -> None:
    """Draw the anytime curves."""
    means = found.groupby(["estimator", "budget"])["error"].mean().unstack(0)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
        colours = colours_of(found["estimator"])
        for name in colours:
            own = name in OURS
            style = {"ls": "-" if own else "--", "marker": "o" if own else "x", "ms": 4}
            axes.plot(means.index, means[name], color=colours[name], label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="coalitions valued", ylabel="relative L2 error")
        axes.minorticks_off()
        plain_powers(axes.yaxis)
        axes.set_xticks(BUDGETS, [str(b) for b in BUDGETS])
        axes.set_title(f"Estimating the Shapley value of {PLAYERS} federated players")
        key(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=10)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--picture", type=Path, default=Path("docs/economics/anytime.png"))
    options = parser.parse_args()
    console = Console(width=110)
    console.print(times())
    found = errors(options.games, options.draws)
    console.print(error_table(found))
    draw(found, options.picture)
    console.print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
