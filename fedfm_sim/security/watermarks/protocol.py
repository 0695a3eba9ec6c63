"""What a watermarking scheme is: who marks what, when, and what it can prove afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, PrivateAttr
from torch import Tensor

from fedfm_sim.core.random import Streams
from fedfm_sim.core.settings import Plugin
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import Adjust
from fedfm_sim.security.watermarks.key import Key
from fedfm_sim.security.watermarks.verification import Claim, Trace


@dataclass(frozen=True, eq=False)
class World:
    """What a scheme works in.

    Attributes
    ----------
    federation : Federation
    participants : int
    public : Examples
        What anybody can have; triggers are shaped like it.
    own : Examples
        The server's own data, by which it keeps a model good while it teaches it triggers.
    classes : int
        Number of answers: classes, or words for a language model.
    streams : Streams
    """

    federation: Federation
    participants: int
    public: Examples
    own: Examples
    classes: int
    streams: Streams

    def keys(self, purpose: str, count: int, bits: int = 64) -> list[Key]:
        """Return ``count`` keys, drawn by purpose and number."""
        generators = [self.streams.generator("watermark", purpose, k) for k in range(count)]
        return [Key.draw(str(k), rng, bits) for k, rng in enumerate(generators)]


class Watermark(Plugin):
    """No mark at all, and the base of all schemes; fields are scenario parameters.

    ``side`` says who marks: nobody, each client its own updates, or the server.
    """

    model_config = ConfigDict(frozen=False)

    side: ClassVar[Literal["nobody", "client", "server"]] = "nobody"
    proves: ClassVar[str] = "nothing"
    source: ClassVar[str] = ""
    _world: World | None = PrivateAttr(default=None)

    def memory(self) -> dict[str, Any]:
        """Return what the scheme remembers of past rounds; what it works in is not of them."""
        return {name: value for name, value in super().memory().items() if name != "_world"}

    def enter(self, world: World) -> None:
        """Take a federation to work in; keys are drawn from its streams."""
        self._world = world

    @property
    def world(self) -> World:
        """The federation that was entered."""
        if self._world is None:
            raise RuntimeError("the scheme has not entered a federation yet")
        return self._world

    def condition(self) -> str | None:
        """Return which condition of the scheme does not hold in its world, or None.

        A published one, or that a claim can stand at all: see `verification.unprovable`.
        """
        return None

    def adjust(self, number: int) -> Adjust | None:
        """Return what participants add to their gradients in round ``number``, if anything."""
        return None

    def own_triggers(self, participant: int) -> Examples | None:
        """Return what a participant mixes into its data, if anything."""
        return None

    def copies(self, adapter: Tensor, number: int) -> Tensor:
        """Return what each of n participants is sent of the global adapter, (n, P)."""
        return adapter.expand(self.world.participants, -1)

    def mark_shared(self, adapter: Tensor, number: int) -> Tensor:
        """Return the global adapter (P,) after the server's own work on it."""
        return adapter

    def take_note(self, number: int, members: Sequence[int]) -> None:
        """Be told who took part in a round."""

    def claims(self, adapter: Tensor) -> tuple[Claim, ...]:
        """Return each owner's claim on an adapter (P,)."""
        return ()

    def trace(self, adapter: Tensor) -> Trace | None:
        """Return to which participant a leaked adapter (P,) is traced, if the scheme can."""
        return None


def without_marks(rows: Tensor, copies: Tensor, adapter: Tensor) -> Tensor:
    """Return what was trained from marked copies, with the marks taken out again, (K, P).

    Participants contribute what they changed of their copies: ``adapter + rows - copies``. If
    the server averaged ``rows`` themselves, the next adapter would carry the marks of all:
    the p-value of a participant's key would be small on everybody's copy.

    Parameters
    ----------
    rows, copies : Tensor
        (K, P), after and before the training.
    adapter : Tensor
        (P,), what the copies were made of.
    """
    return rows - (copies - adapter)
