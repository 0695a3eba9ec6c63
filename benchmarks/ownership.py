"""Marks, traces, unlearning and theft, by measurement: ``python benchmarks/ownership.py``.

Ten clients mark a federation of real adapters; thieves wash the marks off; twenty copies
are leaked and traced; a backdoored client is forgotten by every executor, beside a
federation retrained without it; and thieves meet watch rates round the one that deters.
Three seeds. ``--out`` keeps the tables as Parquet and the pictures.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process per core is faster than threads

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

import fedfm_sim as fs
from fedfm_sim.experiments.unlearn import probes_of, request_of_model
from fedfm_sim.learning.aggregation import weighted_mean
from fedfm_sim.security.unlearning import EXECUTORS, PastRound, Request, execute_together
from fedfm_sim.security.unlearning.request import forget_client
from fedfm_sim.security.unlearning.verification import compare
from fedfm_sim.security.watermarks import Watermark, without_marks
from fedfm_sim.security.watermarks.client_marks import FedIPR
from fedfm_sim.security.watermarks.removal import (
    Distil,
    FineTune,
    Overwrite,
    Prune,
    Quantised,
    Regauge,
    Removal,
    Thief,
    false_claims,
    forged_claim,
)
from fedfm_sim.security.watermarks.triggers import with_triggers
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.setting import Setting

ROUNDS = 10
FOREIGN = 1000
console = Console(width=170)

REMOVALS: dict[str, Removal] = {
    "none": Removal(),
    **{f"prune {share:.0%}": Prune(share=share) for share in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)},
    **{f"quantise to {bits} bits": Quantised(bits=bits) for bits in (8, 4, 2)},
    **{f"fine-tune {steps} steps": FineTune(steps=steps) for steps in (50, 200, 1000)},
    "overwrite": Overwrite(),
    "regauge": Regauge(),
    "distil": Distil(),
}
#: What is done to leaked copies before they are traced.
LEAKS = ("none", "prune 50%", "quantise to 4 bits", "fine-tune 50 steps", "overwrite", "regauge")


@dataclass(frozen=True, eq=False)
class Federated:
    """A federation after its rounds."""

    setting: Setting
    scheme: Watermark
    adapter: Tensor
    history: tuple[PastRound, ...]

    @property
    def accuracy(self) -> float:
        """Test accuracy."""
        return float(self.setting.evaluator.accuracies(self.adapter[None])[0])


def federate(seed: int, *overrides: str) -> Federated:
    """Train the clients of ``honest-only`` under a watermark, all of them in every round."""
    scenario = fs.load_scenario("honest-only", overrides=overrides)
    setting = Setting.create(scenario, seed)
    federation, scheme, count = setting.federation, setting.watermark, setting.participants
    weights = np.array([len(shard) for shard in setting.holdings.shards], dtype=np.float64)
    weights /= weights.sum()
    adapter, history = federation.initial, []
    for number in range(ROUNDS):
        shards = [
            shard if (own := scheme.own_triggers(k)) is None else with_triggers(shard, own)
            for k, shard in enumerate(setting.holdings.shards)
        ]
        copies = scheme.copies(adapter, number)
        rows = federation.train(
            shards,
            [setting.streams.generator("train", number, k) for k in range(count)],
            copies,
            adjust=scheme.adjust(number),
        ).adapters
        rows = without_marks(rows, copies, adapter)
        history.append(PastRound(adapter, rows, np.arange(count), weights))
        adapter = scheme.mark_shared(weighted_mean(rows, adapter, weights), number)
        scheme.take_note(number, range(count))
    return Federated(setting, scheme, adapter, tuple(history))


def thief_of(run: Federated, client: int) -> Thief:
    """Return a client as a thief: its own data is what it has."""
    setting = run.setting
    rng = setting.streams.generator("thief", client)
    return Thief(setting.federation, setting.holdings.shards[client], rng)


def ownership(seed: int) -> pd.DataFrame:
    """Return what marks of ten clients prove, as they are and after each removal."""
    plain, marked = federate(seed), federate(seed, "watermark=fedipr")
    boxed = federate(seed, 'watermark={name="fedipr", weight=0, triggers=20, repeats=6}')
    taught = federate(seed, "watermark=waffle")
    federation = plain.setting.federation
    keys = marked.scheme.world.keys("foreign", FOREIGN)
    claims = false_claims(federation, [plain.adapter, marked.adapter], keys)
    rng = plain.setting.streams.generator("forger")
    rows: list[dict[str, Any]] = [
        {"seed": seed, "what": "unmarked accuracy", "value": plain.accuracy},
        {"seed": seed, "what": "marked accuracy", "value": marked.accuracy},
        {"seed": seed, "what": "false claims", "value": float((claims <= 1e-6).sum())},
        {"seed": seed, "what": "least foreign p", "value": float(claims.min())},
        {
            "seed": seed,
            "what": "forger's p after 1000 keys",
            "value": forged_claim(federation, plain.adapter, 1000, rng).p_value,
        },
    ]
    for scheme, run in (("bits", marked), ("client triggers", boxed), ("server triggers", taught)):
        for name, removal in REMOVALS.items():
            washed = removal.wash(run.adapter, thief_of(run, 0))
            own = run.scheme.claims(washed)
            rows.append(
                {
                    "seed": seed,
                    "what": scheme,
                    "removal": name,
                    "value": float(np.mean([c.detection for c in own])),
                    "standing": float(np.mean([c.stands for c in own])),
                    "p_value": float(max(c.p_value for c in own)),
                    "accuracy": float(run.setting.evaluator.accuracies(washed[None])[0]),
                }
            )
    return pd.DataFrame(rows + owner_unlearned(seed, marked))


def owner_unlearned(seed: int, run: Federated) -> list[dict[str, Any]]:
    """Return how many of a client's bits are left after it was unlearned."""
    setting = run.setting
    retain, forget = forget_client(setting.holdings.shards, 0)
    request = Request(
        setting.federation, run.adapter, retain, forget, setting.holdings.validation,
        setting.streams, ROUNDS, run.history, 0,
    )  # fmt: skip
    names = ("retrain", "federaser", "distillation", "adapter-negation", "fine-tune")
    made = execute_together([(EXECUTORS[name](), request) for name in names])
    return [
        {
            "seed": seed,
            "what": "owner unlearned",
            "removal": name,
            "value": run.scheme.claims(own.adapter)[0].detection,
            "p_value": run.scheme.claims(own.adapter)[0].p_value,
        }
        for name, own in zip(names, made, strict=True)
    ]


