"""Bayesian games: textbook equilibria, inspection of unknown kinds, and what types reveal."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.games.bayesian import BayesianGame, value_of_information
from fedfm_sim.games.nash import support_enumeration
from fedfm_sim.games.normal_form import NormalFormGame

seeds = st.integers(0, 2**32 - 1)


def drawn(types: tuple[int, ...], actions: tuple[int, ...], seed: int) -> BayesianGame:
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(int(np.prod(types)))).reshape(types)
    return BayesianGame(prior, rng.normal(size=(len(types), *types, *actions)))


def battle(chance: float) -> BayesianGame:
    """Osborne (2004), section 9.1.1: with this chance player 2 wishes to meet player 1."""
    meet = [[2, 0], [0, 1]]
    wishes = [[1, 0], [0, 2]]
    avoids = [[0, 2], [1, 0]]
    return BayesianGame(
        np.array([[chance, 1 - chance]]), np.array([[[meet, meet]], [[wishes, avoids]]])
    )


def inspection(share: float, gain: float, fine: float, loss: float, cost: float) -> BayesianGame:
    """One inspector; the other is malicious with this chance, and else loses by violating."""
    malicious = [[0, gain], [0, -fine]]  # rows: trust, audit; columns: obey, violate
    honest = [[0, -1], [0, -1 - fine]]
    inspector = [[0, -loss], [-cost, -cost]]
    return BayesianGame(
        np.array([[share, 1 - share]]),
        np.array([[[inspector, inspector]], [[malicious, honest]]]),
    )


def test_the_battle_of_the_sexes_with_doubt() -> None:
    """Osborne finds (B, (B, S)) and, by indifference of either type of player 2, two mixed."""
    found = sorted(battle(0.5).equilibria(), key=lambda own: own.strategies[0][0, 0])
    assert max(own.regret for own in found) < 1e-12
    first = [own.strategies[0][0, 0] for own in found]
    second = [own.strategies[1][:, 0] for own in found]
    np.testing.assert_allclose(first, [1 / 3, 2 / 3, 1], atol=1e-9)
    np.testing.assert_allclose(second, np.array([[0, 2 / 3], [2 / 3, 0], [1, 0]]), atol=1e-9)
    pure = found[-1]
    assert pure.interim[0].tolist() == [1]
    assert pure.interim[1].tolist() == [1, 2]
    np.testing.assert_allclose(pure.payoffs, [1, 1.5])


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_inspection_of_a_share_of_malicious_participants(share: float) -> None:
    """An audit pays where ``share * violations * loss = cost``, if that is below 1."""
    gain, fine, loss, cost = 2.0, 3.0, 4.0, 2.0
    (found,) = inspection(share, gain, fine, loss, cost).equilibria()
    assert found.regret < 1e-12
    inspector, participant = found.strategies
    if share * loss < cost:
        np.testing.assert_allclose(inspector[0], [1, 0])
        assert participant[0, 1] == 1
        np.testing.assert_allclose(found.payoffs, [-share * loss, share * gain])
    else:
        np.testing.assert_allclose(inspector[0, 1], gain / (gain + fine))
        np.testing.assert_allclose(participant[0, 1], cost / (share * loss))
        np.testing.assert_allclose(found.payoffs, [-cost, 0], atol=1e-12)
    assert participant[1, 1] == 0


def test_what_knowing_the_kind_is_worth() -> None:
    """Informed, the inspector audits the malicious alone and pays ``share * cost``."""
    gain, fine, loss, cost = 2.0, 3.0, 4.0, 2.0
    for share in (0.3, 0.6):
        game = inspection(share, gain, fine, loss, cost)
        before = -min(cost, share * loss)
        own = value_of_information(game, 0)
        np.testing.assert_allclose(own.gain, [-share * cost - before] * 2)
        theirs = value_of_information(game, 1, observers=[0])
        np.testing.assert_allclose(
            theirs.gain, [-share * gain * (share * loss < cost)] * 2, atol=1e-9
        )
        assert value_of_information(game, 1).gain == pytest.approx((0, 0), abs=1e-9)


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_one_sure_type_is_complete_information(seed: int) -> None:
    game = drawn((2, 2), (2, 3), seed)
    sure = BayesianGame(np.array([[0.0, 0], [1, 0]]), game.payoffs)
    plain = NormalFormGame(game.payoffs[:, 1, 0])
    found, expected = sure.equilibria(), support_enumeration(plain)
    assert len(found) == len(expected)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.strategies[0][1], other.strategies[0], atol=1e-9)
        np.testing.assert_allclose(own.strategies[1][0], other.strategies[1], atol=1e-9)
        np.testing.assert_allclose(own.payoffs, other.payoffs)
        assert np.isnan(own.interim[0][0])


@given(st.sampled_from([(1, 2), (2, 2), (2, 1, 2)]), seeds)
@settings(max_examples=20, deadline=None)
def test_interim_values_are_sums_over_types_and_actions(types: tuple[int, ...], seed: int) -> None:
    actions = (2, 3, 2)[: len(types)]
    game, rng = drawn(types, actions, seed), np.random.default_rng(seed)
    own = [rng.dirichlet(np.ones(a), size=t) for t, a in zip(types, actions, strict=True)]
    for i in range(len(types)):
        slow = np.zeros((types[i], actions[i]))
        for state, acts in product(np.ndindex(*types), np.ndindex(*actions)):
            others = [own[j][state[j], acts[j]] for j in range(len(types)) if j != i]
            chance = game.prior[state] / game.chances(i)[state[i]]
            slow[state[i], acts[i]] += chance * np.prod(others) * game.payoffs[(i, *state, *acts)]
        np.testing.assert_allclose(game.action_values(own, i), slow, atol=1e-12)
    found = game.evaluated(own)
    for i in range(len(types)):
        assert found.payoffs[i] == pytest.approx(float(game.chances(i) @ found.interim[i]))


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_every_equilibrium_of_two_has_no_regret(seed: int) -> None:
    found = drawn((2, 2), (2, 2), seed).equilibria()
    assert found
    assert all(own.regret < 1e-8 for own in found)


@given(seeds)
@settings(max_examples=8, deadline=None)
def test_all_equilibria_by_supports_of_each_type(seed: int) -> None:
    """Two types and two actions each: solve every pattern of pure and mixing types."""
    game = drawn((2, 2), (2, 2), seed)

    def leaning(player: int, chances: np.ndarray) -> np.ndarray:
        """Return what action 0 pays more to each type, against the other's chances of it."""
        values = game.action_values([np.c_[chances, 1 - chances]] * 2, player)
        return np.asarray(values[:, 0] - values[:, 1])

    def indifferent(player: int, mixing: list[int], other: np.ndarray, free: list[int]) -> None:
        """Set the other's free chances so that the player's mixing types are indifferent."""
        base = leaning(player, other)[mixing]
        slopes = [leaning(player, other + np.eye(2)[f])[mixing] - base for f in free]
        other[free] += np.linalg.solve(np.array(slopes).T, -base)

    expected = []
    for pattern in product((0.0, 1.0, None), repeat=4):
        chances = np.array([[0.0 if x is None else x for x in pattern[i : i + 2]] for i in (0, 2)])
        mixing = [[t for t in (0, 1) if pattern[2 * i + t] is None] for i in (0, 1)]
        if len(mixing[0]) != len(mixing[1]):
            continue
        if mixing[0]:
            indifferent(0, mixing[0], chances[1], mixing[1])
            indifferent(1, mixing[1], chances[0], mixing[0])
        if chances.min() < 0 or chances.max() > 1:
            continue
        if game.evaluated([np.c_[own, 1 - own] for own in chances]).regret < 1e-9:
            expected.append(chances.ravel())
    found = [np.concatenate([s[:, 0] for s in own.strategies]) for own in game.equilibria()]
    assert len(found) == len(expected)
    for own in expected:
        assert min(np.abs(own - other).max() for other in found) < 1e-7


