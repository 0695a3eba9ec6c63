"""Keys of watermarks: a secret, whose it is, and the model that it is for.

Everything that a mark is made of (directions, bits, triggers) is derived from 256 secret
bits by SHAKE-256, so that a key is a few lines of JSON whatever the model's size. A
secret from a small seed could be found by trying; `Key.create` asks the operating system.
"""

from __future__ import annotations

import json
import secrets
from hashlib import shake_256
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.adapters import AdapterLayout

SECRET_BYTES = 32


class Key(Settings):
    """The secret of one owner.

    Attributes
    ----------
    secret : str
        64 hexadecimal digits.
    owner : str
    bits : int
        N, how many bits the white-box mark carries.
    base : str
        Name of the model that the marked adapter is for; empty where it does not matter.
    layout : str
        `layout_digest` of the marked adapter; empty where it does not matter.
    modules : tuple
        Name, outputs and inputs of each module that carries the mark: what is looked for
        in a suspect, whatever else it holds. Empty for all that are there.
    public_key, statement : str
        Of a signed mark (see `signed`): who vouches for it, and for what; else empty.
    """

    format: Literal["fedfm-sim watermark key 1"] = "fedfm-sim watermark key 1"
    owner: str
    secret: str = Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{128})$", repr=False)
    bits: int = Field(default=64, ge=1, le=65_536)
    base: str = ""
    layout: str = ""
    modules: tuple[tuple[str, int, int], ...] = ()
    public_key: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    statement: str = ""

    @model_validator(mode="after")
    def _modules_of_layout(self) -> Self:
        if self.modules and self.layout and self.layout != _digest(self.modules):
            raise ValueError("the modules are not those of the layout")
        return self

    @classmethod
    def create(cls, owner: str, bits: int = 64, base: str = "", layout: str = "") -> Self:
        """Return a key that nobody can guess."""
        secret = secrets.token_hex(SECRET_BYTES)
        return cls(owner=owner, secret=secret, bits=bits, base=base, layout=layout)

    @classmethod
    def draw(cls, owner: str, rng: np.random.Generator, bits: int = 64) -> Self:
        """Return a key out of a generator: for simulations, whose secrets nobody steals."""
        return cls(owner=owner, secret=rng.bytes(SECRET_BYTES).hex(), bits=bits)

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the generator of what the key stands for, by purpose."""
        text = bytes.fromhex(self.secret) + b"\x1f" + purpose.encode()
        entropy = int.from_bytes(shake_256(text).digest(SECRET_BYTES), "little")
        return np.random.default_rng(entropy)

    def derive(self, *names: str | int) -> Key:
        """Return a key of the same owner for a part of its work, such as one round."""
        text = "\x1f".join(map(str, names))
        return self.model_copy(
            update={"secret": self.generator(text).bytes(SECRET_BYTES).hex(), "public_key": ""}
        )

    def check(self, base: str, layout: AdapterLayout) -> None:
        """Refuse to mark an adapter that the key was not made for.

        A claim asks for no such thing: who has the copy can edit what it says of itself.

        Raises
        ------
        UserError
            When the base model or the adapted tensors differ.
        """
        if self.base and self.base != base:
            raise UserError(
                f"the key of '{self.owner}' is for the base model '{self.base}', "
                f"and the adapter is of '{base}'"
            )
        if self.layout and self.layout != layout_digest(layout):
            raise UserError(
                f"the key of '{self.owner}' is for an adapter with other modules or shapes"
            )

    def save(self, path: Path) -> None:
        """Write the key; a file that is there stays as it is, and only its owner can read it.

        Raises
        ------
        UserError
            When the file exists or can't be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                path.chmod(0o600)
                file.write(self.model_dump_json(indent=2) + "\n")
        except FileExistsError as error:
            raise UserError(
                f"{path}: there is a file already, and keys are not replaced"
            ) from error
        except OSError as error:
            raise UserError(f"{path}: can't be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key.

        Raises
        ------
        UserError
            When the file is missing or is no key.
        """
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UserError(f"{path}: can't be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise UserError(f"{path}: no watermark key: {where}: {first['msg']}") from error
        except ValueError as error:
            raise UserError(f"{path}: no watermark key (not JSON)") from error


def modules_of(layout: AdapterLayout) -> tuple[tuple[str, int, int], ...]:
    """Return name, outputs and inputs of the adapted modules, by name.

    The rank is left out: a copy folded to another rank has the same weights to mark.
    """
    shapes = ((module, layout.pair_of_shapes(module)) for module in sorted(layout.modules))
    return tuple((module, b[0], a[1]) for module, (a, b) in shapes)


def layout_digest(layout: AdapterLayout) -> str:
    """Return 32 hexadecimal digits that name the adapted modules and their sizes."""
    return _digest(modules_of(layout))


def _digest(modules: tuple[tuple[str, int, int], ...]) -> str:
    sizes = [list(module) for module in sorted(modules)]
    return shake_256(json.dumps(sizes).encode()).hexdigest(16)
