"""Executors on a real federation with one backdoored member, always beside retraining."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.aggregation import normalised, weighted_mean
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.domains import domain
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.learning.trainer import TrainingSettings, example_gradients
from fedfm_sim.security.attacks.backdoor import Backdoor
from fedfm_sim.security.unlearning import EXECUTORS, Unlearned, execute_together
from fedfm_sim.security.unlearning.ascent import (
    GradientAscent,
    ProjectedAscent,
    ignorant,
    loss_over_chance,
    mixture,
)
from fedfm_sim.security.unlearning.editing import (
    AdapterNegation,
    Distillation,
    Scrubbing,
    subtracted,
)
from fedfm_sim.security.unlearning.past_round import PastRound
from fedfm_sim.security.unlearning.request import Request, forget_class, forget_client
from fedfm_sim.security.unlearning.retraining import FedEraser, Fused, Retrain, calibrated
from fedfm_sim.security.unlearning.verification import Probes, compare, discrepancy

MEMBERS, ROUNDS, SHARD, BAD = 5, 5, 60, 4
NAMES = tuple(name for name in EXECUTORS if name != "retrain")


def turned(examples: Examples) -> Examples:
    pixels = domain("rotated")(examples.inputs["pixel_values"], np.random.default_rng(0))
    return Examples({"pixel_values": pixels}, examples.labels)


@cache
def finished() -> tuple[Request, Probes]:
    """Return a federation of five, the last with a backdoor, after five rounds."""
    data, streams = load_digits_split(), Streams(0, "unlearning")
    federation = Federation.create(
        load_backbone("digits-vit"), LoraSettings(rank=4, alpha=8.0), TrainingSettings(), 0
    )
    private, test = turned(data.private), turned(data.test)
    shards = [private.select(slice(SHARD * k, SHARD * (k + 1))) for k in range(MEMBERS)]
    clean, attack = shards[BAD], Backdoor()
    shards[BAD] = attack.poison(clean, 10, np.random.default_rng(0))
    weights = normalised(np.array([len(shard) for shard in shards], dtype=np.float64))
    adapter, history = federation.initial, []
    for number in range(ROUNDS):
        generators = [streams.generator("train", number, k) for k in range(MEMBERS)]
        rows = federation.train(shards, generators, adapter.repeat(MEMBERS, 1)).adapters
        rows[BAD] = adapter + 2 * (rows[BAD] - adapter)
        history.append(PastRound(adapter, rows, np.arange(MEMBERS), weights))
        adapter = weighted_mean(rows, adapter, weights)
    retain, forget = forget_client(shards, BAD)
    request = Request(
        federation, adapter, retain, forget, turned(data.validation), streams, ROUNDS,
        tuple(history), BAD,
    )  # fmt: skip
    # Those who stay share the test among themselves.
    each = len(test) // (MEMBERS - 1)
    parts = [test.select(slice(each * k, each * (k + 1))) for k in range(MEMBERS - 1)]
    probes = Probes(test, (*parts, test), clean, test, attack.triggered_test(test))
    return request, probes


def by_executor(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the rows of a comparison by name."""
    rows = frame.to_dict(orient="records")
    return {
        str(row["executor"]): {str(k): float(v) for k, v in row.items() if k != "executor"}
        for row in rows
    }


@cache
def executed() -> dict[str, Unlearned]:
    """Return what every executor makes, all in one batch."""
    names = ("retrain", *NAMES)
    made = execute_together([(EXECUTORS[name](), finished()[0]) for name in names])
    return dict(zip(names, made, strict=True))


@cache
def table() -> dict[str, dict[str, float]]:
    request, probes = finished()
    made = dict(executed())
    return by_executor(compare(request, made, made.pop("retrain"), probes))


def test_the_federation_was_backdoored_and_retraining_is_not() -> None:
    own = table()
    assert own["original"]["attack_success"] > 0.6
    assert own["retrain"]["attack_success"] < 0.25
    assert own["original"]["membership"] > own["retrain"]["membership"] + 0.05


def test_retraining_is_exact() -> None:
    """It is the federation that never had the participant, bit for bit."""
    request, _ = finished()
    made = executed()["retrain"]
    adapter, staying = request.federation.initial, [k for k in range(MEMBERS) if k != BAD]
    weights = normalised(np.full(len(staying), float(SHARD)))
    for number in range(ROUNDS):
        rows = request.federation.train(
            [request.retain[k] for k in staying],
            [request.streams.generator("unlearn", number + 1, k) for k in staying],
            adapter.repeat(len(staying), 1),
        ).adapters
        adapter = weighted_mean(rows, adapter, weights)
    torch.testing.assert_close(made.adapter, adapter, rtol=1e-4, atol=1e-5)
    assert made.examples == ROUNDS * 2 * SHARD * len(staying)
    assert made.messages == ROUNDS * 2 * len(staying)
    row = table()["retrain"]
    assert (row["distance"], row["divergence"], row["discrepancy"]) == pytest.approx((0, 0, 0))
    assert (row["cosine"], row["relearn"], row["speed_up"]) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("name", ["distillation", "federaser"])