def test_three_players_and_correlated_types() -> None:
    """Types are equal for sure, and all want to match them: each plays its own type."""
    payoffs = np.zeros((3, 2, 2, 2, 2, 2, 2))
    for t in range(2):
        payoffs[:, t, t, t, t, t, t] = 1
    prior = np.zeros((2, 2, 2))
    prior[0, 0, 0], prior[1, 1, 1] = 0.25, 0.75
    game = BayesianGame(prior, payoffs)
    found = game.equilibria()
    best = max(found, key=lambda own: float(own.payoffs.sum()))
    for own in best.strategies:
        np.testing.assert_array_equal(own, np.eye(2))
    np.testing.assert_allclose(best.payoffs, 1)
    assert all(own.regret < 1e-9 for own in found)


def test_hostile_input() -> None:
    game = battle(0.5)
    with pytest.raises(UserError, match="expected"):
        BayesianGame(game.prior.T, game.payoffs)
    with pytest.raises(UserError, match="distribution"):
        BayesianGame(game.prior * 2, game.payoffs)
    with pytest.raises(UserError, match="distribution"):
        BayesianGame(game.prior * np.nan, game.payoffs)
    with pytest.raises(UserError, match="finite"):
        BayesianGame(game.prior, np.full_like(game.payoffs, np.inf))
    large = drawn((6, 6), (6, 6), 0)
    with pytest.raises(UserError, match="too many"):
        large.equilibria()
    with pytest.raises(UserError, match="too many"):
        drawn((12, 1), (6, 1), 0).ex_ante()
    with pytest.raises(UserError, match="players"):
        game.observed_by([2])
    with pytest.raises(UserError, match="player -1"):
        value_of_information(game, -1)
