"""Is the epsilon that a run states what it spent? ``python benchmarks/truth_privacy.py``.

Random scenarios are run: shards of all sizes, actions that change, attackers, who stays out
or drops out, a sum that is secure or not, a rule that is no sum. What each participant did is
worked out again from its shard, the actions in the table and the arithmetic of the mechanism,
and composed event by event with dp-accounting. The statement has to be an upper bound, and
within 2 % of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from math import ceil

import numpy as np
import pandas as pd
from dp_accounting import ComposedDpEvent, DpEvent, GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from rich.console import Console
from rich.table import Table

import fedfm_sim as fs
from fedfm_sim.simulation.result import RunResult
from fedfm_sim.simulation.setting import Setting

#: The statement may be too high by this share, and too low by the grid of what is composed.
TOO_HIGH, TOO_LOW = 0.02, 1e-5

#: Step of the grid of privacy losses, nats.
GRID = 3e-4

#: Share of its data that each action trains on; who attacks adds no noise.
SHARES = {
    "contribute": 1.0,
    "contribute-half": 0.5,
    "contribute-quarter": 0.25,
    "label-flip": 1.0,
    "free-ride": 0.0,
    "inner-product": 0.0,
    "stay-out": 0.0,
}
ATTACKS = ("label-flip", "free-ride", "inner-product")


def drawn_scenario(rng: np.random.Generator) -> list[str]:
    """Return what makes a small scenario of the quickstart, as overrides."""
    count, malicious = int(rng.integers(3, 9)), int(rng.integers(0, 3))
    noise = round(float(rng.uniform(0.7, 4)), 2)
    overrides = [
        *(f"participants.count={count}", "participants.semi_honest=0"),
        *(f"participants.malicious={malicious}", f"rounds={rng.integers(1, 4)}"),
        *(f"training.epochs={rng.integers(1, 3)}", f"training.batch_size={rng.integers(8, 65)}"),
        f"data.partition={rng.choice(['iid', 'dirichlet', 'quantity'])}",
        *("data.alpha=2", f"data.arrival={rng.choice(['at-once', 'gradual'])}"),
        *("contribution.every=0", "deviations.rounds=0"),
        *('policies.honest="no-regret"', 'policies.malicious="no-regret"'),
        'action_sets.honest=["contribute", "contribute-half", "contribute-quarter", "stay-out"]',
        f'action_sets.malicious=["contribute", "{rng.choice(ATTACKS)}", "stay-out"]',
        rng.choice(
            [
                'defence="fedavg"',
                'defence="fedprox"',
                f'defence={{name="secure-sum", dropout={rng.uniform(0, 0.5):.2f}}}',
                'defence="median"',
            ]
        ),
    ]
    if rng.random() < 0.5:
        return [*overrides, "training.example_clip=1", f"training.example_noise={noise}"]
    among = int(rng.integers(1, count + 1))
    protection = f'"gaussian-mechanism", noise_multiplier={noise}, participants={among}'
    return [*overrides, f"protection={{name={protection}}}"]


def truth(run: RunResult) -> float:
    """Return the largest epsilon that a participant of a run of `drawn_scenario` spent."""
    held = Setting.create(run.scenario, run.seed).holdings.sizes
    each = [ComposedDpEvent(list(events_of(run, k, int(n)))) for k, n in enumerate(held)]
    return max(composed(event) for event in each)


def composed(event: DpEvent) -> float:
    """Return epsilon at delta 1e-5, adding or removing one."""
    accountant = PLDAccountant(value_discretization_interval=GRID)
    accountant.compose(event)
    return float(accountant.get_epsilon(1e-5))


def events_of(run: RunResult, participant: int, held: int) -> Iterator[DpEvent]:
    """Iterate over what one participant with ``held`` examples spent, by step or by round."""
    scenario, private = run.scenario, run.scenario.training.example_clip is not None
    for number, table in run.participants.groupby("round"):
        rows = table.set_index("participant")
        own, kept = rows.loc[participant], rows["weight"] > 0
        selected = rows["efficiency"] > 0  # whoever takes part sends and stores a model
        peeked = ((rows["action"] == "inner-product") & selected).any()
        # Who drops out of a sum that nobody looks behind gives nothing away.
        if not (selected[participant] if peeked else kept[participant]):
            continue
        if private:
            there = held
            if scenario.data.arrival == "gradual":
                there = max(1, round(number / scenario.rounds * held))
            examples = ceil(SHARES[own["action"]] * there)
            yield from steps(run, examples)
        elif own["action"] not in ATTACKS:
            honest = rows[~rows["action"].isin(ATTACKS) & kept]
            noises = honest["units_declared"] ** 2
            times = noises.sum() / own["units_declared"] ** 2
            if peeked or scenario.defence.name == "median":
                times = 1.0
            settings = scenario.protection.settings
            among = settings["participants"]
            yield GaussianDpEvent(settings["noise_multiplier"] * (times / among) ** 0.5)


def steps(run: RunResult, examples: int) -> Iterator[DpEvent]:
    """Iterate over the steps of DP-SGD of one participant in one round."""
    training = run.scenario.training
    if examples:
        rate = min(1.0, training.batch_size / examples)
        step = PoissonSampledDpEvent(rate, GaussianDpEvent(training.example_noise))
        yield from [step] * (training.epochs * ceil(examples / training.batch_size))


def truth_table(scenarios: int = 20, seed: int = 0) -> pd.DataFrame:
    """Return ``stated`` and ``composed`` epsilon and their ``ratio``, for random scenarios."""
    rows = []
    for number in range(scenarios):
        rng = np.random.default_rng([seed, number])
        overrides = drawn_scenario(rng)
        run = fs.run("quickstart", seed=number, overrides=overrides)
        stated, found = run.summary["privacy_spent"]["epsilon"], truth(run)
        rows.append(
            {
                "defence": run.scenario.defence.name,
                "level": run.summary["privacy_spent"]["adjacency"].split()[-1],
                "participants": run.summary["participants"],
                "rounds": run.summary["rounds"],
                "stated": stated,
                "composed": found,
                "ratio": stated / found if found else 1.0 + stated,
            }
        )
    return pd.DataFrame(rows)


def true(table: pd.DataFrame) -> bool:
    """Return whether all statements are upper bounds within 2 %."""
    return bool(table["ratio"].between(1 - TOO_LOW, 1 + TOO_HIGH).all())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    table = truth_table(arguments.scenarios, arguments.seed)
    shown = Table(*table.columns, title="Epsilon stated, and composed again (delta 1e-5)")
    for _, row in table.iterrows():
        shown.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row))
    Console(width=120).print(shown)
    if not true(table):
        raise SystemExit("a statement is too low, or more than 2 % too high")


if __name__ == "__main__":
    main()
