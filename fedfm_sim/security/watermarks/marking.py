"""Mark, verify and trace saved adapters: what the command line does, for any LoRA in peft's format.

Nothing but the adapter's own folder is needed: no base model, no data, no simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapter_files import StoredAdapter
from fedfm_sim.security.watermarks.key import Key, layout_digest, modules_of
from fedfm_sim.security.watermarks.matching import matched
from fedfm_sim.security.watermarks.signed import check_signature, read_private_key, signed_key
from fedfm_sim.security.watermarks.verification import Claim, Trace, claim
from fedfm_sim.security.watermarks.white_box import bits_found, directions, embed, read_bits

#: Standard deviations of an unmarked response at which bits are embedded.
MARGIN = 4.0


def new_key(stored: StoredAdapter, owner: str, bits: int, private: Path | None = None) -> Key:
    """Return a key for an adapter: of secret random bits, or signed by a PEM private key."""
    digest = layout_digest(stored.layout)
    if private is not None:
        key = signed_key(owner, read_private_key(private), bits, stored.base, digest)
    else:
        key = Key.create(owner, bits, stored.base, digest)
    return key.model_copy(update={"modules": modules_of(stored.layout)})


def mark(stored: StoredAdapter, key: Key, out: Path, margin: float = MARGIN) -> Claim:
    """Write a marked copy of an adapter to a new folder, and return the key's claim on it.

    The bits are read from the numbers as they are stored, in the adapter's own type.

    Raises
    ------
    UserError
        When the key is for another model, the bits do not fit, or ``out`` holds files.
    """
    key.check(stored.base, stored.layout)
    of = directions(stored.layout, [key])
    row = embed(stored.layout, stored.adapter, of, margin)
    found = int(read_bits(stored.layout, stored.rounded(row)[None], of).sum())
    if found < key.bits:
        raise UserError(
            f"only {found} of {key.bits} bits survive storage as {stored.kind}; "
            "take a larger margin"
        )
    stored.rewrite(row, out)
    return claim(key.owner, found, key.bits)


def verify(
    stored: StoredAdapter, key: Key, claimants: int = 1, registered: str | None = None
) -> Claim:
    """Return a key's claim on an adapter, from the weights that are the key's.

    Names, configuration and modules that were added or dropped refuse no claim: see `notes`.

    Raises
    ------
    UserError
        When the key says that it is signed and is not, or ``registered`` is given and the key
        is not signed by that public key.
    """
    if key.public_key or registered is not None:
        check_signature(key, registered)
    return _found(stored, key, claimants)[0]


def notes(stored: StoredAdapter, keys: Sequence[Key]) -> tuple[str, ...]:
    """Return what of an adapter's files differs from what keys were made for, each once."""
    return tuple(dict.fromkeys(note for key in keys for note in matched(stored, key).notes))


def _found(stored: StoredAdapter, key: Key, claimants: int) -> tuple[Claim, float]:
    part = matched(stored, key)
    if not part.layout.modules:
        return claim(key.owner, 0, key.bits, 0.5, claimants), 0.0
    return bits_found(part.layout, part.adapter, key, MARGIN, claimants)


def trace(stored: StoredAdapter, keys: Sequence[Key]) -> Trace:
    """Return to which of several keys a leaked adapter is traced.

    Raises
    ------
    UserError
        When there is no key or one is not signed as it says.
    """
    if not keys:
        raise UserError("no keys to trace by")
    for key in keys:
        if key.public_key:
            check_signature(key)
    found = [_found(stored, key, len(keys)) for key in keys]
    return Trace(tuple(own for own, _ in found), np.array([score for _, score in found]))


def read_keys(folder: Path) -> list[Key]:
    """Return the keys in a folder, by file name.

    Raises
    ------
    UserError
        When there is no such folder, it holds no JSON file, or one is no key.
    """
    if not folder.is_dir():
        raise UserError(f"--keys {folder}: no such folder")
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"--keys {folder}: holds no key (*.json)")
    return [Key.load(path) for path in paths]
