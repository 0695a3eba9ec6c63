"""Signalling games: Spence's schooling, beer and quiche, and the slow way."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.signalling import SignallingGame


def spence(education: float, share: float = 0.5) -> SignallingGame:
    """Types of productivity 1 and 2, to whom education costs e and e / 2; wages 1, mean, 2."""
    ability = np.array([1.0, 2])
    wages = np.array([1, 2 - share, 2])
    cost = np.array([0, education])[None, :] / ability[:, None]
    sender = wages[None, None, :] - cost[:, :, None]
    error = -((wages[None, None, :] - ability[:, None, None]) ** 2) * np.ones((1, 2, 1))
    return SignallingGame(np.array([share, 1 - share]), sender, error)


def beer_quiche(strong: float = 0.9) -> SignallingGame:
    """Cho and Kreps (1987): types strong, weak; signals beer, quiche; replies duel, leave."""
    sender = np.zeros((2, 2, 2))
    sender[0, 0] += 1
    sender[1, 1] += 1
    sender[:, :, 1] += 2
    receiver = np.zeros((2, 2, 2))
    receiver[0, :, 1] = receiver[1, :, 0] = 1
    return SignallingGame(np.array([strong, 1 - strong]), sender, receiver)


@pytest.mark.parametrize("education", [0.5, 0.9, 1.0, 1.5, 2.0, 2.1, 3.0])
def test_schooling_separates_when_it_costs_the_right_amount(education: float) -> None:
    """The low type must not gain, ``2 - e <= 1``, and the high one not lose, ``2 - e/2 >= 1``."""
    found = [own for own in spence(education).equilibria() if own.kind == "separating"]
    assert bool(found) == (1 <= education <= 2)
    for own in found:
        assert own.signals == (0, 1)
        assert own.replies == (0, 2)
        np.testing.assert_allclose(own.beliefs, np.eye(2))
        np.testing.assert_allclose(own.sender, [1, 2 - education / 2])


@pytest.mark.parametrize("education", [0.3, 0.8, 1.5])
def test_pooling_without_schooling_and_the_intuitive_criterion(education: float) -> None:
    """It fails where the high type gains by being told apart and the low one could not.

    Pooled wages are 1.5: ``2 - e / 2 > 1.5 > 2 - e``.
    """
    pooled = [own for own in spence(education).equilibria() if own.signals == (0, 0)]
    assert pooled
    fails = 0.5 < education < 1
    assert all(own.intuitive != fails for own in pooled)


def test_beer_and_quiche() -> None:
    beer, quiche = beer_quiche().equilibria()
    assert (beer.signals, beer.replies, beer.kind) == ((0, 0), (1, 0), "pooling")
    assert (quiche.signals, quiche.replies, quiche.kind) == ((1, 1), (0, 1), "pooling")
    assert beer.intuitive
    assert not quiche.intuitive
    np.testing.assert_allclose(beer.beliefs[0], [0.9, 0.1])
    assert beer.beliefs[1, 1] >= 0.5  # quiche is to be taken for weak
    assert beer.sender.tolist() == [3, 2]
    assert beer.receiver == pytest.approx(0.9)


def test_without_many_strong_nothing_pure_is_left() -> None:
    """With strong below one half, poolers are duelled and then the weak would rather eat."""
    assert beer_quiche(0.4).equilibria() == ()


def test_a_hybrid() -> None:
    """Three types; the lower two send one signal, and the reply takes them for their mean."""
    sender = np.zeros((3, 2, 2))
    sender[:2, 0], sender[2, 1] = 1, 1
    receiver = np.zeros((3, 2, 2))
    receiver[0, :, 0], receiver[1, :, 1], receiver[2, :, 1] = 2, 1, 1
    (found,) = SignallingGame(np.full(3, 1 / 3), sender, receiver).equilibria()
    assert (found.signals, found.replies, found.kind) == ((0, 0, 1), (0, 1), "hybrid")
    np.testing.assert_allclose(found.beliefs, np.array([[0.5, 0.5, 0], [0, 0, 1]]))


def test_one_type_that_surely_gains_is_enough_to_fail_the_criterion() -> None:
    """Types 1 and 2 might gain by signal 1, type 0 never; only type 1 does at both replies."""
    sender = np.ones((3, 2, 3))
    sender[:, 1] = [[-1, -1, -1], [3, 2, 0], [3, 0, 0]]
    receiver = np.zeros((3, 2, 3))
    receiver[:, 0, 0] = 1
    receiver[:, 1] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    game = SignallingGame(np.full(3, 1 / 3), sender, receiver)
    (pooled,) = [own for own in game.equilibria() if own.signals == (0, 0, 0)]
    assert pooled.replies == (0, 2)
    assert not pooled.intuitive


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_parity_with_a_grid_of_beliefs(seed: int) -> None:
    """Two types: an action off the path is right if it is best at some belief on a fine grid."""
    rng = np.random.default_rng(seed)
    sender, receiver = rng.normal(size=(2, 2, 2, 2))
    prior = rng.dirichlet([2, 2])
    grid = np.linspace(0, 1, 2001)[:, None] * [1, -1] + [0, 1]
    expected = set()
    for sent, replies in product(product(range(2), repeat=2), repeat=2):
        ok = all(
            sender[t, sent[t], replies[sent[t]]] >= sender[t, m, replies[m]]
            for t in range(2)
            for m in range(2)
        )
        for m in range(2):
            weight = prior * [sent[t] == m for t in range(2)]
            beliefs = weight[None] if weight.any() else grid
            values = beliefs @ receiver[:, m]
            ok &= bool((values[:, replies[m]] >= values.max(1)).any())
        if ok:
            expected.add((sent, replies))
    found = SignallingGame(prior, sender, receiver).equilibria()
    assert {(own.signals, own.replies) for own in found} == expected
    for own in found:
        for m, belief in enumerate(own.beliefs):
            assert belief.sum() == pytest.approx(1)
            values = belief @ receiver[:, m]
            assert values[own.replies[m]] >= values.max() - 1e-6


def test_hostile_input() -> None:
    game = beer_quiche()
    with pytest.raises(UserError, match="expected"):
        SignallingGame(game.prior, game.sender, game.receiver[:1])
    with pytest.raises(UserError, match="a chance for every type"):
        SignallingGame(np.array([1.0, 0]), game.sender, game.receiver)
    with pytest.raises(UserError, match="a chance for every type"):
        SignallingGame(np.array([np.nan, 1]), game.sender, game.receiver)
    with pytest.raises(UserError, match="must be finite"):
        SignallingGame(game.prior, game.sender * np.nan, game.receiver)
    with pytest.raises(UserError, match="too many"):
        SignallingGame(np.full(4, 0.25), np.zeros((4, 8, 8)), np.zeros((4, 8, 8))).equilibria()


@pytest.mark.parametrize("unit", [1e-9, 1e15])
def test_signals_have_no_unit_and_one_outlier_changes_nothing(unit: float) -> None:
    rng = np.random.default_rng(2)
    prior = np.array([0.3, 0.7])
    for _ in range(10):
        sender, receiver = rng.integers(0, 4, (2, 2, 2, 3)) / 3
        plain = SignallingGame(prior, sender, receiver).equilibria()
        other = SignallingGame(prior, unit * sender + unit, receiver / unit).equilibria()
        assert [(e.signals, e.replies, e.intuitive) for e in plain] == [
            (e.signals, e.replies, e.intuitive) for e in other
        ]
    # What the first type would get for one reply to one signal is no reason to call others equal.
    sender[0, 0, 0] = -1e12
    for own in SignallingGame(prior, sender, receiver).equilibria():
        paid = sender[:, np.arange(2), list(own.replies)]
        assert (paid.max(1) <= own.sender + 1e-9).all()
