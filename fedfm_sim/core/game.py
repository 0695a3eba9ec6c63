"""Coalition games: a set of players and the value of each of their coalitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import whole

#: Coalitions, the players in each as the bits of a number.
Masks = Index

#: What coalitions are worth.
Values = Array

#: Up to this many players a table of all coalitions is made (8 MiB at 20).
MAX_TABLE_PLAYERS = 24

#: A coalition is the bits of one int64.
MAX_PLAYERS = 62

#: Keys of a saved game's metadata.
_PLAYERS, _FINGERPRINT = "players", "fingerprint"


class _DenseStore:
    """Values by bitmask in one array of ``2**n``; pages not written cost no memory."""

    def __init__(self, players: int) -> None:
        self.values: Values = np.empty(1 << players)
        self.known = np.zeros(1 << players, dtype=np.bool_)
        self.count = 0

    def missing(self, masks: Masks) -> Masks:
        return np.unique(masks[~self.known[masks]])

    def put(self, masks: Masks, values: Values) -> None:
        self.values[masks] = values
        self.count += int(np.count_nonzero(~self.known[masks]))
        self.known[masks] = True

    def get(self, masks: Masks) -> Values:
        return self.values[masks]

    def items(self) -> tuple[Masks, Values]:
        masks = np.flatnonzero(self.known)
        return masks, self.values[masks]


class _SparseStore:
    """Values by bitmask in a dictionary, for games too large for a table."""

    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    @property
    def count(self) -> int:
        return len(self.values)

    def missing(self, masks: Masks) -> Masks:
        return np.array(
            [mask for mask in np.unique(masks).tolist() if mask not in self.values], dtype=np.int64
        )

    def put(self, masks: Masks, values: Values) -> None:
        self.values.update(zip(masks.tolist(), values.tolist(), strict=True))

    def get(self, masks: Masks) -> Values:
        flat = [self.values[mask] for mask in masks.ravel().tolist()]
        return np.array(flat, dtype=np.float64).reshape(masks.shape)

    def items(self) -> tuple[Masks, Values]:
        masks = np.array(sorted(self.values), dtype=np.int64)
        return masks, self.get(masks)


@dataclass
class CoalitionGame:
    """A transferable-utility game ``(N, v)`` over bitmasks; bit ``i`` is player ``i``.

    Parameters
    ----------
    players : int
        Number of players ``n``, from 1 to 62.
    function : callable
        ``function(masks)`` gives the values of an int64 array of bitmasks, as
        a float64 array of the same length, in the game's own unit.

    Raises
    ------
    UserError
        When the number of players is out of range.

    Notes
    -----
    ``v(empty)`` is whatever the function says; contribution schemes share out
    ``v(N) - v(empty)``. Values are computed once and cached by bitmask.
    """

    players: int
    function: Callable[[Masks], npt.ArrayLike]
    _store: _DenseStore | _SparseStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.players <= MAX_PLAYERS:
            raise UserError(
                f"a coalition game needs 1 to {MAX_PLAYERS} players, got {self.players}"
            )
        dense = self.players <= MAX_TABLE_PLAYERS
        self._store = _DenseStore(self.players) if dense else _SparseStore()

    @classmethod
    def from_table(cls, table: npt.ArrayLike) -> CoalitionGame:
        """Make a game from an array of ``2**n`` values in bitmask order (copied).

        Raises
        ------
        UserError
            When the array is not flat, not of ``2**n`` values, or not finite.
        """
        values = np.array(table, dtype=np.float64)
        players = values.size.bit_length() - 1
        if values.ndim != 1 or values.size != 1 << max(players, 0) or players < 1:
            raise UserError(f"a game table needs 2**n values, n >= 1, got shape {values.shape}")
        if not np.isfinite(values).all():
            raise UserError("a game table holds finite values only; it has NaN or Inf")
        return cls(players, values.__getitem__)

    @classmethod
    def from_function(
        cls, players: int, function: Callable[[frozenset[int]], float]
    ) -> CoalitionGame:
        """Make a game from a function of the set of members, called once per coalition."""

        def values(masks: Masks) -> list[float]:
            return [
                function(frozenset(i for i in range(players) if mask >> i & 1))
                for mask in masks.tolist()
            ]

        return cls(players, values)

    @classmethod
    def from_dict(cls, players: int, values: Mapping[Iterable[int], float]) -> CoalitionGame:
        """Make a game from ``{coalition: value}``; a coalition left out is worth 0.

        Raises
        ------
        UserError
            When a coalition names a player outside the game, or is given twice.
        """
        if not 1 <= players <= MAX_TABLE_PLAYERS:
            raise UserError(
                f"a game of listed coalitions has 1 to {MAX_TABLE_PLAYERS} players, got {players}"
            )
        table = np.zeros(1 << players)
        seen: set[int] = set()
        for coalition, value in values.items():
            mask = _mask(coalition, players)
            if mask in seen:
                raise UserError(f"coalition {coalition!r} is listed twice")
            seen.add(mask)
            table[mask] = value
        return cls.from_table(table)

    @property
    def grand(self) -> int:
        """The bitmask of the grand coalition."""
        return (1 << self.players) - 1

    @property
    def evaluations(self) -> int:
        """How many different coalitions have been valued so far."""
        return self._store.count

    def values(self, masks: npt.ArrayLike) -> Values:
        """Return the values of ``masks`` (any shape), each computed at most once.

        Raises
        ------
        UserError
            When a mask is not an integer or names a player outside the game,
            or a value is not finite.
        """
        wanted = np.asarray(masks)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise UserError(f"coalitions are integer bitmasks, got {wanted.dtype}")
        if wanted.size and (wanted.min() < 0 or wanted.max() > self.grand):
            raise UserError(f"coalition outside the game of {self.players} players")
        wanted = wanted.astype(np.int64, copy=False)
        self._compute(self._store.missing(wanted))
        return self._store.get(wanted)

    def _compute(self, missing: Masks) -> None:
        if not missing.size:
            return
        computed = np.asarray(self.function(missing), dtype=np.float64)
        if computed.shape != missing.shape or not np.isfinite(computed).all():
            raise UserError("the characteristic function must give one finite value per coalition")
        self._store.put(missing, computed)

    def value(self, *coalition: int) -> float:
        """Return ``v`` of the players named, such as ``game.value(0, 2)``.

        Raises
        ------
        UserError
            When a player is outside the game.
        """
        return float(self.values(_mask(coalition, self.players)))

    def table(self) -> Values:
        """Return all ``2**n`` values in bitmask order, as a read-only array.

        Raises
        ------
        UserError
            When there are more than ``MAX_TABLE_PLAYERS`` players.
        """
        store = self._store
        if isinstance(store, _SparseStore):
            raise UserError(
                f"a table of 2**{self.players} coalitions is too large; "
                f"exact methods take at most {MAX_TABLE_PLAYERS} players"
            )
        self._compute(np.flatnonzero(~store.known))
        table = store.values.view()
        table.flags.writeable = False
        return table

    def save(self, path: str | Path, fingerprint: str = "") -> None:
        """Write the values computed so far to a Parquet file, whole or not at all.

        Parameters
        ----------
        path : str or Path
        fingerprint : str
            What the values depend on (data, model, seed), so that `restore`
            can refuse those of another game.
        """
        masks, values = self._store.items()
        table = pa.table({"coalition": masks, "value": values})
        metadata = {_PLAYERS: str(self.players), _FINGERPRINT: fingerprint}
        with whole(path) as part:
            pq.write_table(table.replace_schema_metadata(metadata), part)

    def restore(self, path: str | Path, fingerprint: str = "") -> int:
        """Take over the values that `save` wrote, and return how many there were.

        Raises
        ------
        UserError
            When the file is missing, damaged, or of another game.
        """
        try:
            table = pq.read_table(path)
            masks = table["coalition"].to_numpy().astype(np.int64)
            values = table["value"].to_numpy().astype(np.float64)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: no coalition values can be read ({reason})") from error
        given = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
        if given.get(_PLAYERS) != str(self.players) or given.get(_FINGERPRINT) != fingerprint:
            raise UserError(f"{path}: the values are of another game")
        inside = (masks >= 0) & (masks <= self.grand)
        if not (inside & np.isfinite(values)).all() or np.unique(masks).size != masks.size:
            raise UserError(f"{path}: a value is not finite, or a coalition is not of the game")
        self._store.put(masks, values)
        return int(masks.size)


def _mask(coalition: Iterable[int], players: int) -> int:
    """Return the bitmask of the players named."""
    members = set(coalition)
    for player in members:
        if not 0 <= player < players:
            raise UserError(f"player {player} is outside the game of {players} players")
    return sum(1 << player for player in members)
