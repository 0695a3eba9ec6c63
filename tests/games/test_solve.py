"""The one door to solution concepts."""

from __future__ import annotations

import numpy as np
import pytest

import fedfm_sim as fs
from fedfm_sim.core.errors import UserError
from fedfm_sim.games import NormalFormGame, solve

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
