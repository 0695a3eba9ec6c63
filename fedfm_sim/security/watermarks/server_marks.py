"""Marks that the server puts in: for all alike (WAFFLE), or in each client's own copy."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.protocol import Watermark
from fedfm_sim.security.watermarks.triggers import (
    Style,
    Triggers,
    claim_of,
    gently,
    teach,
    too_few,
    trigger_set,
)
from fedfm_sim.security.watermarks.verification import Claim, Trace, unprovable
from fedfm_sim.security.watermarks.white_box import (
    Directions,
    directions,
    embed,
    trace_bits,
    unmarked_deviation,
)

#: Epochs that the server trains on its own data before it teaches copies their triggers.
EPOCHS = 10

Side = Literal["nobody", "client", "server"]


class Waffle(Watermark):
    """The server teaches the global model secret triggers after each aggregation (WAFFLE)."""

    side: ClassVar[Side] = "server"
    proves: ClassVar[str] = "the server's ownership, by questions"
    source: ClassVar[str] = "Atli Tekgul et al., SRDS 2021"
    triggers: int = Field(default=30, ge=1, description="secret inputs of the server")
    style: Style = "pattern"

    def condition(self) -> str | None:
        """Return whether there are too few answers for a claim."""
        return too_few(self.world.classes, self.triggers, self.style)

    @cached_property
    def key(self) -> Key:
        """The server's key."""
        return self.world.keys("server", 1)[0].model_copy(update={"owner": "server"})

    @cached_property
    def trigger_set(self) -> Triggers:
        """The server's triggers."""
        world = self.world
        return trigger_set(self.key, world.public, world.classes, self.triggers, self.style)

    def mark_shared(self, adapter: Tensor, number: int) -> Tensor:
        """Return the adapter that knows the triggers."""
        rng = self.world.streams.generator("teach", number)
        return teach(
            self.world.federation, adapter[None], [self.trigger_set], [rng], self.world.own
        )[0]

    def claims(self, adapter: Tensor) -> tuple[Claim, ...]:
        """Return the server's claim."""
        world = self.world
        return (claim_of(world.federation, adapter, self.key, self.trigger_set, world.classes),)


class UniqueTriggers(Watermark):
    """The server teaches each client's copy triggers of its own (DUW, Yu et al. 2023).

    A leaked model is traced by questions alone. In place of the paper's decoder, which
    makes triggers of all clients look alike to them, the triggers are never shown.
    """

    side: ClassVar[Side] = "server"
    proves: ClassVar[str] = "who leaked, by questions"
    source: ClassVar[str] = "Yu et al., DUW, 2023"
    triggers: int = Field(default=20, ge=1, description="secret inputs of each copy")
    style: Style = "pattern"

    def condition(self) -> str | None:
        """Return whether there are too few answers to accuse one of all."""
        return too_few(self.world.classes, self.triggers, self.style, self.world.participants)

    @cached_property
    def keys(self) -> list[Key]:
        """One key for each participant."""
        return self.world.keys("unique", self.world.participants)

    @cached_property
    def trigger_sets(self) -> list[Triggers]:
        """Each participant's triggers."""
        world = self.world
        return [
            trigger_set(key, world.public, world.classes, self.triggers, self.style)
            for key in self.keys
        ]

    def mark_shared(self, adapter: Tensor, number: int) -> Tensor:
        """Return the adapter after the server's training on its own data, without triggers.

        Teaching trains on that data too. What a copy has beyond this adapter is its mark and
        little else, so that nothing else is lost when marks are taken out of what comes back.
        """
        federation, own = self.world.federation, self.world.own
        rng = self.world.streams.generator("own", number)
        return federation.train([own], [rng], adapter[None], gently(federation, EPOCHS)).adapters[0]

    def copies(self, adapter: Tensor, number: int) -> Tensor:
        """Return copies that each know their own triggers."""
        world = self.world
        return teach(
            world.federation,
            adapter.repeat(world.participants, 1),
            self.trigger_sets,
            [world.streams.generator("teach", number, k) for k in range(world.participants)],
            world.own,
        )

    def trace(self, adapter: Tensor) -> Trace:
        """Return the client whose triggers the adapter answers best."""
        world = self.world
        claims = tuple(
            claim_of(world.federation, adapter, key, own, world.classes, len(self.keys))
            for key, own in zip(self.keys, self.trigger_sets, strict=True)
        )
        return Trace(claims, np.array([own.detection for own in claims]))