def test_these_come_near_retraining(name: str) -> None:
    own, exact, original = table()[name], table()["retrain"], table()["original"]
    gone = original["attack_success"] - exact["attack_success"]
    assert abs(own["attack_success"] - exact["attack_success"]) < 0.3 * gone
    assert own["accuracy"] > exact["accuracy"] - 0.08
    assert own["distance"] < original["distance"]
    assert own["membership"] < (exact["membership"] + original["membership"]) / 2
    assert own["relearn"] > 0.8


@pytest.mark.parametrize("name", ["fine-tune", "fused"])
def test_training_on_alone_leaves_traces(name: str) -> None:
    own, exact = table()[name], table()["retrain"]
    assert own["attack_success"] > exact["attack_success"] + 0.15
    assert own["relearn"] < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_every_executor_forgets_some_keeps_the_rest_and_costs_less_than_retraining(
    name: str,
) -> None:
    own, original = table()[name], table()["original"]
    assert own["membership"] < original["membership"]
    assert own["retain_accuracy"] > original["retain_accuracy"] - 0.1
    assert own["speed_up"] == pytest.approx(table()["retrain"]["examples"] / own["examples"])
    assert own["speed_up"] > 1.3


def test_the_worst_client_is_the_worst_of_those_who_stay() -> None:
    request, probes = finished()
    row = executed()["multi-task"].adapter[None]
    each = [
        float(request.federation.evaluate(row, part).accuracy(part.labels)[0])
        for part in probes.by_client[:BAD]
    ]
    own = table()["multi-task"]
    assert own["worst_client"] == pytest.approx(min(each))
    assert own["client_spread"] == pytest.approx(np.std(each))
    assert own["accuracy"] == pytest.approx(np.mean(each))
    assert min(each) < max(each)


@pytest.mark.parametrize("name", ["gradient-ascent", "fused"])
def test_alone_or_in_a_batch_is_the_same(name: str) -> None:
    request, _ = finished()
    alone, together = EXECUTORS[name]().run(request), executed()[name]
    torch.testing.assert_close(alone.adapter, together.adapter, rtol=1e-3, atol=1e-4)
    assert (alone.examples, alone.messages) == (together.examples, together.messages)


def test_the_climb_ends_at_its_goal() -> None:
    request, _ = finished()
    climbed = GradientAscent(rounds=0, goal=1.0).run(request)
    assert 1.0 <= loss_over_chance(request, climbed.adapter) < 3
    assert loss_over_chance(request, request.adapter) < 0.5
    still = GradientAscent(rounds=0, goal=1e-9).run(request)
    assert torch.equal(still.adapter, request.adapter)
    assert still.examples == 0


def test_projection_keeps_the_climb_in_the_ball() -> None:
    request, _ = finished()
    near = ProjectedAscent(radius=0.01, rounds=0, batches=5)
    centre, other = near.centre(request)
    last = request.history[-1]
    part = float(last.weights[BAD])
    torch.testing.assert_close((1 - part) * centre + part * other, request.adapter)
    made = near.run(request)
    reach = 0.01 * float((other - centre).norm())
    assert float((made.adapter - centre).norm()) <= reach * 1.001


def test_a_fused_adapter_can_be_removed_again() -> None:
    request, _ = finished()
    fused = Fused(modules=0.5, density=0.3)
    made, mask = fused.run(request), fused.mask(request)
    moved = made.adapter != request.adapter
    assert bool(moved.any())
    assert not bool((moved & (mask == 0)).any())
    assert 0.05 < float(mask.mean()) < 0.3
    assert torch.equal(torch.where(moved, request.adapter, made.adapter), request.adapter)


def test_fused_trains_the_modules_whose_updates_differ_most() -> None:
    request, _ = finished()
    layout, last = request.federation.layout, request.history[-1]
    views = layout.views(last.updates - last.reference)
    marks = layout.views(Fused(modules=0.5).mask(request)[None])
    spread, chosen = {}, set()
    for module in layout.modules:
        names = [name for name in views if f".{module}." in name]
        spread[module] = sum(float((views[n] - views[n].mean(0)).abs().mean()) for n in names)
        if any(bool(marks[name].any()) for name in names):
            chosen.add(module)
    expected = sorted(layout.modules, key=lambda module: -spread[module])
    assert len(chosen) == round(len(expected) / 2)
    assert chosen == set(expected[: len(chosen)])


def test_a_replayed_round_stands_for_those_between() -> None:
    request, _ = finished()
    first = Request(**{**vars(request), "history": request.history[:1]})
    alone, instead = (
        FedEraser(interval=interval, rounds=0).run(own).adapter - request.federation.initial
        for interval, own in ((1, first), (ROUNDS, request))
    )
    assert float(alone.norm()) > 0
    torch.testing.assert_close(instead, ROUNDS**0.5 * alone, rtol=1e-4, atol=1e-5)


