"""Double-entry accounts: every unit of money paid is a unit some account lost."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError

Account = int | str

#: The accounts besides those of the participants. "outside" is the world: the
#: buyers of stolen models, the suppliers of compute.
NAMED = ("server", "outside")

#: The largest amount of one transfer; more is taken for a mistake of units.
MOST_MONEY = 1e15


@dataclass(frozen=True, eq=False)
class _Posting:
    """One line of the journal, or many that differ in one account and the amount."""

    round: int
    sources: Index
    targets: Index
    amounts: Array
    purpose: str


class AccountBook:
    """The accounts of n participants, the server, the world, and an escrow for each.

    Accounts start at zero and may go below it: there is no limit of credit.
    Balances are kept as sums of two floats, about 32 digits, so that rounding
    makes and loses no money to speak of however long the run. What `balance`,
    `balances` and `locked` return is rounded to one float, 16 digits.

    Parameters
    ----------
    participants : int
        Number of participants n; their accounts are the integers 0 to n - 1.

    Attributes
    ----------
    round : int
        The round that transfers are booked under; set it as the rounds go by.

    Raises
    ------
    UserError
        When there are no participants.
    """

    def __init__(self, participants: int) -> None:
        if participants < 1:
            raise UserError(f"an account book needs at least 1 participant, got {participants}")
        self.participants = participants
        self.round = 0
        size = 2 * participants + len(NAMED)
        self._high: Array = np.zeros(size)
        self._low: Array = np.zeros(size)
        self._journal: list[_Posting] = []

    def transfer(self, source: Account, target: Account, amount: float, purpose: str) -> None:
        """Move money from one account to another; zero leaves no line in the journal.

        Parameters
        ----------
        source, target : int or str
            A participant's index, "server" or "outside".
        amount : float
            Money, from 0 to 1e15.
        purpose : str
            What it is for, as the journal says it.

        Raises
        ------
        UserError
            When an account is unknown, the two are the same, or the amount is
            out of range. Nothing is booked then.
        """
        self._post(self._index(source), self._index(target), np.array([amount]), purpose)

    def transfer_many(
        self,
        source: Account | npt.ArrayLike,
        target: Account | npt.ArrayLike,
        amounts: npt.ArrayLike,
        purpose: str,
    ) -> None:
        """Move money between many participants and one other account.

        Parameters
        ----------
        source, target : int, str, or (m,) array of int
            One of them is an array of different participants.
        amounts : float or (m,) array
            Money, from 0 to 1e15.
        purpose : str
            What it is for, as the journal says it.

        Raises
        ------
        UserError
            As `transfer`, or when a participant is named twice, or the shapes
            differ. Nothing is booked then.

        Examples
        --------
        >>> book = AccountBook(3)
        >>> book.transfer_many("server", [0, 2], [5.0, 1.5], "reward")
        >>> book.balances.tolist(), book.balance("server")
        ([5.0, 0.0, 1.5], -6.5)
        """
        self._post(self._index(source), self._index(target), amounts, purpose)

    def lock(self, participants: npt.ArrayLike, amounts: npt.ArrayLike) -> None:
        """Move deposits of some participants into their escrow.

        Parameters
        ----------
        participants : int or (m,) array of int
        amounts : float or (m,) array
            Money, from 0 to 1e15.

        Raises
        ------
        UserError
            As `transfer_many`.
        """
        index = self._participants(participants)
        self._post(index, self._escrow(index), amounts, "deposit")

    def release(self, participants: npt.ArrayLike, amounts: npt.ArrayLike | None = None) -> None:
        """Give deposits back out of escrow.

        Parameters
        ----------
        participants : int or (m,) array of int
        amounts : float or (m,) array, optional
            Money; by default all that each has locked.

        Raises
        ------
        UserError
            As `transfer_many`, or when it is more than is locked.
        """
        index = self._participants(participants)
        self._withdraw(index, index, amounts, "deposit released")

    def forfeit(
        self,
        participants: npt.ArrayLike,
        amounts: npt.ArrayLike | None = None,
        *,
        target: Account = "server",
        purpose: str = "deposit forfeited",
    ) -> None:
        """Pay deposits out of escrow to somebody else.

        Parameters
        ----------
        participants : int or (m,) array of int
            Whose deposits.
        amounts : float or (m,) array, optional
            Money; by default all that each has locked.
        target : int or str
            Who receives them.
        purpose : str
            What it is for, as the journal says it.

        Raises
        ------
        UserError
            As `transfer_many`, or when it is more than is locked.
        """
        index = self._participants(participants)
        self._withdraw(index, self._index(target), amounts, purpose)

    def balance(self, account: Account) -> float:
        """Return the balance of a participant, "server", "outside" or "escrow", money.

        Raises
        ------
        UserError
            When there is no such account.
        """
        first = self.participants + len(NAMED)
        where = slice(first, None) if account == "escrow" else self._index(account)
        return fsum([*self._high[where], *self._low[where]])

    @property
    def balances(self) -> Array:
        """The balances of the participants, (n,), money; deposits not included."""
        return (self._high + self._low)[: self.participants]

    @property
    def locked(self) -> Array:
        """What each participant has in escrow, (n,), money."""
        return self._locked(np.arange(self.participants))

    @property
    def money_error(self) -> float:
        """How far the books are from balancing, money.

        The larger of the sum of all balances, which is money made or lost, and
        the largest difference between a balance and the same balance added up
        from the journal.
        """
        entries: list[list[float]] = [[-high, -low] for high, low in self._pairs()]
        for posting in self._journal:
            rows = zip(
                posting.sources.tolist(),
                posting.targets.tolist(),
                posting.amounts.tolist(),
                strict=True,
            )
            for source, target, amount in rows:
                entries[source].append(-amount)
                entries[target].append(amount)
        unexplained = max(abs(fsum(parts)) for parts in entries)
        return max(abs(fsum(part for pair in self._pairs() for part in pair)), unexplained)

    def to_frame(self) -> pd.DataFrame:
        """Return the journal, one row per transfer.

        Returns
        -------
        DataFrame
            Columns round, source, target, amount (money), purpose. Accounts
            are text: "3", "server", "outside", or "escrow/3".
        """
        names = np.array([self._name(index) for index in range(self._high.size)], dtype=object)
        journal = self._journal
        sources: list[Index] = [posting.sources for posting in journal]
        targets: list[Index] = [posting.targets for posting in journal]
        lengths = [posting.amounts.size for posting in journal]
        return pd.DataFrame(
            {
                "round": np.repeat([posting.round for posting in journal], lengths).astype(int),
                "source": names[_join(sources)].astype(str),
                "target": names[_join(targets)].astype(str),
                "amount": np.concatenate([np.zeros(0), *(p.amounts for p in journal)]),
                "purpose": np.repeat([p.purpose for p in journal], lengths).astype(str),
            }
        )

    def memory(self) -> dict[str, Any]:
        """Return balances and journal as plain values and arrays, for `recall`."""
        journal = self._journal
        return {
            "balances": [self._high.copy(), self._low.copy()],
            "rounds": [posting.round for posting in journal],
            "purposes": [posting.purpose for posting in journal],
            "lengths": [posting.amounts.size for posting in journal],
            "sources": _join([posting.sources for posting in journal]),
            "targets": _join([posting.targets for posting in journal]),
            "amounts": np.concatenate([np.zeros(0), *(p.amounts for p in journal)]),
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over the balances and the journal of another book of as many participants."""
        self._high, self._low = memory["balances"]
        ends = np.cumsum(memory["lengths"], dtype=np.int64)[:-1]
        columns = (np.split(memory[name], ends) for name in ("sources", "targets", "amounts"))
        postings = zip(memory["rounds"], *columns, memory["purposes"], strict=True)
        self._journal = [_Posting(*each) for each in postings] if memory["rounds"] else []

    def __repr__(self) -> str:
        return (
            f"AccountBook(participants={self.participants}, round={self.round}, "
            f"server={self.balance('server'):g}, outside={self.balance('outside'):g}, "
            f"escrow={self.balance('escrow'):g})"
        )

    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(self._high.tolist(), self._low.tolist(), strict=True))

    def _name(self, index: int) -> str:
        if index < self.participants:
            return str(index)
        beyond = index - self.participants
        return NAMED[beyond] if beyond < len(NAMED) else f"escrow/{beyond - len(NAMED)}"

    def _index(self, account: Account | npt.ArrayLike) -> Index:
        """Return the positions of one account by name, or of participants."""
        if isinstance(account, str):
            if account not in NAMED:
                raise UserError(
                    f"unknown account '{account}'; expected a participant's index or one of: "
                    f"{', '.join(NAMED)} (escrow is reached by lock, release and forfeit)"
                )
            return np.array([self.participants + NAMED.index(account)])
        return self._participants(account)

    def _participants(self, participants: npt.ArrayLike) -> Index:
        index = np.atleast_1d(np.asarray(participants))
        if not index.size:
            return np.zeros(0, dtype=np.int64)
        if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
            raise UserError("participants are named by a flat array of integers")
        if index.min() < 0 or index.max() >= self.participants:
            raise UserError(f"a participant is outside 0..{self.participants - 1}")
        return index.astype(np.int64)

    def _escrow(self, participants: Index) -> Index:
        return participants + self.participants + len(NAMED)

    def _withdraw(
        self, owners: Index, targets: Index, amounts: npt.ArrayLike | None, purpose: str
    ) -> None:
        held = self._locked(owners)
        wanted = held if amounts is None else np.asarray(amounts, dtype=np.float64)
        if wanted.shape in ((), (1,), held.shape) and np.any(wanted > held):
            raise UserError(f"cannot withdraw more from escrow than is locked ({purpose})")
        self._post(self._escrow(owners), targets, wanted, purpose)

    def _locked(self, owners: Index) -> Array:
        """Return deposits rounded down, so that paying them out never overdraws."""
        where = self._escrow(owners)
        high = self._high[where]
        return np.where(self._low[where] < 0, np.nextafter(high, 0.0), high)

    def _post(self, sources: Index, targets: Index, amounts: npt.ArrayLike, purpose: str) -> None:
        """Book transfers after checking them; all or none."""
        money = np.atleast_1d(np.asarray(amounts, dtype=np.float64))
        if not ((money >= 0) & (money <= MOST_MONEY)).all():
            raise UserError(f"amounts must lie in 0..{MOST_MONEY:g} ({purpose})")
        rows = max(sources.size, targets.size) if sources.size and targets.size else 0
        if any(part.shape not in ((1,), (rows,)) for part in (sources, targets, money)):
            raise UserError(f"accounts and amounts differ in number ({purpose})")
        for index in (sources, targets):
            if index.size > 1 and np.unique(index).size < index.size:
                raise UserError(f"a participant is named twice ({purpose})")
        sources, targets, money = np.broadcast_arrays(sources, targets, np.resize(money, rows))
        if (sources == targets).any():
            raise UserError(f"source and target are the same account ({purpose})")
        booked = money > 0
        sources, targets, money = sources[booked], targets[booked], money[booked]
        if money.size:
            self._add(sources, -money)
            self._add(targets, money)
            self._journal.append(_Posting(self.round, sources, targets, money, purpose))

    def _add(self, index: Index, amounts: Array) -> None:
        """Add to accounts that are all different, or all one and the same."""
        if index.size > 1 and index[0] == index[1]:
            total = fsum(amounts)
            self._add(index[:1], np.array([total]))
            self._add(index[:1], np.array([fsum([*amounts, -total])]))
            return
        high, error = _two_sum(self._high[index], amounts)
        self._high[index], self._low[index] = _two_sum(high, self._low[index] + error)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum and its exact rounding error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _join(parts: list[Index]) -> Index:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
