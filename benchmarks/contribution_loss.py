"""Which scheme finds planted data quality: ``python benchmarks/contribution_loss.py``.

Eight participants hold digits of one distribution, with a planted share of
wrong labels; the true contribution C* of Eq. 11 is the number of right labels.
Every scheme is ranked by its loss, with the federated trainings that it takes.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.learning.aggregation import normalised, weighted_mean
from fedfm_sim.learning.influence import influence
from fedfm_sim.mechanisms.contribution import SCHEMES, characteristic, evaluate, is_sampled
from fedfm_sim.mechanisms.contribution.cosine_gradient import cosine_gradient
from fedfm_sim.mechanisms.contribution.loss import contribution_loss, rank_correlation
from fedfm_sim.mechanisms.contribution.reconstruction import multi_round
from fedfm_sim.scenarios import Scenario
from fedfm_sim.simulation.coalitions import retrained_game
from fedfm_sim.simulation.setting import Setting

warnings.simplefilter("ignore")

NOISE = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
DOMAIN = "rotated"
ROUNDS = 4
BUDGET = 60


@dataclass
class World:
    """A federation whose data quality is known."""

    setting: Setting
    truth: Values

    @classmethod
    def create(cls, seed: int) -> World:
        """Deal the digits out, and spoil the labels as planted."""
        data = {"domains": [DOMAIN], "label_noise": list(NOISE)}
        scenario = Scenario.model_validate(
            {
                "name": "contribution-loss",
                "rounds": ROUNDS,
                "participants": {"count": len(NOISE)},
                "training": {"epochs": 1},
                "lora": {"rank": 4, "alpha": 8.0},
                "data": data,
            }
        )
        setting = Setting.create(scenario, seed)
        right = [size * (1 - n) for size, n in zip(setting.holdings.sizes, NOISE, strict=True)]
        return cls(setting, np.array(right))


def retrained(world: World) -> dict[str, tuple[Values, int]]:
    """Return every registered scheme on the retrained game, with its trainings."""
    game = retrained_game(world.setting)
    found = {}
    for name in SCHEMES:
        budget = BUDGET if is_sampled(name) else None
        rng = world.setting.streams.generator(name)
        try:
            result = evaluate(game, name, budget=budget, rng=rng)
        except ValueError as error:
            Console().print(f"{name}: {error}")
            continue
        found[f"retrained, {name}"] = result.values, result.evaluations - 1
    return found


def from_one_training(world: World) -> dict[str, tuple[Values, int]]:
    """Return what one federated training is enough for."""
    federation, held, streams = (
        world.setting.federation,
        world.setting.holdings,
        world.setting.streams,
    )
    sizes = held.sizes
    weights = normalised(sizes)
    games, importance, first = [], None, None
    for number in range(ROUNDS):
        generators = [streams.generator("train", number, k) for k in range(len(held.shards))]
        rows = federation.train(held.shards, generators).adapters
        first = rows if first is None else first
        game = federation.round_game(rows, weights, held.validation, "likelihood")
        games.append(CoalitionGame.from_table(game.table()))
        gram = federation.layout.change_gram(rows, federation.adapter).numpy()
        importance = cosine_gradient(gram, weights, importance).importance
        federation.adapter = weighted_mean(rows, federation.adapter, weights)
    gtg = [
        evaluate(game, "gtg", budget=BUDGET, rng=streams.generator("gtg", i)).values
        for i, game in enumerate(games)
    ]
    assert importance is not None
    assert first is not None
    scores = influence(
        federation.backbone, federation.layout, federation.adapter, held.shards, held.validation
    ).participants
    return {
        "reconstructed (MR), shapley": (multi_round(games), 1),
        "reconstructed, gtg": (np.sum(gtg, axis=0), 1),
        "cosine gradient (CGSV)": (importance, 1),
        "influence (DataInf)": (scores, 1),
        "similarity, shapley": (
            evaluate(characteristic.model_similarity(gram, weights)).values,
            1,
        ),
        "mutual cross-entropy, shapley": (_mutual(world, first, sizes), 1),
    }


def _mutual(world: World, rows: torch.Tensor, sizes: Values) -> Values:
    """Return the Shapley value of mutual cross-entropy, from first-round local models."""
    federation, held = world.setting.federation, world.setting.holdings
    right = np.exp(-federation.evaluate(rows, held.validation).losses.astype(np.float64))
    # The game reads the probability of the true class alone.
    others = (1 - right) / (held.data.classes - 1)
    chances = np.repeat(others[:, :, None], held.data.classes, axis=2)
    labels = held.validation.labels.numpy()
    chances[:, np.arange(len(labels)), labels] = right
    local = [
        float(federation.evaluate(federation.adapter[None], shard).losses.mean())
        for shard in held.shards
    ]
    return evaluate(characteristic.mutual_cross_entropy(chances, labels, local, sizes)).values


def from_data(world: World) -> dict[str, tuple[Values, int]]:
    """Return what needs no training; it can't see that labels are wrong."""
    held = world.setting.holdings
    counts = [np.bincount(s.labels.numpy(), minlength=held.data.classes) for s in held.shards]
    pixels = [s.inputs["pixel_values"].flatten(1).double().numpy() for s in held.shards]
    moments = np.stack([x.T @ x for x in pixels])
    return {
        "data size": (evaluate(characteristic.data_size(counts)).values, 0),
        "label diversity, shapley": (
            evaluate(characteristic.label_diversity(counts)).values,
            0,
        ),
        "mutual information, shapley": (
            evaluate(characteristic.mutual_information(moments)).values,
            0,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    losses: dict[str, list[float]] = {}
    ranks: dict[str, list[float]] = {}
    trainings: dict[str, int] = {}
    for seed in track(parser.parse_args().seeds, console=Console(stderr=True)):
        world = World.create(seed)
        for name, (values, needed) in (
            retrained(world) | from_one_training(world) | from_data(world)
        ).items():
            losses.setdefault(name, []).append(contribution_loss(values, world.truth))
            ranks.setdefault(name, []).append(rank_correlation(values, world.truth))
            trainings[name] = needed
    table = Table(title="Planted label noise: Eq. 11's loss (0 best, 2 worst), by seed")
    for column in ("scheme", "loss", "by seed", "rank correlation", "trainings"):
        table.add_column(column, justify="left" if column == "scheme" else "right")
    for name in sorted(losses, key=lambda name: float(np.mean(losses[name]))):
        by_seed = " ".join(f"{loss:.2f}" for loss in losses[name])
        mean, rank = np.mean(losses[name]), np.mean(ranks[name])
        table.add_row(name, f"{mean:.3f}", by_seed, f"{rank:.2f}", str(trainings[name]))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