def capacity(seed: int, bits: int) -> dict[str, Any]:
    """Return how many of 10 N bits one layer holds."""
    section = f'{{name="fedipr", bits={bits}, modules=["vit.layers.1.attention.q_proj"], weight=3}}'
    run = federate(seed, f"watermark={section}")
    assert isinstance(run.scheme, FedIPR)
    detection = float(np.mean([c.detection for c in run.scheme.claims(run.adapter)]))
    return {"seed": seed, "bits": 10 * bits, "detection": detection, "accuracy": run.accuracy}


def traces(seed: int, scheme: str) -> pd.DataFrame:
    """Return whether each of twenty leaked copies is traced to its client."""
    run = federate(seed, "participants.count=20", f"watermark={scheme}")
    setting, rows = run.setting, []
    copies = run.scheme.copies(run.adapter, ROUNDS)
    generators = [setting.streams.generator("leak", k) for k in range(20)]
    trained = setting.federation.train(setting.holdings.shards, generators, copies).adapters
    leaks = {name: REMOVALS[name] for name in LEAKS} | {"a round of local training": Removal()}
    for name, removal in leaks.items():
        for client in range(20):
            source = trained if name.startswith("a round") else copies
            leaked = removal.wash(source[client], thief_of(run, client))
            found = run.scheme.trace(leaked)
            assert found is not None
            rows.append(
                {
                    "seed": seed,
                    "scheme": scheme,
                    "leak": name,
                    "right": found.suspect == client,
                    "accused": found.accused == client,
                    "wrong": found.accused not in (None, client),
                }
            )
    unmarked = run.scheme.trace(federate(seed, "participants.count=20").adapter)
    assert unmarked is not None
    rows.append(
        {"seed": seed, "scheme": scheme, "leak": "unmarked model", "right": False,
         "accused": False, "wrong": unmarked.accused is not None}
    )  # fmt: skip
    return pd.DataFrame(rows)


