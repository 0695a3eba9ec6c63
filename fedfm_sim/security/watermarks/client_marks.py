"""Marks that clients put into their own updates: FedIPR, and signed ones, FedSOV."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import Adjust
from fedfm_sim.security.watermarks.key import Key, layout_digest
from fedfm_sim.security.watermarks.protocol import Watermark
from fedfm_sim.security.watermarks.signed import private_key, signed_key
from fedfm_sim.security.watermarks.triggers import (
    Style,
    Triggers,
    claim_of,
    too_few,
    trigger_set,
    with_triggers,
)
from fedfm_sim.security.watermarks.verification import Claim, claim, unprovable
from fedfm_sim.security.watermarks.white_box import Directions, directions, hinge, read_bits


class FedIPR(Watermark):
    """Every client embeds bits, and triggers if asked, while it trains (Li et al. 2022).

    The local loss is Eq. 15's: ``L_task + weight * L_bits + repeats * L_triggers``, where
    a trigger counts as ``repeats`` of the client's examples. The global model then carries
    the marks of all; the bits of K clients can all hold while ``K N <= M`` (theorem 1).
    """

    side: ClassVar[Literal["nobody", "client", "server"]] = "client"
    proves: ClassVar[str] = "ownership, with weights in hand (bits) or by questions (triggers)"
    source: ClassVar[str] = "Li et al., IEEE TPAMI 2022"
    bits: int = Field(default=64, ge=1, le=65_536, description="of each client's mark")
    weight: float = Field(default=0.2, ge=0, description="of the bits' hinge in the loss")
    margin: float = Field(default=4.0, gt=0, description="standard deviations, unmarked")
    modules: tuple[str, ...] = Field(default=(), description="adapted layers; none for all")
    triggers: int = Field(default=0, ge=0, description="secret inputs of each client")
    repeats: int = Field(default=4, ge=1, description="times each is in the client's data")
    style: Style = "pattern"

    def condition(self) -> str | None:
        """Return whether the bits of all are too many (theorem 1), or one's too few to claim by."""
        count, few = self.world.participants, None
        if self.triggers:
            few = too_few(self.world.classes, self.triggers, self.style, count)
        if self.weight:
            few = unprovable(f"bits = {self.bits}", self.bits, 2, count) or few
        asked, room = self.world.participants * self.bits, self.world.federation.layout.size
        if self.weight and asked > room:
            return (
                f"{self.world.participants} clients of bits = {self.bits} ask for {asked}, the "
                f"adapter has {room} numbers; not all bits can hold (K N <= M)"
            )
        return few

    @cached_property
    def keys(self) -> list[Key]:
        """One key for each participant."""
        return self.world.keys("client", self.world.participants, self.bits)

    @cached_property
    def directions(self) -> Directions:
        """What the keys project on."""
        layout = self.world.federation.layout
        for module in self.modules:
            if module not in layout.modules:
                raise UserError(
                    f"watermark.modules: no adapted layer '{module}'; "
                    f"expected some of: {', '.join(layout.modules)}"
                )
        return directions(layout, self.keys, self.modules or None)

    @cached_property
    def _trigger_sets(self) -> list[Triggers]:
        world = self.world
        return [
            trigger_set(key, world.public, world.classes, self.triggers, self.style)
            for key in self.keys
        ]

    def adjust(self, number: int) -> Adjust | None:
        """Return the hinge of each participant's bits."""
        if not self.weight:
            return None
        return hinge(self.world.federation.layout, self.directions, self.weight, self.margin)

    def own_triggers(self, participant: int) -> Examples | None:
        """Return the triggers as often as they count."""
        if not self.triggers:
            return None
        own = self._trigger_sets[participant]
        return with_triggers(own, own, self.repeats - 1)

    def claims(self, adapter: Tensor) -> tuple[Claim, ...]:
        """Return each client's claim: by its bits, and by its triggers if it has some."""
        world, count = self.world, self.world.participants
        found = read_bits(world.federation.layout, adapter.expand(count, -1), self.directions).sum(
            1
        )
        claims = [
            claim(key.owner, int(hits), self.bits, 0.5, count)
            for key, hits in zip(self.keys, found, strict=True)
            if self.weight
        ]
        claims += [
            claim_of(world.federation, adapter, key, own, world.classes, count)
            for key, own in zip(self.keys, self._trigger_sets, strict=True)
            if self.triggers
        ]
        return tuple(claims)


class FedSOV(FedIPR):
    """FedIPR whose bits are derived from Ed25519 signatures (Yang et al. 2023).

    Nobody can lay claim with a key made up after the fact: see `signed`.
    """

    proves: ClassVar[str] = "ownership under a registered public key"
    source: ClassVar[str] = "Yang et al., FedSOV, 2023"

    @cached_property
    def keys(self) -> list[Key]:
        """One signed key for each participant."""
        federation = self.world.federation
        return [
            signed_key(
                key.owner,
                private_key(bytes.fromhex(key.secret)),
                self.bits,
                federation.backbone.name,
                layout_digest(federation.layout),
            )
            for key in self.world.keys("client", self.world.participants, self.bits)
        ]
