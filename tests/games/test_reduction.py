"""Deviation-preserving reduction: which profiles, and where it is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.reduction import deviation_preserving
from fedfm_sim.games.symmetric import RoleSymmetricGame

NAMES = (("a", "b", "c"), ("x", "y"))


def linear(full: tuple[int, int], seed: int) -> RoleSymmetricGame:
    """Return a game whose payoffs are linear in the shares of the others by role."""
    rng = np.random.default_rng(seed)
    slope, level = rng.normal(size=(5, 5)), rng.normal(size=5)
    role = np.array([0, 0, 0, 1, 1])

    def payoff(counts: Index) -> Array:
        paid = np.zeros(5)
        for j in range(5):
            others = counts - np.eye(5)[j]
            size = np.array(full)[role] - (role == role[j])
            paid[j] = level[j] + slope[j] @ (others / np.maximum(size, 1))
        return paid

    return RoleSymmetricGame.from_function(("client", "server"), full, NAMES, payoff)


def table(game: RoleSymmetricGame) -> dict[tuple[int, ...], Array]:
    return {tuple(c): p for c, p in zip(game.counts.tolist(), game.payoffs, strict=True)}


@given(st.integers(0, 2**32 - 1), st.sampled_from([((9, 4), (3, 2)), ((4, 6), (2, 2))]))
@settings(max_examples=6, deadline=None)
def test_exact_where_payoffs_are_linear_in_shares(
    seed: int, sizes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """Of 9 clients as 3, 8 others as 2; of 4 servers as 2, 3 others as 1."""
    full, reduced = sizes
    game, rng = linear(full, seed), np.random.default_rng(seed)
    reduction = deviation_preserving(full, reduced, (3, 2))
    small = reduction.assemble(game.roles, NAMES, table(game))
    mixture = np.r_[rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(2))]
    np.testing.assert_allclose(small.expected(mixture), game.expected(mixture), atol=1e-12)


def test_a_role_of_many_by_hand() -> None:
    """Seven clients as three, one server: (2 of a, 1 of b) for a player of a and one of b."""
    reduction = deviation_preserving((7, 1), (3, 1), (3, 2))
    place = int(np.flatnonzero((reduction.counts == [2, 1, 0, 1, 0]).all(1))[0])
    own = reduction.required[place]
    assert own[0].tolist() == [4, 3, 0, 1, 0]  # one of a; six others as 1 : 1
    assert own[1].tolist() == [6, 1, 0, 1, 0]  # one of b; six others all a
    assert own[2].tolist() == [0] * 5
    assert own[3].tolist() == [5, 2, 0, 1, 0]  # the server sees 7 as 2 : 1, rounded from 4.67
    full = reduction.profiles
    assert len(np.unique(full, axis=0)) == len(full)
    assert (full[:, :3].sum(1) == 7).all()
    assert (full[:, 3:].sum(1) == 1).all()


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_one_role_is_exact_when_its_others_divide(n: int, times: int, seed: int) -> None:
    """N - 1 a multiple of n - 1, payoffs linear in the others' shares."""
    small, full = min(n, 4), (min(n, 4) - 1) * min(times, 5) + 1
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=(3, 3))

    def payoff(counts: Index) -> list[float]:
        return [float(slope[j] @ (counts - np.eye(3)[j])) / (full - 1) for j in range(3)]

    game = RoleSymmetricGame.from_function(("client",), (full,), (NAMES[0],), payoff)
    reduced = deviation_preserving((full,), (small,), (3,)).assemble(
        ("client",), (NAMES[0],), payoff
    )
    mixture = rng.dirichlet(np.ones(3))
    np.testing.assert_allclose(reduced.expected(mixture), game.expected(mixture), atol=1e-12)


@given(st.integers(2, 5), st.integers(0, 30), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_rounding_keeps_all_players_within_one_of_their_share(n: int, more: int, a: int) -> None:
    full = n + more
    reduction = deviation_preserving((full,), (n,), (a,))
    for p, j in np.argwhere(reduction.counts > 0):
        own, others = np.eye(a, dtype=int)[j], reduction.counts[p] - np.eye(a)[j]
        rest = reduction.required[p, j] - own
        assert rest.sum() == full - 1
        assert rest.min() >= 0
        off = rest - others * (full - 1) / (n - 1)
        assert np.abs(off).max() < 1
        # Who is rounded up has at least the remainder of who is rounded down.
        up, down = 1 - off[off > 1e-9], -off[off < -1e-9]
        assert not len(up) or not len(down) or up.min() >= down.max() - 1e-9


def test_reduced_to_itself_and_to_one() -> None:
    game = linear((4, 3), 0)
    same = deviation_preserving((4, 3), (4, 3), (3, 2))
    again = same.assemble(game.roles, NAMES, table(game))
    np.testing.assert_array_equal(again.payoffs, game.payoffs)
    assert len(same.profiles) == len(game.counts)
    body = deviation_preserving((4, 3), (1, 1), (3, 2))
    assert body.profiles[:, :3].max(1).tolist() == [4] * 6
    assert body.profiles[:, 3:].max(1).tolist() == [3] * 6
    assert len(deviation_preserving((100,), (4,), (3,)).profiles) == 30  # of 5151


def test_each_full_profile_is_played_once() -> None:
    asked: list[tuple[int, ...]] = []

    def payoff(counts: Index) -> Array:
        asked.append(tuple(counts.tolist()))
        return np.arange(3.0)

    reduction = deviation_preserving((31,), (4,), (3,))
    reduction.assemble(("client",), (NAMES[0],), payoff)
    assert len(asked) == len(set(asked)) == len(reduction.profiles)


def test_what_cannot_be_reduced() -> None:
    with pytest.raises(UserError, match="exceed"):
        deviation_preserving((3,), (4,), (2,))
    with pytest.raises(UserError, match="one length"):
        deviation_preserving((3, 3), (2,), (2,))
    with pytest.raises(UserError, match=">= 1"):
        deviation_preserving((3,), (0,), (2,))
    reduction = deviation_preserving((3,), (2,), (2,))
    with pytest.raises(UserError, match="are missing"):
        reduction.assemble(("client",), (("a", "b"),), {})
    with pytest.raises(UserError, match="must be 2 numbers"):
        reduction.assemble(("client",), (("a", "b"),), lambda counts: [1.0])
    with pytest.raises(UserError, match="must be finite"):
        reduction.assemble(("client",), (("a", "b"),), lambda counts: [np.nan, 1.0])
