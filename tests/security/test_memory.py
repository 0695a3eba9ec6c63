"""What rules and schemes remember of past rounds: a copy that recalls it goes on alike."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfm_sim.core.random import Streams
from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import AggregationRule, Uploads
from fedfm_sim.learning.backbone import Backbone
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.watermarks import WATERMARKS, Watermark, World
from fedfm_sim.security.watermarks.cycling import FedCIP
from fedfm_sim.security.watermarks.server_marks import DynamicFingerprints
from fedfm_sim.security.watermarks.white_box import directions, embed

MEMBERS = 3
REMEMBER = ("centred-clipping", "dynamic-fingerprints", "fedcip", "foolsgold")
PLUGINS: dict[str, type[Plugin]] = {name: DEFENCES[name] for name in DEFENCES}
PLUGINS |= {name: WATERMARKS[name] for name in WATERMARKS}


@pytest.fixture(scope="module")
def world(backbone: Backbone, layout: AdapterLayout, digits: SplitData) -> World:
    start = torch.zeros(layout.size)
    federation = Federation(backbone, layout, TrainingSettings(), start, start)
    return World(federation, MEMBERS, digits.public, digits.test, 10, Streams(0, "memory"))


def fresh(name: str, world: World) -> Plugin:
    plugin = PLUGINS[name]()
    if isinstance(plugin, Watermark):
        plugin.enter(world)
    return plugin


def bits(value: Any) -> Any:
    """Return a value with the bytes of arrays and tensors, so that ``==`` compares bits."""
    if isinstance(value, Tensor):
        return value.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return value


def play(plugin: Plugin, world: World, number: int) -> list[Any]:
    """Play a round of made-up adapters, and return the bits of what came of it."""
    layout, rng = world.federation.layout, world.streams.generator("rows", number)
    start, *sent = torch.from_numpy(
        rng.standard_normal((MEMBERS + 1, layout.size), dtype=np.float32)
    )
    if isinstance(plugin, AggregationRule):
        sent[1] = (sent[0] + sent[1]) / 2  # so that some look alike
        members = np.arange(MEMBERS) + number // 2  # one goes and one comes now and then
        uploads = Uploads(torch.stack(sent), start, np.ones(MEMBERS), layout, members)
        made = plugin.aggregate(uploads)
        plugin.learn(uploads, made)
        return [bits(made.adapter), bits(made.weights), bits(made.suspicion)]
    if isinstance(plugin, FedCIP):
        plugin.take_note(number, [number % MEMBERS])
        leak = embed(layout, start, directions(layout, [plugin.key_of(number // plugin.cycle)]))
        return [plugin.claims(leak), plugin.suspects([leak])]
    assert isinstance(plugin, DynamicFingerprints)
    trace, told = plugin.trace_in_time(start)
    return [trace.claims, told, bits(plugin.copies(start, number))]


@pytest.mark.parametrize("name", REMEMBER)
def test_a_copy_that_recalls_goes_on_alike(name: str, world: World) -> None:
    first, copy = fresh(name, world), fresh(name, world)
    for number in range(4):
        play(first, world, number)
    memory = first.memory()
    before = bits(deepcopy(memory))
    copy.recall(memory)
    expected = play(first, world, 4)
    assert play(copy, world, 4) == expected
    assert play(fresh(name, world), world, 4) != expected
    assert bits(copy.memory()) == bits(first.memory()) != before
    assert bits(memory) == before, "a later round changed what was stored"


def test_nothing_else_remembers(world: World) -> None:
    assert tuple(name for name in sorted(PLUGINS) if fresh(name, world).memory()) == REMEMBER
