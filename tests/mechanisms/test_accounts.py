"""The account book: money is moved, never made, and every move is in the journal."""

from __future__ import annotations

from fractions import Fraction
from math import fsum, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms import AccountBook

N = 4
who = st.integers(0, N - 1)
accounts = st.one_of(who, st.sampled_from(["server", "outside"]))
amounts = st.one_of(st.floats(0, 1e12), st.sampled_from([0.1, 0.2, 1 / 3, 1e-12, 1e12]))
# Two floats hold 106 bits: of 25 amounts of at most 1e12, to within 1e-18.
ROUNDING = Fraction(1, 10**18)
some = st.lists(who, unique=True, max_size=N)


class Ledger(RuleBasedStateMachine):
    """Any order of bookings, against a ledger in exact fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.book = AccountBook(N)
        self.exact: dict[int | str, Fraction] = {
            name: Fraction(0)
            for name in [*range(N), "server", "outside", *(f"escrow/{k}" for k in range(N))]
        }

    def move(self, source: int | str, target: int | str, amount: float) -> None:
        self.exact[source] -= Fraction(amount)
        self.exact[target] += Fraction(amount)

    @rule(ends=st.tuples(accounts, accounts), amount=amounts)
    def transfer(self, ends: tuple[int | str, int | str], amount: float) -> None:
        source, target = ends
        if source == target:
            with pytest.raises(UserError, match="same account"):
                self.book.transfer(source, target, amount, "x")
            return
        self.book.transfer(source, target, amount, "x")
        self.move(source, target, amount)

    @rule(participants=some, data=st.data(), inwards=st.booleans())
    def transfer_many(self, participants: list[int], data: st.DataObject, inwards: bool) -> None:
        money = [data.draw(amounts) for _ in participants]
        if inwards:
            self.book.transfer_many(participants, "server", money, "many")
        else:
            self.book.transfer_many("server", participants, money, "many")
        for k, amount in zip(participants, money, strict=True):
            source, target = (k, "server") if inwards else ("server", k)
            self.move(source, target, amount)

    @rule(k=who, amount=amounts)
    def lock(self, k: int, amount: float) -> None:
        self.book.lock(k, amount)
        self.move(k, f"escrow/{k}", amount)

    @rule(k=who, amount=amounts, forfeit=st.booleans())
    def withdraw(self, k: int, amount: float, forfeit: bool) -> None:
        take = self.book.forfeit if forfeit else self.book.release
        excess = Fraction(amount) - self.exact[f"escrow/{k}"]
        assume(excess == 0 or abs(excess) > ROUNDING)
        if excess > 0:
            with pytest.raises(UserError, match="more from escrow than is locked"):
                take(k, amount)
            return
        take(k, amount)
        self.move(f"escrow/{k}", "server" if forfeit else k, amount)

    @rule(participants=some)
    def release_all(self, participants: list[int]) -> None:
        held = self.book.locked[participants]
        self.book.release(participants)
        for k, amount in zip(participants, held.tolist(), strict=True):
            self.move(f"escrow/{k}", k, amount)

    @invariant()
    def agrees_with_exact_arithmetic(self) -> None:
        for name in [*range(N), "server", "outside"]:
            error = Fraction(self.book.balance(name)) - self.exact[name]
            assert abs(error) <= abs(self.exact[name]) / 2**52 + ROUNDING
        for k, held in enumerate(self.book.locked.tolist()):
            assert 0 <= held <= self.exact[f"escrow/{k}"] + ROUNDING
        assert self.book.money_error <= 1e-9


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(st.lists(st.tuples(who, st.floats(0, 1e6)), max_size=200))
def test_a_long_run_conserves_money(transfers: list[tuple[int, float]]) -> None:
    book = AccountBook(N)
    for k, amount in transfers:
        book.transfer("outside", k, amount, "sale")
        book.transfer(k, "server", amount / 3, "fee")
    assert book.money_error <= 1e-9
    everything = [*book.balances, *(book.balance(a) for a in ("server", "outside", "escrow"))]
    # What is reported is each rounded to one float, by half a unit in the last place.
    assert abs(fsum(everything)) <= fsum(np.spacing(np.abs(everything))) / 2


def test_a_transfer_moves_what_it_says() -> None:
    book = AccountBook(2)
    book.transfer("server", 0, 5.0, "reward")
    book.transfer(0, 1, 2.0, "bribe")
    book.transfer("outside", 1, 7.5, "sale of the model")
    assert book.balances.tolist() == [3.0, 9.5]
    assert book.balance("server") == -5
    assert book.balance("outside") == -7.5
    assert book.balance("escrow") == 0


def test_the_journal_tells_every_transfer() -> None:
    book = AccountBook(3)
    book.transfer_many("server", [2, 0], [4.0, 1.0], "reward")
    book.round = 1
    book.lock([0, 1], 0.5)
    book.forfeit(1, 0.25, target="outside", purpose="damages")
    frame = book.to_frame()
    assert list(frame.columns) == ["round", "source", "target", "amount", "purpose"]
    assert frame.to_numpy().tolist() == [
        [0, "server", "2", 4.0, "reward"],
        [0, "server", "0", 1.0, "reward"],
        [1, "0", "escrow/0", 0.5, "deposit"],
        [1, "1", "escrow/1", 0.5, "deposit"],
        [1, "escrow/1", "outside", 0.25, "damages"],
    ]


def test_a_new_book_is_empty() -> None:
    book = AccountBook(1)
    assert book.to_frame().shape == (0, 5)
    assert book.money_error == 0
    assert repr(book) == "AccountBook(participants=1, round=0, server=0, outside=0, escrow=0)"


def test_nothing_is_not_a_transfer() -> None:
    book = AccountBook(3)
    book.transfer_many("server", [0, 1, 2], [0.0, 2.0, 0.0], "reward")
    book.transfer_many("server", [], [], "reward")
    book.release([0, 1])
    assert book.to_frame()["target"].tolist() == ["1"]


def test_a_deposit_goes_in_and_comes_out_once() -> None:
    book = AccountBook(2)
    book.lock([0, 1], [3.0, 4.0])
    assert book.balances.tolist() == [-3, -4]
    assert book.locked.tolist() == [3, 4]
    assert book.balance("escrow") == 7
    book.forfeit(1, 1.0, target=0, purpose="bounty")
    book.release([0, 1])
    assert book.balances.tolist() == [1, -1]
    assert book.locked.tolist() == [0, 0]
    with pytest.raises(UserError, match="more from escrow than is locked"):
        book.release(1, 0.01)


def test_one_deposit_does_not_pay_for_another() -> None:
    book = AccountBook(2)
    book.lock(0, 100.0)
    with pytest.raises(UserError, match="more from escrow than is locked"):
        book.forfeit([0, 1], 1.0)
    assert book.locked.tolist() == [100, 0]


def test_deposits_in_tenths_come_out_whole() -> None:
    book = AccountBook(1)
    for part in (0.1, 0.7, 0.2):
        book.lock(0, part)
    for part in (0.7, 0.2, 0.1):
        book.release(0, part)
    assert book.locked.tolist() == [0.0]
    assert book.balances.tolist() == [0.0]


def test_small_change_is_not_lost_beside_a_fortune() -> None:
    book = AccountBook(1)
    book.transfer("outside", "server", 1e15, "endowment")
    for _ in range(1000):
        book.transfer("server", 0, 0.001, "tip")
    book.transfer("server", "outside", 1e15, "endowment returned")
    assert book.balance("server") == pytest.approx(-1.0, rel=1e-12)
    assert book.money_error < 1e-12


def test_an_error_in_the_books_is_found() -> None:
    book = AccountBook(2)
    book.transfer(0, 1, 5.0, "x")
    book._high[0] += 0.25
    assert book.money_error == 0.25
    book._high[1] -= 0.25  # the sum is right again, and the accounts are not
    assert book.money_error == 0.25


@pytest.mark.parametrize("amount", [-1e-300, nan, inf, -inf, 1.1e15])
def test_impossible_amounts_are_refused(amount: float) -> None:
    book = AccountBook(2)
    with pytest.raises(UserError, match="amounts must lie in"):
        book.transfer(0, 1, amount, "x")
    with pytest.raises(UserError, match="amounts must lie in"):
        book.transfer_many("server", [0, 1], [1.0, amount], "x")
    with pytest.raises(UserError, match="amounts must lie in"):
        book.lock(0, amount)
    assert book.balances.tolist() == [0, 0]
    assert book.to_frame().empty


@pytest.mark.parametrize("account", [2, -1, "bank", "escrow", "0", 0.5, True, None])
def test_unknown_accounts_are_refused(account: Any) -> None:
    book = AccountBook(2)
    with pytest.raises(UserError, match=r"account|participant"):
        book.transfer(account, 1, 1.0, "x")
    with pytest.raises(UserError, match=r"account|participant"):
        book.transfer(1, account, 1.0, "x")
    assert book.money_error == 0


@pytest.mark.parametrize(
    ("target", "money", "message"),
    [
        ([0, 0], [1.0, 1.0], "named twice"),
        ([0, 1, 0], [1.0, 1.0, 1.0], "named twice"),
        ([0, 1], [1.0, 1.0, 1.0], "differ in number"),
        ([0, 1, 2], [1.0, 1.0], "differ in number"),
        ([[0, 1]], [1.0], "flat"),
    ],
)
def test_arrays_that_do_not_match_are_refused(
    target: Any, money: list[float], message: str
) -> None:
    book = AccountBook(3)
    with pytest.raises(UserError, match=message):
        book.transfer_many("server", target, money, "x")
    assert book.balances.tolist() == [0, 0, 0]


@pytest.mark.slow
def test_a_million_participants_are_paid_at_once() -> None:
    pay = np.random.default_rng(0).exponential(1.0, 10**6)
    book = AccountBook(10**6)
    book.transfer_many("server", np.arange(10**6), pay, "reward")
    assert np.array_equal(book.balances, pay)
    assert book.balance("server") == -fsum(pay)


def test_a_book_has_participants() -> None:
    with pytest.raises(UserError, match="at least 1 participant"):
        AccountBook(0)