def test_scrubbing_steps_away_from_the_data_and_is_noisy_where_the_rest_does_not_care() -> None:
    request, _ = finished()
    federation = request.federation

    def losses(adapter: Tensor) -> tuple[float, float]:
        parts = (request.forgotten, request.retained)
        gone, kept = (federation.evaluate(adapter[None], p).losses.mean() for p in parts)
        return float(gone), float(kept)

    stepped = Scrubbing(strength=0.01, rounds=0).run(request).adapter
    before, after = losses(request.adapter), losses(stepped)
    assert after[0] > 2 * before[0]
    assert after[1] < before[1] + 0.005
    noisy = Scrubbing(strength=0, noise=1e-3, rounds=0).run(request).adapter
    gradients = example_gradients(
        federation.backbone, federation.layout, request.adapter, request.retained
    )
    fisher = gradients.square().mean(0)
    normal = 1e3 * (noisy - request.adapter) * (fisher + 0.1 * fisher.mean()) ** 0.25
    assert float(normal.std()) == pytest.approx(1, rel=0.05)
    assert abs(float(normal.mean())) < 0.1


def test_answers_that_tell_nothing() -> None:
    pixels = torch.zeros(4, 1, 8, 8)
    images = Examples({"pixel_values": pixels}, torch.arange(4))
    rng = np.random.default_rng(0)
    even = ignorant(images, 10, rng)
    assert torch.equal(even.labels, torch.full((4, 10), 0.1))
    both = mixture(images.select(slice(0, 2)), even, 10, 3)
    assert both.labels.shape == (2 + 3 * 4, 10)
    assert torch.equal(both.labels[:2], torch.eye(10)[:2])
    tokens = torch.tensor([[1, 2, -100], [3, -100, -100]])
    words = ignorant(Examples({"input_ids": tokens.clamp(min=0)}, tokens), 50, rng).labels
    assert torch.equal(words < 0, tokens < 0)
    drawn = ignorant(Examples({"input_ids": pixels}, torch.zeros(40, 50).long()), 7, rng).labels
    assert set(drawn.flatten().tolist()) == set(range(7))


def test_calibration_by_hand(small_layout: AdapterLayout) -> None:
    old, new = torch.zeros(1, small_layout.size), torch.zeros(1, small_layout.size)
    first = next(iter(small_layout.shapes))
    small_layout.views(old)[first][0, 0, 0] = 3.0
    small_layout.views(new)[first][0, 0, 1] = 0.5
    step = calibrated(small_layout, old[0], new[0])
    assert float(small_layout.views(step[None])[first][0, 0, 1]) == 3.0
    assert int((step != 0).sum()) == 1


def test_what_is_subtracted_is_the_part_of_the_rounds() -> None:
    """Where all participants are subtracted, all of the first-order change is."""
    request, _ = finished()
    layout = request.federation.layout
    parts: list[Tensor] = []
    for k in range(MEMBERS):
        own = Request(**{**vars(request), "client": k})
        part = subtracted(own)
        assert part is not None
        parts.append(part)
    weights = torch.from_numpy(request.history[0].weights)
    each = [(weights[:, None] * changes(layout, p.updates, p.reference)).sum(0)
            for p in request.history]  # fmt: skip
    torch.testing.assert_close(torch.stack(parts).sum(0), torch.stack(each).sum(0))
    emptied = Distillation().emptied(request)
    past = sum(float(p.weights[BAD]) * (p.updates[BAD] - p.reference) for p in request.history)
    torch.testing.assert_close(emptied, request.adapter - past, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_class_can_go_from_everybody() -> None:
    request, probes = finished()
    retain, forget = forget_class([turned(load_digits_split().private)] * 2, 7)
    own = Request(
        request.federation, request.adapter, retain, forget, request.server, request.streams, 2
    )
    retrained, made = execute_together([(Retrain(), own), (EXECUTORS["multi-task"](), own)])
    seven = probes.test.select((probes.test.labels == 7).numpy())
    unseen = Probes(probes.test, (probes.test,) * 2, own.forgotten, seven)
    models = compare(own, {"multi-task": made}, retrained, unseen)
    frame = by_executor(models)
    assert frame["original"]["forget_accuracy"] > 0.5
    assert frame["multi-task"]["forget_accuracy"] < 0.2
    assert frame["retrain"]["forget_accuracy"] < 0.3
    assert models["attack_success"].isna().all()
    assert AdapterNegation().run(own).examples > 0  # learnt from the data, as nobody leaves


def test_bad_requests() -> None:
    request, _ = finished()
    empty = tuple(shard.select(slice(0, 0)) for shard in request.retain)
    with pytest.raises(UserError, match="nothing to forget"):
        Request(**{**vars(request), "forget": empty})
    with pytest.raises(UserError, match="nothing would be left"):
        Request(**{**vars(request), "retain": empty})
    with pytest.raises(UserError, match="none were kept"):
        FedEraser().run(Request(**{**vars(request), "history": ()}))


def test_discrepancy_is_zero_for_the_same_and_grows() -> None:
    rng = np.random.default_rng(0)
    one = torch.from_numpy(rng.random((40, 3)))
    assert discrepancy(one, one) == pytest.approx(0, abs=1e-7)
    assert 0 < discrepancy(one + 0.1, one) < discrepancy(one + 1, one)
