"""What is to be forgotten, and what an unlearning executor has to work with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.random import Streams
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.security.unlearning.past_round import PastRound


@dataclass(frozen=True, eq=False)
class Request:
    """A finished federation, and data that has to go.

    Attributes
    ----------
    federation : Federation
        Its ``initial`` adapter is where training once started.
    adapter : Tensor
        (P,) the trained global adapter.
    retain, forget : tuples of n Examples
        What each participant keeps and what it has to forget; parts may be empty.
    history : tuple of PastRound
        Empty when the server kept nothing.
    server : Examples
        The server's own examples; executors use their inputs alone.
    streams : Streams
    rounds : int
        How many the federation trained for.
    client : int or None
        The participant that goes as a whole, if one does.
    """

    federation: Federation
    adapter: Tensor
    retain: tuple[Examples, ...]
    forget: tuple[Examples, ...]
    server: Examples
    streams: Streams
    rounds: int
    history: tuple[PastRound, ...] = field(default=())
    client: int | None = None

    def __post_init__(self) -> None:
        if not any(map(len, self.forget)):
            raise UserError("there is nothing to forget")
        if not any(map(len, self.retain)):
            raise UserError("nothing would be left to retain")

    @property
    def owner(self) -> int:
        """The first participant that has something to forget."""
        return next(k for k, part in enumerate(self.forget) if len(part))

    def sent(self) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Yield what the leaver sent: its part of a round, its update (P,), the reference (P,)."""
        for past in self.history:
            for row in np.flatnonzero(past.members == self.client):
                yield float(past.weights[row]), past.updates[row], past.reference

    @property
    def forgotten(self) -> Examples:
        """All that has to go, in one."""
        return Examples.concatenate([part for part in self.forget if len(part)])

    @property
    def retained(self) -> Examples:
        """All that stays, in one."""
        return Examples.concatenate([part for part in self.retain if len(part)])


def forget_client(
    shards: Sequence[Examples], client: int
) -> tuple[tuple[Examples, ...], tuple[Examples, ...]]:
    """Return (retain, forget) when a participant goes with all its data.

    Raises
    ------
    UserError
        When no such participant took part.
    """
    if not 0 <= client < len(shards) or not len(shards[client]):
        took_part = [str(k) for k, shard in enumerate(shards) if len(shard)]
        raise UserError(
            f"participant {client} never took part; expected one of: {', '.join(took_part)}"
        )
    empty = shards[client].select(slice(0, 0))
    return (
        tuple(empty if k == client else shard for k, shard in enumerate(shards)),
        tuple(
            shard if k == client else shard.select(slice(0, 0)) for k, shard in enumerate(shards)
        ),
    )


def forget_samples(
    shards: Sequence[Examples], client: int, samples: Sequence[int]
) -> tuple[tuple[Examples, ...], tuple[Examples, ...]]:
    """Return (retain, forget) when some of one participant's examples go.

    Raises
    ------
    UserError
        When there is no such participant or sample.
    """
    forget_client(shards, client)
    size = len(shards[client])
    if not samples or not all(0 <= sample < size for sample in samples):
        raise UserError(
            f"samples {list(samples)}: expected some of 0 to {size - 1} of participant {client}"
        )
    gone = np.isin(np.arange(size), list(samples))
    return _split(shards, [gone if k == client else _none(s) for k, s in enumerate(shards)])


def forget_class(
    shards: Sequence[Examples], label: int
) -> tuple[tuple[Examples, ...], tuple[Examples, ...]]:
    """Return (retain, forget) when everybody's examples of a class go.

    Raises
    ------
    UserError
        When nobody has an example of it.
    """
    gone = [(shard.groups == label).numpy() for shard in shards]
    if not any(part.any() for part in gone):
        raise UserError(f"class {label}: nobody has an example of it")
    return _split(shards, gone)


def forget_feature(
    shards: Sequence[Examples], client: int, where: Tensor
) -> tuple[tuple[Examples, ...], tuple[Examples, ...]]:
    """Return (retain, forget) when part of the input of one participant's examples goes.

    What stays are its examples with that part at its mean, which tells nothing.

    Parameters
    ----------
    where : Tensor
        Bool, of the shape of one image; pixels that go.

    Raises
    ------
    UserError
        When there is no such participant, the data is no images or the shape is another.
    """
    _, forget = forget_client(shards, client)
    images = shards[client].inputs.get("pixel_values")
    if images is None or where.shape != images.shape[1:]:
        raise UserError("a feature is a mask over the pixels of one image")
    blank = torch.where(where, images.mean(0), images)
    kept = replace(shards[client], inputs={**shards[client].inputs, "pixel_values": blank})
    return tuple(kept if k == client else s for k, s in enumerate(shards)), forget


def _none(shard: Examples) -> Mask:
    return np.zeros(len(shard), dtype=bool)


def _split(
    shards: Sequence[Examples], gone: Sequence[Mask]
) -> tuple[tuple[Examples, ...], tuple[Examples, ...]]:
    pairs = list(zip(shards, gone, strict=True))
    return (
        tuple(shard.select(~part) for shard, part in pairs),
        tuple(shard.select(part) for shard, part in pairs),
    )