class FedTracker(Watermark):
    """A fingerprint of bits in each client's copy (Shao et al. 2024).

    The server embeds it without data, by the least change of the copy. ``triggers`` adds
    the paper's global mark, taught as WAFFLE does. A leak is traced to the
    key of the highest similarity; its owner is accused where that key's claim stands after
    Bonferroni's correction for the number of keys. The claim says that the model was made
    from the client's copy: marks are taken out of what comes back, so that
    the model of all, and others' copies, carry none of it (see `without_marks`).
    """

    side: ClassVar[Side] = "server"
    proves: ClassVar[str] = "who leaked, with weights in hand"
    source: ClassVar[str] = "Shao et al., FedTracker, IEEE TDSC 2024"
    bits: int = Field(default=64, ge=1, le=65_536, description="of each copy's mark")
    margin: float = Field(default=4.0, gt=0, description="standard deviations, unmarked")
    triggers: int = Field(default=0, ge=0, description="of the global mark")
    style: Style = "pattern"

    @cached_property
    def keys(self) -> list[Key]:
        """One key for each participant."""
        return self.world.keys("fingerprint", self.world.participants, self.bits)

    def condition(self) -> str | None:
        """Return whether there are too few bits to accuse one of all, or too few triggers."""
        few = unprovable(f"bits = {self.bits}", self.bits, 2, self._keys_tried)
        return few or (self._global.condition() if self.triggers else None)

    @property
    def _keys_tried(self) -> int:
        return self.world.participants

    @cached_property
    def _fixed(self) -> Directions:
        return directions(self.world.federation.layout, self.keys)

    def directions_at(self, number: int) -> Directions:
        """Return what the keys of a round's copies project on."""
        return self._fixed

    @cached_property
    def _global(self) -> Waffle:
        waffle = Waffle(triggers=max(1, self.triggers), style=self.style)
        waffle.enter(self.world)
        return waffle

    def mark_shared(self, adapter: Tensor, number: int) -> Tensor:
        """Return the adapter with the global mark, if there is to be one."""
        return self._global.mark_shared(adapter, number) if self.triggers else adapter

    def copies(self, adapter: Tensor, number: int) -> Tensor:
        """Return copies with a fingerprint each; of the untrained adapter, plain ones."""
        layout = self.world.federation.layout
        of = self.directions_at(number)
        if not bool(unmarked_deviation(layout, adapter[None], of)[0] > 0):
            return adapter.expand(self.world.participants, -1)
        alone = [of.select(np.array([k])) for k in range(self.world.participants)]
        return torch.stack([embed(layout, adapter, own, self.margin) for own in alone])

    def claims(self, adapter: Tensor) -> tuple[Claim, ...]:
        """Return the server's claim by its global mark."""
        return self._global.claims(adapter) if self.triggers else ()

    def trace(self, adapter: Tensor) -> Trace:
        """Return the client whose fingerprint is nearest."""
        return trace_bits(self.world.federation.layout, adapter, self.keys, self.margin)


class DynamicFingerprints(FedTracker):
    """Fingerprints that change every round: a leak tells who and when (as PWFed).

    Only the last ``window`` rounds are looked through, as Bonferroni counts every key tried.
    """

    proves: ClassVar[str] = "who leaked and in which round, with weights in hand"
    source: ClassVar[str] = "after PWFed's dynamic vectors"
    window: int = Field(default=10, ge=1, description="rounds that a leak is looked for in")
    _last: int = PrivateAttr(default=-1)

    @property
    def _keys_tried(self) -> int:
        return self.world.participants * self.window

    def keys_at(self, number: int) -> list[Key]:
        """Return keys of this round alone."""
        return [key.derive("round", number) for key in self.keys]

    def directions_at(self, number: int) -> Directions:
        """Return what this round's keys project on, and note that there was such a round."""
        self._last = max(self._last, number)
        return directions(self.world.federation.layout, self.keys_at(number))

    def trace(self, adapter: Tensor) -> Trace:
        """Return the nearest client, by its nearest round."""
        return self.trace_in_time(adapter)[0]

    def trace_in_time(self, adapter: Tensor) -> tuple[Trace, int]:
        """Return the trace over clients, and the round of the suspect's copy."""
        count = self.world.participants
        numbers = range(max(0, self._last - self.window + 1), self._last + 1)
        keys = [key for number in numbers for key in self.keys_at(number)]
        layout = self.world.federation.layout
        whole = trace_bits(layout, adapter, keys or self.keys, self.margin)
        scores = whole.scores.reshape(-1, count)
        best = scores.argmax(0)
        claims = tuple(whole.claims[best[k] * count + k] for k in range(count))
        trace = Trace(claims, scores.max(0))
        return trace, (numbers.start if len(numbers) else 0) + int(best[trace.suspect])
