"""Marks that change by cycles (FedCIP, Liang and Wang 2023): tracing under secure aggregation.

The server sees no single update, and sends everybody the same model. In each cycle of
rounds those who take part embed the bits of that cycle. A leaked model tells from which
cycle it is, so that the leaker took part in it; several leaks leave only those who took part
in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr
from torch import Tensor

from fedfm_sim.learning.trainer import Adjust
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.protocol import Watermark
from fedfm_sim.security.watermarks.verification import Claim, claim, intersection, unprovable
from fedfm_sim.security.watermarks.white_box import (
    directions,
    hinge,
    read_bits,
    responses,
    unmarked_deviation,
)


class FedCIP(Watermark):
    """Bits of the cycle, embedded by all who take part in it.

    A later cycle's training wears the marks of earlier ones down, so that a model's newest
    cycle is the one that stands with the strongest response. A claim says that the model was
    made in its cycle or later. It accuses nobody who took part: a cycle's last model is
    also sent to those who take part in the next one only.
    """

    side: ClassVar[Literal["nobody", "client", "server"]] = "client"
    proves: ClassVar[str] = "who can have leaked, from several leaks, under secure aggregation"
    source: ClassVar[str] = "Liang and Wang, FedCIP, 2023"
    cycle: int = Field(default=3, ge=1, description="rounds")
    bits: int = Field(default=64, ge=1, le=65_536, description="of each cycle's mark")
    weight: float = Field(default=1.0, gt=0, description="of the bits' hinge in the loss")
    margin: float = Field(default=4.0, gt=0, description="standard deviations, unmarked")
    _members: dict[int, set[int]] = PrivateAttr(default_factory=dict)

    def condition(self) -> str | None:
        """Return whether there are too few bits for a claim of the first cycle."""
        return unprovable(f"bits = {self.bits}", self.bits, 2)

    def key_of(self, cycle: int) -> Key:
        """Return the key of one cycle."""
        key = self.world.keys("cycle", 1, self.bits)[0].derive(cycle)
        return key.model_copy(update={"owner": f"cycle {cycle}"})

    def adjust(self, number: int) -> Adjust:
        """Return the hinge of the cycle's bits, the same for all."""
        layout = self.world.federation.layout
        of = directions(layout, [self.key_of(number // self.cycle)])
        everybody = of.select(np.zeros(self.world.participants, dtype=np.int64))
        return hinge(layout, everybody, self.weight, self.margin)

    def take_note(self, number: int, members: Sequence[int]) -> None:
        """Add who took part to the members of the cycle."""
        cycle = number // self.cycle
        before = self._members.get(cycle, set())
        self._members = {**self._members, cycle: before | set(members)}

    def claims(self, adapter: Tensor) -> tuple[Claim, ...]:
        """Return the claim of each cycle so far."""
        layout = self.world.federation.layout
        cycles = sorted(self._members)
        found = []
        for cycle in cycles:
            of = directions(layout, [self.key_of(cycle)])
            found.append(int(read_bits(layout, adapter[None], of).sum()))
        return tuple(
            claim(f"cycle {cycle}", hits, self.bits, 0.5, len(cycles))
            for cycle, hits in zip(cycles, found, strict=True)
        )

    def cycle_of(self, adapter: Tensor) -> int | None:
        """Return the cycle that a leaked adapter (P,) is from, or None where no claim stands.

        Of the claims that stand, that with the largest mean response in standard deviations.
        """
        layout, strengths = self.world.federation.layout, {}
        for cycle, own in zip(sorted(self._members), self.claims(adapter), strict=True):
            if own.stands:
                of = directions(layout, [self.key_of(cycle)])
                row = adapter.double()[None]
                mean = (responses(layout, row, of) * of.signs).mean()
                strengths[cycle] = float(mean / unmarked_deviation(layout, row, of)[0])
        return max(strengths, key=lambda cycle: strengths[cycle]) if strengths else None

    def suspects(self, leaks: Sequence[Tensor]) -> frozenset[int]:
        """Return who took part in the cycles of all leaks whose cycle can be told."""
        cycles = [cycle for leak in leaks if (cycle := self.cycle_of(leak)) is not None]
        return intersection([frozenset(self._members[cycle]) for cycle in cycles])
