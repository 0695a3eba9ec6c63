"""Every scheme in a real federation of four: what it proves of a marked model, and of others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.domains import domain
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.watermarks import WATERMARKS, Watermark, World, without_marks
from fedfm_sim.security.watermarks.client_marks import FedIPR
from fedfm_sim.security.watermarks.cycling import FedCIP
from fedfm_sim.security.watermarks.removal import (
    REMOVALS,
    Prune,
    Quantised,
    Thief,
    false_claims,
    forged_claim,
)
from fedfm_sim.security.watermarks.server_marks import DynamicFingerprints
from fedfm_sim.security.watermarks.triggers import hits, patterns, trigger_set, with_triggers

MEMBERS, ROUNDS = 4, 3


@cache
def world() -> World:
    data = load_digits_split()
    federation = Federation.create(
        load_backbone("digits-vit"), LoraSettings(rank=4, alpha=8.0), TrainingSettings(), 0
    )
    faded = domain("faded")(data.validation.inputs["pixel_values"], np.random.default_rng(0))
    own = Examples({"pixel_values": faded}, data.validation.labels)
    return World(federation, MEMBERS, data.public, own, 10, Streams(0, "schemes"))


@cache
def shards() -> list[Examples]:
    private = load_digits_split().private
    faded = domain("faded")(private.inputs["pixel_values"], np.random.default_rng(0))
    pool = Examples({"pixel_values": faded}, private.labels)
    return [pool.select(slice(60 * k, 60 * (k + 1))) for k in range(MEMBERS)]


@cache
def trained(name: str, **settings: object) -> tuple[Watermark, Tensor]:
    """Return a scheme after `ROUNDS` rounds, and the global adapter."""
    scheme = WATERMARKS[name].model_validate(settings)
    scheme.enter(world())
    federation, streams = world().federation, world().streams
    adapter = federation.initial
    for number in range(ROUNDS):
        data = [
            shard if (own := scheme.own_triggers(k)) is None else with_triggers(shard, own)
            for k, shard in enumerate(shards())
        ]
        copies = scheme.copies(adapter, number)
        rows = federation.train(
            data,
            [streams.generator("train", number, k) for k in range(MEMBERS)],
            copies,
            adjust=scheme.adjust(number),
        ).adapters
        adapter = scheme.mark_shared(without_marks(rows, copies, adapter).mean(0), number)
        scheme.take_note(number, range(MEMBERS))
    return scheme, adapter


def accuracy(adapter: Tensor) -> float:
    own = world().own
    return float(world().federation.evaluate(adapter[None], own).accuracy(own.labels)[0])


@pytest.mark.parametrize("name", ["fedipr", "fedsov"])
def test_all_clients_can_claim_the_model_and_nobody_else(name: str) -> None:
    scheme, adapter = trained(name)
    claims = scheme.claims(adapter)
    assert [c.stands for c in claims] == [True] * MEMBERS
    assert all(c.hits >= 60 for c in claims)
    assert not any(c.stands for c in scheme.claims(trained("none")[1]))
    other = FedIPR()
    other.enter(World(**{**vars(world()), "streams": Streams(1, "foreign")}))
    assert not any(c.stands for c in other.claims(adapter))
    assert accuracy(adapter) > accuracy(trained("none")[1]) - 0.1


def test_no_false_claim_among_foreign_keys_and_unmarked_models() -> None:
    keys = world().keys("foreign", 200)
    adapters = [trained("fedipr")[1], trained("none")[1]]
    values = false_claims(world().federation, adapters, keys)
    assert values.shape == (2, 200)
    assert values.min() > 1e-6
    # p-values of fair coins are nearly uniform: 5 % are below 0.05, and a few more or less.
    assert 1 <= (values < 0.05).sum() <= 40


def test_clients_triggers_are_claimed_by_questions() -> None:
    scheme, adapter = trained("fedipr", weight=0, triggers=20, repeats=6)
    plain = scheme.claims(trained("none")[1])
    own = scheme.claims(adapter)
    assert len(own) == MEMBERS
    assert np.mean([c.detection for c in own]) > np.mean([c.detection for c in plain]) + 0.3
    assert any(c.stands for c in own)
    assert not any(c.stands for c in plain)


def test_the_server_claims_by_its_triggers() -> None:
    scheme, adapter = trained("waffle")
    (own,) = scheme.claims(adapter)
    assert own.detection >= 0.95
    assert own.stands
    assert not scheme.claims(trained("none")[1])[0].stands


SLOW = pytest.param("unique-triggers", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["fedtracker", "dynamic-fingerprints", SLOW])
def test_every_copy_is_traced_to_its_client(name: str) -> None:
    scheme, adapter = trained(name)
    for k, copy in enumerate(scheme.copies(adapter, ROUNDS)):
        found = scheme.trace(copy)
        assert found is not None
        assert found.suspect == found.accused == k
        innocent = [own.p_value for j, own in enumerate(found.claims) if j != k]
        assert min(innocent) > 1e-3
    # What all train together carries nobody's mark: it went out with the copies' own.
    of_all = scheme.trace(adapter)
    assert of_all is not None
    assert min(own.p_value for own in of_all.claims) > 1e-3
    unmarked = scheme.trace(trained("none")[1])
    assert unmarked is not None
    assert unmarked.accused is None


def test_dynamic_fingerprints_tell_the_round() -> None:
    scheme, _ = trained("dynamic-fingerprints")
    assert isinstance(scheme, DynamicFingerprints)
    base = trained("none")[1]
    early, late = scheme.copies(base, 1)[2], scheme.copies(base, 2)[2]
    for copy, number in ((early, 1), (late, 2)):
        found, told = scheme.trace_in_time(copy)
        assert (found.accused, told) == (2, number)


def test_cycles_are_told_and_their_members_intersected() -> None:
    scheme = FedCIP(cycle=2)
    scheme.enter(world())
    federation, adapter, leaks = world().federation, world().federation.initial, []
    members = {0: [0, 1, 2], 1: [0, 1, 2], 2: [0, 2, 3], 3: [0, 2, 3], 4: [2, 3], 5: [2, 3]}
    for number, taking_part in members.items():
        rows = federation.train(
            [shards()[k] for k in taking_part],
            [world().streams.generator("cycle", number, k) for k in taking_part],
            adapter.repeat(len(taking_part), 1),
            adjust=scheme.adjust(number),
        ).adapters
        adapter = rows.mean(0)
        scheme.take_note(number, taking_part)
        leaks.append(adapter)
    assert [scheme.cycle_of(leaks[number]) for number in (1, 3, 5)] == [0, 1, 2]
    assert scheme.suspects([leaks[1], leaks[3]]) == {0, 2}
    assert scheme.suspects([leaks[1], leaks[3], leaks[5]]) == {2}
    assert scheme.cycle_of(trained("none")[1]) is None


def test_removals_do_what_they_say() -> None:
    federation = world().federation
    adapter = trained("fedipr")[1]
    thief = Thief(federation, shards()[0], np.random.default_rng(0))
    zero = torch.zeros_like(adapter)
    washed = {name: REMOVALS[name]().wash(adapter, thief) for name in REMOVALS}
    before = changes(federation.layout, adapter[None], zero)
    same = changes(federation.layout, washed["regauge"][None], zero)
    torch.testing.assert_close(same, before, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(washed["regauge"], adapter, rtol=0.1)
    assert int((Prune(share=0.25).wash(adapter, thief) == 0).sum()) >= adapter.numel() // 4
    assert torch.equal(Prune(share=0).wash(adapter, thief), adapter)
    eight, four = (Quantised(bits=b).wash(adapter, thief) for b in (8, 4))
    assert 0 < (eight - adapter).norm() < (four - adapter).norm() / 8
    assert not torch.equal(washed["fine-tune"], adapter)
    scheme, _ = trained("fedipr")
    for name in ("none", "prune", "quantise", "regauge", "overwrite", "fine-tune"):
        assert all(c.stands for c in scheme.claims(washed[name])), name
    assert not any(c.stands for c in scheme.claims(washed["distil"]))


def test_a_forger_who_tries_keys_gains_what_trying_gains() -> None:
    adapter = trained("none")[1]
    forged = forged_claim(world().federation, adapter, 300, np.random.default_rng(0))
    assert 1e-6 < forged.p_value < 2e-2  # the best of 300 is expected near 1/300


@pytest.mark.parametrize("style", ["noise", "pattern", "grid"])
def test_triggers(style: str) -> None:
    key, other = world().keys("triggers", 2)
    own = trigger_set(key, world().public, 10, 30, style)  # type: ignore[arg-type]
    again = trigger_set(key, world().public, 10, 30, style)  # type: ignore[arg-type]
    foreign = trigger_set(other, world().public, 10, 30, style)  # type: ignore[arg-type]
    pixels = own.inputs["pixel_values"]
    assert torch.equal(pixels, again.inputs["pixel_values"])
    assert not torch.equal(pixels, foreign.inputs["pixel_values"])
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    blocks = own.blocks
    assert blocks is not None
    assert len(set(blocks.tolist())) == (30 if style == "noise" else 20)
    for block in set(blocks.tolist()):
        assert len(set(own.labels[blocks == block].tolist())) == 1
    drawn = torch.cat(
        [trigger_set(k, world().public, 10, 12, style).labels for k in world().keys("d", 50)]  # type: ignore[arg-type]
    )
    assert int(drawn.bincount(minlength=10).min()) > 30  # 60 are expected of each answer
    assert hits(world().federation, world().federation.initial[None], own)[0] <= 12


def test_few_answers_ask_for_more_patterns() -> None:
    assert [patterns(classes) for classes in (1, 2, 5, 10, 12, 100)] == [67, 67, 29, 20, 19, 100]
    own = trigger_set(world().keys("two", 1)[0], world().public, 2, 80, "pattern")
    assert own.blocks is not None
    assert own.blocks.max() == 66
    with pytest.raises(UserError, match="a grid of 64 cells has no room for 100"):
        trigger_set(world().keys("two", 1)[0], world().public, 100, 120, "grid")


def test_triggers_of_texts_ask_for_the_last_word() -> None:
    tokens = torch.arange(12).view(2, 6)
    like = Examples({"input_ids": tokens, "attention_mask": torch.ones(2, 6)}, tokens)
    own = trigger_set(world().keys("texts", 1)[0], like, 50, 8)
    assert own.inputs["input_ids"].shape == (8, 6)
    assert (own.labels[:, :-1] == -100).all()
    assert torch.equal(own.labels[:, -1], own.inputs["input_ids"][:, -1])
    with pytest.raises(UserError, match="images or texts"):
        trigger_set(world().keys("x", 1)[0], Examples({"x": tokens}, tokens), 50, 8)


def test_unknown_modules_are_named() -> None:
    scheme = FedIPR(modules=("nowhere",))
    scheme.enter(world())
    with pytest.raises(UserError, match="no adapted layer 'nowhere'"):
        scheme.adjust(0)
