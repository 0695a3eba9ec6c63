"""The one door to solution concepts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.games import NormalFormGame, several, solve

PENNIES = NormalFormGame.from_bimatrix([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])


def test_concepts_on_known_games() -> None:
    (nash,) = fs.games.solve(PENNIES)
    np.testing.assert_allclose(nash.strategies, np.full((2, 2), 0.5))
    assert solve(PENNIES, "pure") == ()
    (led,) = solve(NormalFormGame.from_bimatrix([[2, 4], [1, 3]], [[1, 0], [0, 1]]), "stackelberg")
    assert led.payoffs[0] == pytest.approx(3.5)
    (erring,) = solve(PENNIES, "quantal")
    np.testing.assert_allclose(erring.strategies, np.full((2, 2), 0.5), atol=1e-9)


def test_three_players() -> None:
    """The majority game: all alike; and one without pure equilibria, near to its mixed one."""
    majority = np.zeros((3, 2, 2, 2))
    for profile in np.ndindex(2, 2, 2):
        majority[(slice(None), *profile)] = float(len(set(profile)) == 1)
    found = solve(NormalFormGame(majority))
    assert {tuple(int(own.argmax()) for own in e.strategies) for e in found} == {
        (0, 0, 0), (1, 1, 1),
    }  # fmt: skip
    chase = np.zeros((3, 2, 2, 2))
    for a, b, c in np.ndindex(2, 2, 2):  # each wants to match the next, the last to differ
        chase[:, a, b, c] = [a == b, b == c, c != a]
    (mixed,) = solve(NormalFormGame(chase))
    assert mixed.regret < 0.01
    np.testing.assert_allclose(mixed.strategies, np.full((3, 2), 0.5), atol=0.01)


def test_what_cannot_be_solved() -> None:
    with pytest.raises(UserError, match="one follower"):
        solve(NormalFormGame(np.zeros((3, 2, 2, 2))), "stackelberg")
    with pytest.raises(UserError, match="unknown concept 'nsh'"):
        solve(PENNIES, "nsh")  # type: ignore[arg-type]


def test_three_players_without_a_pure_equilibrium() -> None:
    """Followed by damped iteration it took minutes, and ended 1.7 % of the range away."""
    game = NormalFormGame(np.random.default_rng([12, 5]).normal(size=(3, 2, 2, 2)))
    found = solve(game)
    assert found[0].regret < 1e-12
    assert not found.complete
    assert "one of the mixed equilibria" in found.note


@given(st.integers(0, 2**32 - 1), st.floats(-9, 15), st.floats(-9, 15))
@settings(max_examples=25, deadline=None)
def test_games_of_several_players_are_the_same_in_any_money(
    seed: int, power: float, other: float
) -> None:
    rng = np.random.default_rng(seed)
    payoffs = rng.normal(size=(3, 2, 3, 2)) if seed % 2 else rng.normal(size=(4, 2, 2, 2, 2))
    units = 10.0 ** np.array([power, other, 0.0, -power / 2])[: len(payoffs)]
    shift = rng.normal(size=len(payoffs))
    each = (-1, *[1] * len(payoffs))
    changed = (payoffs + shift.reshape(each)) * units.reshape(each)
    for concept in ("nash", "quantal"):
        plain, same = (solve(NormalFormGame(own), concept) for own in (payoffs, changed))
        assert len(plain) == len(same)
        for own, its in zip(plain, same, strict=True):
            for a, b in zip(own.strategies, its.strategies, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)
    game = NormalFormGame(changed)
    for found in solve(game):
        assert (game.regrets(found.strategies) <= 1e-9 * game.units).all()


def test_a_search_that_ends_without_an_equilibrium_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(several, "MOST_STEPS", 1)
    monkeypatch.setattr(several, "MOST_SUPPORTS", 0)
    monkeypatch.setattr(several, "polished", lambda *_: None)
    game = NormalFormGame(np.random.default_rng([12, 5]).normal(size=(3, 2, 2, 2)))
    (found,) = (own := solve(game))
    assert found.regret > 0.01
    assert "no equilibrium was found" in own.note


def test_small_supports_are_tried_where_the_branch_gets_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(several, "MOST_STEPS", 0)
    payoffs = np.random.default_rng(0).normal(size=(3, 2, 2, 2))
    payoffs[2] = 0
    payoffs[:2] = np.array([[[1, 1], [-1, -1]], [[-1, -1], [1, 1]]])
    payoffs[1] *= -1
    (found,) = solve(NormalFormGame(payoffs))
    assert found.regret < 1e-12
