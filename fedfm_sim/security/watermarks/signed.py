"""Signed marks (FedSOV, Yang et al. 2023): a claim that cannot be made up afterwards.

Whoever may choose a key freely after seeing a model can choose one that fits: E for given
bits at once, and a derived key by trying about 1/p of them. So the secret of a signed key is
the owner's Ed25519 signature (RFC 8032) of a statement that names the owner and the
model. The public key was registered before; at the claim the signature is shown, anybody
checks it, and derives the bits from it. A forger needs a signature under a registered key.
An owner could sign with many nonces, or under many spellings of its name, and pick: RFC 8032
fixes the nonce, but nobody can see that it was so. A dispute should ask for far less than 10^-6,
and for a statement that was registered with the public key.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from fedfm_sim.core.errors import UserError
from fedfm_sim.security.watermarks.key import Key


def private_key(seed: bytes | None = None) -> Ed25519PrivateKey:
    """Return an Ed25519 private key: of 32 secret bytes, or a new one.

    Raises
    ------
    UserError
        When the seed has another length.
    """
    if seed is None:
        return Ed25519PrivateKey.generate()
    if len(seed) != 32:
        raise UserError(f"an Ed25519 private key has 32 bytes, got {len(seed)}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def signed_key(
    owner: str, private: Ed25519PrivateKey, bits: int = 64, base: str = "", layout: str = ""
) -> Key:
    """Return the key whose secret is the owner's signature of who marks which model."""
    statement = _statement(owner, bits, base, layout)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Key(
        owner=owner,
        secret=private.sign(statement.encode()).hex(),
        bits=bits,
        base=base,
        layout=layout,
        public_key=public.hex(),
        statement=statement,
    )


def check_signature(key: Key, registered: str | None = None) -> None:
    """Check that a key's secret is its public key's signature of its statement.

    Parameters
    ----------
    registered : str, optional
        The public key (64 hexadecimal digits) that the owner registered before the training.

    Raises
    ------
    UserError
        When the key is not signed, its fields are not those it states, the signature is
        of another key or text, or the public key is not the registered one.
    """
    if not key.public_key:
        raise UserError(f"the key of '{key.owner}' is not signed")
    if registered is not None and registered != key.public_key:
        raise UserError(f"the key of '{key.owner}' is signed by a key that is not registered")
    if key.statement != _statement(key.owner, key.bits, key.base, key.layout):
        raise UserError(f"the key of '{key.owner}' is not for what its statement says")
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_key))
    try:
        public.verify(bytes.fromhex(key.secret), key.statement.encode())
    except InvalidSignature as error:
        raise UserError(f"the signature of the key of '{key.owner}' is not valid") from error


def _statement(owner: str, bits: int, base: str, layout: str) -> str:
    return f"{owner!r} marks adapters of {base!r} with layout {layout!r} by {bits} bits"


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 private key in PEM, as ``openssl genpkey -algorithm ed25519`` writes it.

    Raises
    ------
    UserError
        When the file can't be read, is encrypted or holds another kind of key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: no unencrypted Ed25519 private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: a private key, but not of Ed25519")
    return key
