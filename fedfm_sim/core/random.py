"""Named random streams, so that no draw depends on the order of another."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from fedfm_sim.core.errors import UserError


class Streams:
    """Independent generators, each addressed by what it is for.

    ``Streams(seed).generator("audit", 3)`` is the same generator contents
    whenever and wherever it is asked for: the names are hashed into the spawn
    key of a `numpy.random.SeedSequence`.

    Parameters
    ----------
    seed : int
        Entropy of the run, at least 0.
    scope : str
        Separates runs that share a seed (the scenario's name).

    Raises
    ------
    UserError
        When the seed is negative.
    """

    def __init__(self, seed: int, scope: str = "") -> None:
        if seed < 0:
            raise UserError(f"a seed is at least 0, got {seed}")
        self.seed = seed
        self.scope = scope

    def sequence(self, *names: str | int) -> np.random.SeedSequence:
        """Return the seed sequence addressed by ``names``."""
        text = "\x1f".join([self.scope, *map(str, names)])
        digest = blake2b(text.encode(), digest_size=16).digest()
        key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        return np.random.SeedSequence(self.seed, spawn_key=key)

    def generator(self, *names: str | int) -> np.random.Generator:
        """Return a fresh generator addressed by ``names``."""
        return np.random.default_rng(self.sequence(*names))

    def integer(self, *names: str | int) -> int:
        """Return a seed in [0, 2^63) for a library that wants an integer."""
        return int(self.sequence(*names).generate_state(1, np.uint64)[0] >> 1)