def unlearning(seed: int) -> pd.DataFrame:
    """Return every executor on a backdoored client beside the retrained federation."""
    overrides = ["participants.malicious=1", "contribution.every=0", "deviations.rounds=0"]
    model = FederationModel(fs.load_scenario("backdoor-undefended", overrides), seed, True)
    for _ in range(ROUNDS):
        model.step()
    client = model.setting.participants - 1
    request = request_of_model(model, client)
    names = [name for name in EXECUTORS if name != "retrain"]
    jobs = [(EXECUTORS[name](), request) for name in ("retrain", *names)]
    retrained, *made = execute_together(jobs)
    probes = probes_of(model.setting, client, model.tables()[1]["action"])
    frame = compare(request, dict(zip(names, made, strict=True)), retrained, probes)
    return frame.assign(seed=seed)


def theft(seed: int) -> dict[str, Any]:
    """Return the deterring watch rate, and how often best repliers steal below and above it."""
    found = fs.run("model-theft", seed=seed, overrides=["deviations.rounds=0"]).summary["theft"]
    repliers = 'policies.malicious={name="best-response"}'
    for name, chance in (("below", 0.5 * found["threshold"]), ("above", 1.25 * found["last"])):
        rate = f"sanctions.watch_rate={min(1.0, chance)}"
        run = fs.run("model-theft", seed=seed, overrides=[repliers, rate, "deviations.rounds=0"])
        own = run.participants[run.participants["kind"] == "malicious"]
        late = own[own["round"] > ROUNDS // 2]
        found[f"stolen_{name}"] = float(late["sold"].notna().mean())
    return {"seed": seed, **found}


def show(title: str, frame: pd.DataFrame, formats: dict[str, str]) -> None:
    """Print a frame whose index names the rows."""
    table = Table(title=title)
    table.add_column(str(frame.index.name or ""))
    for name in frame.columns:
        table.add_column(str(name).replace("_", " "), justify="right")
    for index, row in frame.iterrows():
        cells = ("-" if pd.isna(v) else formats.get(str(k), "{:.2f}").format(v)
                 for k, v in row.items())  # fmt: skip
        table.add_row(str(index), *cells)
    console.print(table)


def show_marks(frame: pd.DataFrame) -> None:
    """Print what holds of the marks, seed by seed, and what survives which removal."""
    single = frame[frame["removal"].isna()].pivot_table(
        index="what", columns="seed", values="value"
    )
    show("By seed", single, {str(seed): "{:.3g}" for seed in single.columns})
    percent = {"detection": "{:.1%}", "standing": "{:.0%}", "accuracy": "{:.1%}",
               "largest_p": "{:.0e}"}  # fmt: skip
    for what in ("bits", "client triggers", "server triggers", "owner unlearned"):
        own = frame[frame["what"] == what].groupby("removal", sort=False)
        means = own[["value", "standing", "accuracy"]].mean()
        means = means.rename(columns={"value": "detection"}).assign(largest_p=own["p_value"].max())
        show(f"{what}: mean over {frame['seed'].nunique()} seeds", means, percent)


def show_unlearning(frame: pd.DataFrame) -> None:
    """Print means over seeds, and the executors' misses of the retrained model by seed."""
    means = frame.drop(columns="seed").groupby("executor", sort=False).mean()
    shares = ("accuracy", "forget_accuracy", "retain_accuracy", "attack_success", "worst_client")
    counts = dict.fromkeys(("examples", "messages"), "{:.0f}")
    hidden = ["retain_accuracy", "cosine", "divergence", "client_spread", "messages"]
    means = means.drop(columns=hidden)
    show("Unlearning a backdoored client: mean over seeds", means,
         dict.fromkeys(shares, "{:.1%}") | counts)  # fmt: skip
    exact = frame[frame["executor"] == "retrain"].set_index("seed")
    misses = {}
    for name, own in frame[~frame["executor"].isin(["original", "retrain"])].groupby("executor"):
        rows = own.set_index("seed")
        gaps = {key: rows[key] - exact[key] for key in ("attack_success", "accuracy", "membership")}
        misses[str(name)] = {
            f"{key.replace('_success', '')} {seed}": gap
            for key, values in gaps.items() for seed, gap in values.items()
        }  # fmt: skip
    table = pd.DataFrame(misses).T
    show("Differences from the retrained model, by seed", table,
         dict.fromkeys(table.columns, "{:+.3f}"))  # fmt: skip


def draw_capacity(frame: pd.DataFrame, path: Path) -> None:
    """Draw the bits read against the bits embedded, beside FedIPR's bound."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    means = frame.groupby("bits")["detection"].agg(["mean", "min", "max"])
    bits = np.linspace(means.index.min(), means.index.max(), 400)
    for room, label, style in (
        (48 * 48, "bound of theorem 1, M = 2304 weights", "--"),
        (8 * (48 + 48 - 8), "the same with the 704 free numbers of rank 8", ":"),
    ):
        bound = np.where(bits <= room, 1, (bits + room) / (2 * bits))
        axes.plot(bits, bound, style, color="black", label=label)
    errors = [means["mean"] - means["min"], means["max"] - means["mean"]]
    axes.errorbar(means.index, means["mean"], yerr=errors, marker="o", capsize=3, label="measured")
    axes.set(xscale="log", xlabel="bits of all ten clients, K N", ylabel="share of bits read",
             ylim=(0.45, 1.03), title="Capacity of one layer's dW")  # fmt: skip
    axes.legend()
    figure.savefig(path, dpi=120)


def draw_unlearning(frame: pd.DataFrame, path: Path) -> None:
    """Draw backdoor success and membership of every executor, retraining as the yardstick.

    Costs lie so close together that points against them hide each other; each name says its own.
    """
    means = frame.drop(columns="seed").groupby("executor").mean()
    means = means.sort_values("attack_success", ascending=False)
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    for axes, (measure, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("attack_success", "backdoor success"), ("membership", "membership advantage")),
        strict=True,
    ):
        exact = float(means.loc["retrain", measure])
        axes.axvline(exact, color="black", lw=0.8, ls="--", label="retrained")
        axes.plot(means[measure], range(len(means)), "o", color="#0072B2")
        axes.grid(axis="y", color="#dddddd")
        axes.set(xlabel=label)
    names = [f"{name}, {row['examples']:,.0f}" for name, row in means.iterrows()]
    figure.axes[0].set_yticks(range(len(names)), names)
    figure.axes[0].legend(loc="upper right")
    figure.suptitle("Executor, and examples of which it took gradients", fontsize="medium")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, help="folder for tables and pictures")
    arguments = parser.parse_args()
    started, seeds = perf_counter(), arguments.seeds
    parallel = Parallel(n_jobs=arguments.jobs)
    marks = pd.concat(parallel(delayed(ownership)(s) for s in seeds), ignore_index=True)
    show_marks(marks)
    sizes = (8, 16, 32, 64, 128, 256, 512)
    filled = pd.DataFrame(parallel(delayed(capacity)(s, n) for s in seeds for n in sizes))
    show("Capacity of one layer", filled.groupby("bits")[["detection", "accuracy"]].mean(), {})
    schemes = ("fedtracker", "unique-triggers")
    work = (delayed(traces)(s, n) for s in seeds for n in schemes)
    found = pd.concat(parallel(work), ignore_index=True)
    for scheme, own in found.groupby("scheme", sort=False):
        shares = own.groupby("leak", sort=False)[["right", "accused", "wrong"]].mean()
        show(f"Tracing 20 copies by {scheme}", shares, dict.fromkeys(shares.columns, "{:.1%}"))
    forgotten = pd.concat(parallel(delayed(unlearning)(s) for s in seeds), ignore_index=True)
    show_unlearning(forgotten)
    stolen = pd.DataFrame(parallel(delayed(theft)(s) for s in seeds)).set_index("seed")
    show("Theft: the watch rate that deters, and best repliers round it", stolen,
         dict.fromkeys(("threshold", "last", "simulated", "low", "high"), "{:.3f}"))  # fmt: skip
    console.print(f"{perf_counter() - started:.0f} s")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        tables = {
            "marks": marks,
            "capacity": filled,
            "traces": found,
            "unlearning": forgotten,
            "theft": stolen.reset_index(),
        }
        for name, frame in tables.items():
            frame.to_parquet(arguments.out / f"{name}.parquet", index=False)
        draw_capacity(filled, arguments.out / "capacity.png")
        draw_unlearning(forgotten, arguments.out / "unlearning.png")


if __name__ == "__main__":
    main()
