"""Secure aggregation: the server learns the sum of updates and no single one.

After Bonawitz et al. (CCS 2017), for a server that keeps to the protocol. Every pair of
participants agrees on a mask that one adds and the other subtracts, and everybody adds a
mask of its own. All arithmetic is on integers modulo 2^64, so that masks cancel exactly.
Secrets are shared among all (Shamir 1979): of those who drop out the pairwise
masks can be taken away, and of those who stay their own ones. The encryption of
shares on their way and signatures against an active server are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError

Words = npt.NDArray[np.uint64]
Shares = list[tuple[int, int]]

#: A Mersenne prime above every 256-bit secret.
PRIME = 2**521 - 1


@dataclass(frozen=True, eq=False)
class Member:
    """One participant's secrets: a key for pairwise masks and a seed of its own mask."""

    number: int
    key: bytes
    seed: bytes

    @classmethod
    def draw(cls, number: int, rng: np.random.Generator) -> Member:
        """Return a participant with fresh secrets."""
        return cls(number, rng.bytes(32), rng.bytes(32))

    @property
    def public(self) -> bytes:
        """The public key that everybody is told."""
        return X25519PrivateKey.from_private_bytes(self.key).public_key().public_bytes_raw()


def masked(member: Member, values: Words, publics: Sequence[bytes]) -> Words:
    """Return what a participant sends: its values (P,) under all its masks."""
    total = values + stream(member.seed, len(values))
    for other, public in enumerate(publics):
        if other != member.number:
            mask = stream(agree(member.key, public), len(values))
            total = total + mask if member.number < other else total - mask
    return total


def secure_sum(
    values: Index,
    dropped: Collection[int],
    threshold: int,
    rng: np.random.Generator,
) -> Index:
    """Return the exact sum over those who did not drop out, from masked values alone.

    Parameters
    ----------
    values : (K, P) array of int64
        The sum of all has to fit into 63 bits and a sign.
    dropped : collection of int
        Who shares its secrets but never sends its masked values.
    threshold : int
        Shares needed to recover a secret, in [1, K]; fewer survivors end the protocol.
    rng : numpy.random.Generator
        Draws the secrets.

    Returns
    -------
    (P,) array of int64

    Raises
    ------
    UserError
        When fewer than ``threshold`` stay, or a sum can overflow.
    """
    count, width = values.shape
    survivors = [k for k in range(count) if k not in set(dropped)]
    if not 1 <= threshold <= count:
        raise UserError(f"secure aggregation: threshold {threshold}, expected 1 to {count}")
    if len(survivors) < threshold:
        raise UserError(
            f"secure aggregation: {len(survivors)} of {count} stayed, "
            f"expected at least the threshold {threshold}"
        )
    if width and float(np.abs(values.astype(np.float64)).max()) * count >= 2.0**63:
        raise UserError("secure aggregation: values too large, their sum would overflow 64 bits")
    members = [Member.draw(k, rng) for k in range(count)]
    publics = [member.public for member in members]
    keys = [share(member.key, count, threshold, rng) for member in members]
    seeds = [share(member.seed, count, threshold, rng) for member in members]
    total = np.zeros(width, dtype=np.uint64)
    for k in survivors:
        total += masked(members[k], values[k].astype(np.uint64), publics)
    for k in survivors:
        total -= stream(recover([seeds[k][j] for j in survivors[:threshold]]), width)
    for k in sorted(set(range(count)) - set(survivors)):
        key = recover([keys[k][j] for j in survivors[:threshold]])
        for j in survivors:  # what survivor j put in for the one that is gone
            mask = stream(agree(key, publics[j]), width)
            total = total - mask if j < k else total + mask
    return total.astype(np.int64)


def agree(private: bytes, public: bytes) -> bytes:
    """Return the 32-byte secret of a pair: X25519, then HKDF with SHA-256."""
    own = X25519PrivateKey.from_private_bytes(private)
    secret = own.exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(hashes.SHA256(), 32, None, b"fedfm-sim pairwise mask").derive(secret)


def stream(seed: bytes, width: int) -> Words:
    """Return ``width`` words of the ChaCha20 key stream of a 32-byte seed."""
    cipher = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(cipher.update(bytes(8 * width)), dtype="<u8").astype(np.uint64)


def share(secret: bytes, count: int, threshold: int, rng: np.random.Generator) -> Shares:
    """Return ``count`` points of a random polynomial whose value at 0 is the secret."""
    randoms = [int.from_bytes(rng.bytes(65), "big") % PRIME for _ in range(threshold - 1)]
    coefficients = [int.from_bytes(secret, "big"), *randoms]
    points = []
    for x in range(1, count + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % PRIME
        points.append((x, value))
    return points


def recover(points: Shares) -> bytes:
    """Return the secret of as many points as the threshold asks (Lagrange at 0)."""
    secret = 0
    for x, value in points:
        above, below = 1, 1
        for other, _ in points:
            if other != x:
                above = above * -other % PRIME
                below = below * (x - other) % PRIME
        secret = (secret + value * above * pow(below, -1, PRIME)) % PRIME
    return secret.to_bytes(66, "big")[-32:]


def to_fixed(rows: Array, bits: int) -> Index:
    """Return numbers as integers, in units of ``2^-bits``, rounded to the nearest."""
    return np.rint(rows * 2.0**bits).astype(np.int64)


def from_fixed(values: Index, bits: int) -> Array:
    """Return what integers in units of ``2^-bits`` stand for."""
    return np.asarray(values / 2.0**bits)
