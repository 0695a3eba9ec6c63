"""Role-symmetric games: parity with the game of all players, and textbook equilibria."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.normal_form import NormalFormGame
from fedfm_sim.games.symmetric import RoleSymmetricGame, count_profiles

Roles = list[tuple[int, int]]
roles_of_games = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=2)


def drawn(roles: Roles, seed: int) -> RoleSymmetricGame:
    rng = np.random.default_rng(seed)
    names = tuple(tuple(f"a{i}" for i in range(a)) for _, a in roles)
    return RoleSymmetricGame.from_function(
        tuple(f"role {i}" for i in range(len(roles))),
        tuple(n for n, _ in roles),
        names,
        lambda counts: rng.normal(size=len(counts)),
    )


def of_matrix(payoffs: list[list[float]]) -> RoleSymmetricGame:
    """Return the symmetric game of two with these row payoffs."""
    rows = np.array(payoffs)
    return RoleSymmetricGame.from_function(
        ("player",),
        (2,),
        (tuple(map(str, range(len(rows)))),),
        lambda counts: [rows[i] @ (counts - np.eye(len(rows))[i]) for i in range(len(rows))],
    )


def mixtures(game: RoleSymmetricGame) -> list[Array]:
    found = game.symmetric_equilibria(np.random.default_rng(0), starts=3)
    for own in found:
        assert own.regret <= 1e-8
        assert game.regret(np.concatenate(own.strategies)) == pytest.approx(own.regret, abs=1e-15)
    return sorted((np.concatenate(own.strategies) for own in found), key=lambda own: own[0])


@given(roles_of_games, st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=25)
def test_parity_with_the_game_of_all_players(roles: Roles, seed: int, pure: bool) -> None:
    game, rng = drawn(roles, seed), np.random.default_rng(seed)
    own = [
        rng.multinomial(1, np.ones(a) / a) if pure else rng.dirichlet(np.ones(a)) for _, a in roles
    ]
    parts = [np.asarray(part, dtype=np.float64) for part in own]
    each = [part for (n, _), part in zip(roles, parts, strict=True) for _ in range(n)]
    if len(each) < 2:
        return  # a normal form has two players at least here
    full = game.expanded()
    values, first = (
        np.split(game.expected(np.concatenate(parts)), np.cumsum([a for _, a in roles])),
        0,
    )
    for role, (n, _) in enumerate(roles):
        for player in range(first, first + n):
            np.testing.assert_allclose(values[role], full.action_values(each, player), atol=1e-12)
        first += n
    assert game.regret(np.concatenate(parts)) == pytest.approx(full.regrets(each).max(), abs=1e-12)
    assert game.best_welfare() == pytest.approx(float(full.welfare().max()))


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
def test_profiles_are_counted_by_stars_and_bars(n: int, a: int, b: int) -> None:
    profiles = count_profiles((n, 2), (a, b))
    assert len(profiles) == comb(n + a - 1, a - 1) * comb(b + 1, b - 1)
    assert len({tuple(row) for row in profiles.tolist()}) == len(profiles)
    assert sorted(profiles.tolist()) == profiles.tolist()
    np.testing.assert_array_equal(profiles[:, :a].sum(1), n)
    np.testing.assert_array_equal(profiles[:, a:].sum(1), 2)
    assert profiles.min() >= 0


def test_hawk_dove() -> None:
    """Maynard Smith (1982): hawks are a share V / C of the population."""
    value, cost = 3.0, 5.0
    (only,) = mixtures(of_matrix([[(value - cost) / 2, value], [0, value / 2]]))
    np.testing.assert_allclose(only, [value / cost, 1 - value / cost], atol=1e-9)


def test_rock_paper_scissors_and_the_stag_hunt() -> None:
    (only,) = mixtures(of_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))
    np.testing.assert_allclose(only, 1 / 3, atol=1e-9)
    found = mixtures(of_matrix([[4, 1], [3, 3]]))
    np.testing.assert_allclose(found, np.array([[0, 1], [2 / 3, 1 / 3], [1, 0]]), atol=1e-9)


def test_the_public_goods_game() -> None:
    """A contribution of 1 is worth r = 3 among n = 5: nobody contributes, and all should."""
    game = RoleSymmetricGame.from_function(
        ("client",),
        (5,),
        (("work", "ride"),),
        lambda counts: [1 + 3 * counts[0] / 5 - 1, 1 + 3 * counts[0] / 5],
    )
    found = game.symmetric_equilibria(np.random.default_rng(0), starts=3)
    assert [own.strategies[0].tolist() for own in found] == [[0, 1]]
    assert found[0].payoffs.tolist() == [1]
    assert game.best_welfare() == 15
    assert game.price_of_anarchy(found) == 3


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_volunteers_dilemma(n: int) -> None:
    """Diekmann (1985): each volunteers with the chance ``1 - (c / b)**(1 / (n - 1))``."""
    benefit, cost = 4.0, 1.0
    game = RoleSymmetricGame.from_function(
        ("player",),
        (n,),
        (("volunteer", "wait"),),
        lambda counts: [benefit - cost, benefit if counts[0] else 0.0],
    )
    (only,) = mixtures(game)
    assert only[0] == pytest.approx(1 - (cost / benefit) ** (1 / (n - 1)), abs=1e-8)


def test_two_roles_in_any_order() -> None:
    """One server inspects n clients of whom a share violates: indifference of both."""
    gain, fine, loss, cost = 2.0, 3.0, 1.0, 4.0  # ten clients lose 10 a round, audits cost 4

    def payoff(counts: Index) -> list[float]:
        violations, audited = counts[1], bool(counts[3])
        return [0, -fine if audited else gain, -loss * violations, -cost]

    names = (("obey", "violate"), ("trust", "audit"))
    game = RoleSymmetricGame.from_function(("client", "server"), (10, 1), names, payoff)
    expected = [1 - cost / 10, cost / 10, 1 - gain / (gain + fine), gain / (gain + fine)]
    assert any(np.allclose(own, expected, atol=1e-8) for own in mixtures(game))
    order = np.random.default_rng(0).permutation(len(game.counts))
    again = RoleSymmetricGame(
        game.roles, game.players, names, game.counts[order], game.payoffs[order]
    )
    np.testing.assert_array_equal(again.payoffs, game.payoffs)


def test_what_is_no_game() -> None:
    game = drawn([(2, 2), (1, 2)], 0)
    parts = (game.roles, game.players, game.actions)
    with pytest.raises(UserError, match="role 0: 2 a1; role 1: 1 a1 are missing"):
        RoleSymmetricGame(*parts, game.counts[1:], game.payoffs[1:])
    with pytest.raises(UserError, match="7 rows for 6 profiles"):
        RoleSymmetricGame(
            *parts, np.r_[game.counts, game.counts[:1]], np.r_[game.payoffs, game.payoffs[:1]]
        )
    with pytest.raises(UserError, match="must be finite"):
        RoleSymmetricGame(*parts, game.counts, np.where(game.counts == 2, np.nan, game.payoffs))
    with pytest.raises(UserError, match="expected"):
        RoleSymmetricGame(*parts, game.counts[:, :3], game.payoffs[:, :3])
    with pytest.raises(UserError, match="one length"):
        RoleSymmetricGame(("one",), *parts[1:], game.counts, game.payoffs)
    with pytest.raises(UserError, match="too many"):
        count_profiles((1000,), (4,))
    with pytest.raises(UserError, match="expected >= 1"):
        count_profiles((0,), (2,))
    for bad in ([0.5, 0.5], [0.5, 0.6, 1, 0], [np.nan, 1, 1, 0], [1.5, -0.5, 1, 0]):
        with pytest.raises(UserError, match="shares"):
            game.expected(np.array(bad))
    with pytest.raises(UserError, match="at most"):
        drawn([(30, 2)], 0).expanded()
    with pytest.raises(UserError, match="price of anarchy"):
        game.price_of_anarchy([])


def test_price_of_anarchy_is_that_of_the_expanded_game() -> None:
    game = of_matrix([[3, 0], [5, 1]])
    (found,) = game.symmetric_equilibria(np.random.default_rng(0), starts=2)
    full = NormalFormGame.from_bimatrix([[3, 0], [5, 1]], [[3, 5], [0, 1]])
    assert game.price_of_anarchy([found]) == full.price_of_anarchy(full.pure_equilibria()) == 3
