"""The named games against their published answers, and the families against definitions."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.core import excesses, is_superadditive
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.contribution.nucleolus import nucleolus, prenucleolus
from fedfm_sim.mechanisms.contribution.shapley import shapley_values
from fedfm_sim.mechanisms.theory.textbook import (
    TEXTBOOK_GAMES,
    airport,
    assignment,
    bankruptcy,
    glove_market,
    shared_taxi,
    weighted_voting,
)


def known(answer: str) -> list[str]:
    return [name for name, entry in TEXTBOOK_GAMES.items() if getattr(entry, answer) is not None]


def test_the_published_games_are_there() -> None:
    assert len(TEXTBOOK_GAMES) == 16 + 26
    assert len(known("banzhaf")) == 9
    assert len(known("nucleolus")) == 15
    assert len(known("prenucleolus")) == 16
    assert len(known("excess")) == 12


@pytest.mark.parametrize("name", TEXTBOOK_GAMES)
def test_shapley_value(name: str) -> None:
    entry = TEXTBOOK_GAMES[name]
    assert shapley_values(entry.game) == pytest.approx(entry.shapley, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("name", known("banzhaf"))
def test_banzhaf_value(name: str) -> None:
    entry = TEXTBOOK_GAMES[name]
    table = entry.game.table()
    marginals = []
    for player in range(entry.game.players):
        pairs = table.reshape(-1, 2, 1 << player)
        marginals.append((pairs[:, 1] - pairs[:, 0]).mean())
    assert marginals == pytest.approx(entry.banzhaf, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("name", known("nucleolus"))
def test_nucleolus(name: str) -> None:
    entry = TEXTBOOK_GAMES[name]
    assert nucleolus(entry.game).allocation == pytest.approx(entry.nucleolus, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", known("prenucleolus"))
def test_prenucleolus(name: str) -> None:
    entry = TEXTBOOK_GAMES[name]
    allocation = prenucleolus(entry.game).allocation
    assert allocation == pytest.approx(entry.prenucleolus, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", known("excess"))
def test_excess_of_the_least_core(name: str) -> None:
    entry = TEXTBOOK_GAMES[name]
    assert least_core(entry.game).excess == pytest.approx(entry.excess, rel=1e-10, abs=1e-10)
    if entry.prenucleolus is not None:
        gains = excesses(entry.game, entry.prenucleolus)[1:-1]
        assert gains.max() == pytest.approx(entry.excess, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("name", ["taxi", "1-worse-solo"])
def test_games_without_an_imputation(name: str) -> None:
    game = TEXTBOOK_GAMES[name].game
    assert not is_superadditive(game)
    with pytest.raises(UserError, match="no imputation"):
        nucleolus(game)


def talmud(estate: float, claims: Values) -> Values:
    """Divide as Aumann and Maschler 1985 do: equal awards to half claims, then equal losses."""
    half = claims / 2
    if estate <= half.sum():
        return equal_awards(estate, half)
    return np.asarray(claims - equal_awards(claims.sum() - estate, half))


def equal_awards(estate: float, claims: Values) -> Values:
    """Give all the same, and nobody more than is claimed; the level by bisection."""
    low, high = 0.0, float(claims.max())
    for _ in range(100):
        level = (low + high) / 2
        low, high = (level, high) if np.minimum(claims, level).sum() < estate else (low, level)
    return np.minimum(claims, high)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=5), st.floats(0, 1))
def test_the_nucleolus_of_a_bankruptcy_is_the_talmuds_division(
    claims: list[int], part: float
) -> None:
    owed = np.array(claims, dtype=np.float64)
    estate = part * float(owed.sum())
    expected = talmud(estate, owed)
    np.testing.assert_allclose(
        nucleolus(bankruptcy(estate, owed)).allocation, expected, atol=1e-6 * owed.max()
    )


def by_hand(game: CoalitionGame, worth: object) -> None:
    """Compare a game with a function of the tuple of members, coalition by coalition."""
    assert callable(worth)
    for size in range(game.players + 1):
        for coalition in combinations(range(game.players), size):
            assert game.value(*coalition) == pytest.approx(float(worth(coalition))), coalition


def test_families_are_what_they_say() -> None:
    by_hand(glove_market(2, 2), lambda s: min(sum(i < 2 for i in s), sum(i >= 2 for i in s)))
    weights = (4, 3, 2, 1)
    by_hand(weighted_voting(6, weights), lambda s: sum(weights[i] for i in s) >= 6)
    by_hand(airport(weights), lambda s: -max((weights[i] for i in s), default=0))
    by_hand(shared_taxi(weights), lambda s: max((weights[i] for i in s), default=0))
    by_hand(
        bankruptcy(5, weights),
        lambda s: max(0, 5 - sum(weights[i] for i in range(4) if i not in s)),
    )


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_assignment_takes_the_best_pairs(sellers: int, buyers: int, seed: int) -> None:
    surplus = np.random.default_rng(seed).integers(0, 9, (sellers, buyers))

    def best(coalition: tuple[int, ...]) -> float:
        rows = [i for i in coalition if i < sellers]
        columns = [i - sellers for i in coalition if i >= sellers]
        short = min(len(rows), len(columns))
        return max(
            sum(float(surplus[i, j]) for i, j in zip(chosen, order, strict=True))
            for chosen in combinations(rows, short)
            for order in permutations(columns, short)
        )

    by_hand(assignment(surplus), best)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_airport_charges_every_stretch_of_the_runway_to_those_who_need_it(
    costs: list[int],
) -> None:
    # Littlechild and Owen: a stretch is shared equally by all who land on it.
    expected = np.zeros(len(costs))
    for start, end in zip([0, *sorted(costs)], sorted(costs), strict=False):
        users = np.array(costs) >= end
        expected[users] -= (end - start) / max(users.sum(), 1)
    np.testing.assert_allclose(shapley_values(airport(costs)), expected, atol=1e-12)


def test_large_games_need_no_table() -> None:
    game = weighted_voting(30, np.ones(60))
    assert game.value(*range(30)) == 1
    assert game.value(*range(29)) == 0


def test_impossible_games_are_refused() -> None:
    with pytest.raises(UserError, match="gloves"):
        glove_market(-1, 2)
    with pytest.raises(UserError, match="1 to 62 players"):
        glove_market(0, 0)
    with pytest.raises(UserError, match="weights"):
        weighted_voting(1, [1, -1])
    with pytest.raises(UserError, match="quota"):
        weighted_voting(np.inf, [1, 1])
    with pytest.raises(UserError, match="costs"):
        airport([1, np.nan])
    with pytest.raises(UserError, match="estate"):
        bankruptcy(4, [1, 2])
    with pytest.raises(UserError, match="matrix"):
        assignment([1, 2])
    with pytest.raises(UserError, match="matrix"):
        assignment([[1, -2]])
