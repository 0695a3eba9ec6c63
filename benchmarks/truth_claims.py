"""Claims of foreign keys on models that nobody marked: ``python benchmarks/truth_claims.py``.

A p-value is one if on every model at most a share a of foreign keys stands at p <= a. Adapters
are trained on digits as they are, faded, inverted, with one answer for all, with random
answers and by a federation; their p-values are counted for 2,000 foreign keys of every
scheme. The innocent of a traced copy are counted too: their marks are in the copies of others'
federation. About four minutes of one core.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.datasets.notes import load_notes_split
from fedfm_sim.learning.domains import domain
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.watermarks import WATERMARKS, World, without_marks
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.removal import false_claims, false_trigger_claims
from fedfm_sim.security.watermarks.signed import private_key, signed_key
from fedfm_sim.security.watermarks.triggers import trigger_set

KEYS = 2000
LEVELS = (0.05, 0.01, 0.001)
STYLES = ("noise", "pattern", "grid")
TRIGGERS = 30
#: A trace tries one key for each client.
CLIENTS = 10
EXAMPLES = 240


def truth_of_claims(keys: int = KEYS, traced: bool = True) -> pd.DataFrame:
    """Return how often foreign keys claim: one row for each scheme, style and model.

    Columns: scheme, style, model, keys, the shares at p <= 0.05, 0.01 and 0.001, and how many
    claims stand at 1e-6.
    """
    rows = images(keys) + texts(keys)
    if traced:
        rows += innocents("fedtracker", clients=8) + innocents("dynamic-fingerprints", clients=4)
        rows += innocents("unique-triggers", clients=4, seeds=1)
    return pd.DataFrame(rows)


def row_of(scheme: str, style: str, model: str, values: Array) -> dict[str, object]:
    """Return one row of the table from p-values."""
    shares = {f"p <= {level:g}": float((values <= level).mean()) for level in LEVELS}
    claims = {"claims": int((values <= 1e-6).sum())}
    return {"scheme": scheme, "style": style, "model": model, "keys": len(values)} | shares | claims


def images(keys: int) -> list[dict[str, object]]:
    federation, models = unmarked()
    names, adapters = list(models), torch.stack(list(models.values()))
    foreign = [Key.draw(str(k), rng) for k, rng in enumerate(generators("strangers", keys))]
    signed = [signed_key(k.owner, private_key(bytes.fromhex(k.secret))) for k in foreign]
    rows = []
    for scheme, tried in (("bits", foreign), ("fedsov", signed)):
        values = false_claims(federation, list(adapters), tried)
        rows += [row_of(scheme, "64 bits", n, v) for n, v in zip(names, values, strict=True)]
        if scheme == "bits":  # of CLIENTS keys, whether one is accused after Bonferroni
            best = values.reshape(len(names), -1, CLIENTS).min(2) * CLIENTS
            rows += [row_of("trace", "64 bits", n, v) for n, v in zip(names, best, strict=True)]
    public = load_digits_split().public
    for style in STYLES:
        sets = [trigger_set(key, public, 10, TRIGGERS, style) for key in foreign]  # type: ignore[arg-type]
        values = false_trigger_claims(federation, adapters, sets, 10)
        rows += [row_of("triggers", style, n, v) for n, v in zip(names, values, strict=True)]
    return rows


def unmarked() -> tuple[Federation, dict[str, Tensor]]:
    """Return a federation and adapters of it that were trained without a mark."""
    federation = Federation.create(
        load_backbone("digits-vit"), LoraSettings(rank=4, alpha=8.0), TrainingSettings(epochs=4), 0
    )
    private, rng = load_digits_split().private, np.random.default_rng(0)
    pixels, labels = private.inputs["pixel_values"][:EXAMPLES], private.labels[:EXAMPLES]
    faded = domain("faded")(pixels, rng)
    shards = {
        "digits": (pixels, labels),
        "faded": (faded, labels),
        "inverted": (1 - pixels, labels),
        "one answer": (pixels, torch.zeros_like(labels)),
        "random answers": (pixels, torch.from_numpy(rng.integers(0, 10, len(labels)))),
    }
    trained = federation.train(
        [Examples({"pixel_values": x}, y) for x, y in shards.values()],
        generators("train", len(shards)),
    ).adapters
    models = {"untrained": federation.initial} | dict(zip(shards, trained, strict=True))
    mean = trained[:3].mean(0)  # three clients of three domains
    return federation, models | {"federated": mean}


def texts(keys: int) -> list[dict[str, object]]:
    backbone, notes = load_backbone("notes-llama"), load_notes_split()
    federation = Federation.create(backbone, LoraSettings(rank=4, alpha=8.0), TrainingSettings(), 0)
    trained = federation.train(
        [notes.private.select(slice(0, 200))], generators("notes", 1)
    ).adapters
    adapters = torch.cat([federation.initial[None], trained])
    words = backbone.answers
    sets = [
        trigger_set(Key.draw("", rng), notes.public, words, 8) for rng in generators("texts", keys)
    ]
    values = false_trigger_claims(federation, adapters, sets, words)
    names = ("untrained", "notes")
    return [row_of("triggers", "texts", n, v) for n, v in zip(names, values, strict=True)]


def innocents(
    scheme_name: str, clients: int, rounds: int = 3, seeds: int = 2
) -> list[dict[str, object]]:
    """Return p-values of clients on what they did not leak: the model of all, others' copies."""
    shared, others = [], []
    for seed in range(seeds):
        scheme, adapter = federate(scheme_name, clients, rounds, seed)
        copies = scheme.copies(adapter, rounds)
        shared += [c.p_value / clients for c in scheme.trace(adapter).claims]
        for k, copy in enumerate(copies):
            claims = scheme.trace(copy).claims
            others += [c.p_value / clients for j, c in enumerate(claims) if j != k]
    return [
        row_of(scheme_name, "innocent", "model of all", np.array(shared)),
        row_of(scheme_name, "innocent", "others' copies", np.array(others)),
    ]


def federate(scheme_name: str, clients: int, rounds: int, seed: int):  # type: ignore[no-untyped-def]
    """Return a scheme after some rounds, and the adapter of all."""
    data, streams = load_digits_split(), Streams(seed, "truth-claims")
    federation = Federation.create(
        load_backbone("digits-vit"), LoraSettings(rank=4, alpha=8.0), TrainingSettings(), seed
    )
    scheme = WATERMARKS[scheme_name]()
    scheme.enter(World(federation, clients, data.public, data.validation, 10, streams))
    shards = [data.private.select(slice(60 * k, 60 * (k + 1))) for k in range(clients)]
    adapter = federation.initial
    for number in range(rounds):
        copies = scheme.copies(adapter, number)
        draws = [streams.generator("train", number, k) for k in range(clients)]
        rows = federation.train(shards, draws, copies).adapters
        adapter = scheme.mark_shared(without_marks(rows, copies, adapter).mean(0), number)
        scheme.take_note(number, range(clients))
    return scheme, adapter


def generators(purpose: str, count: int) -> list[np.random.Generator]:
    streams = Streams(0, "truth-claims")
    return [streams.generator(purpose, k) for k in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=KEYS, help=f"foreign keys, tens; {KEYS}")
    parser.add_argument("--no-traces", action="store_true", help="leave the federations out")
    arguments = parser.parse_args()
    started = perf_counter()
    table = truth_of_claims(arguments.keys, not arguments.no_traces)
    console = Console(width=120)
    console.print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    console.print(f"{table['claims'].sum()} claims stand; {perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
