"""Every contribution scheme: its axioms, and for sampled ones budget, bias and errors."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution import SCHEMES, Contribution, evaluate, is_sampled
from fedfm_sim.mechanisms.contribution.beta import BetaShapley
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.scheme import ADDITIVITY, EFFICIENCY, NULL_PLAYER, SYMMETRY
from fedfm_sim.mechanisms.contribution.semivalues import semivalue
from fedfm_sim.mechanisms.contribution.shapley import shapley_values, weighted_voting_shapley

EXACT = [name for name in SCHEMES if not is_sampled(name)]
SAMPLED = [name for name in SCHEMES if is_sampled(name)]
#: What a sampled scheme estimates, where it has no bias.
TARGETS = {
    "permutation": "shapley",
    "stratified": "shapley",
    "kernel-shap": "shapley",
    "banzhaf-sampled": "banzhaf",
}
AXIOMS = (EFFICIENCY, SYMMETRY, NULL_PLAYER, ADDITIVITY)
CLAIMED = [(n, a) for n in EXACT for a in AXIOMS if a in SCHEMES[n].axioms]
NOT_CLAIMED = [(n, a) for n in EXACT for a in AXIOMS if a not in SCHEMES[n].axioms]

seeds = st.integers(0, 2**32 - 1)


def superadditive(rng: np.random.Generator, n: int) -> Values:
    """Return the table of a random game with imputations, so that every scheme has an answer."""
    table = rng.uniform(0, 1, 1 << n)
    sizes = np.bitwise_count(np.arange(1 << n))
    return np.asarray(np.where(sizes < 2, 0.0, table * sizes) + (sizes == n) * 2.0)


def broken(name: str, axiom: str, seed: int) -> float:
    """Return by how much a random game breaks an axiom."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    table = superadditive(rng, n)

    def values(table: Values) -> Values:
        return evaluate(CoalitionGame.from_table(table), name).values

    masks = np.arange(table.size)
    if axiom == EFFICIENCY:
        return abs(float(values(table).sum() - (table[-1] - table[0])))
    if axiom == SYMMETRY:
        # Swap the first two players, and average with the original: both are alike.
        swapped = (masks & ~3) | (masks & 1) << 1 | (masks >> 1 & 1)
        found = values((table + table[swapped]) / 2)
        return abs(float(found[0] - found[1]))
    if axiom == NULL_PLAYER:
        return abs(float(values(np.concatenate([table, table]))[-1]))
    other = superadditive(rng, n)
    return float(np.abs(values(table + other) - values(table) - values(other)).max())


@pytest.mark.parametrize(("name", "axiom"), CLAIMED)
@settings(max_examples=30)
@given(seed=seeds)
def test_an_axiom_that_is_claimed_holds(name: str, axiom: str, seed: int) -> None:
    assert broken(name, axiom, seed) < 1e-7


@pytest.mark.parametrize(("name", "axiom"), NOT_CLAIMED)
def test_an_axiom_that_is_not_claimed_has_a_counter_example(name: str, axiom: str) -> None:
    assert any(broken(name, axiom, seed) > 1e-3 for seed in range(300))


@given(seed=seeds, n=st.integers(1, 6), alpha=st.floats(0.5, 20), beta=st.floats(0.5, 20))
def test_semivalue_weights_are_probabilities(seed: int, n: int, alpha: float, beta: float) -> None:
    worth = np.random.default_rng(seed).normal(size=n)
    additive = CoalitionGame(n, lambda masks: members(masks, n) @ worth)
    banzhaf, between = evaluate(additive, "banzhaf"), BetaShapley(alpha=alpha, beta=beta)
    for found in (banzhaf, between.evaluate(additive, None)):
        np.testing.assert_allclose(found.values, worth, rtol=1e-9, atol=1e-12)


@given(seed=seeds, n=st.integers(1, 6))
def test_beta_of_one_and_one_is_shapley(seed: int, n: int) -> None:
    game = CoalitionGame.from_table(np.random.default_rng(seed).normal(size=1 << n))
    found = evaluate(game, "beta", alpha=1.0, beta=1.0).values
    np.testing.assert_allclose(found, shapley_values(game), atol=1e-12)


def test_beta_weighs_small_coalitions_more_with_alpha() -> None:
    # v is 1 for all but the empty coalition: only the first marginal counts, at
    # weight B(beta, n - 1 + alpha) / B(alpha, beta) = 16 / 18 for Beta(16, 1), n = 3.
    first = CoalitionGame.from_table([0, 1, 1, 1, 1, 1, 1, 1])
    assert evaluate(first, "beta").values == pytest.approx([16 / 18] * 3)


def test_a_semivalue_by_hand() -> None:
    game = CoalitionGame.from_table([0, 1, 2, 5])
    assert semivalue(game, np.array([0.25, 0.75])) == pytest.approx(
        [0.25 * 1 + 0.75 * 3, 0.25 * 2 + 0.75 * 4]
    )


def noisy_game(seed: int, n: int = 6) -> CoalitionGame:
    rng = np.random.default_rng(seed)
    worth, noise = rng.uniform(0, 1, n), rng.normal(0, 0.05, 1 << n)
    masks = np.arange(1 << n)
    return CoalitionGame.from_table(1 - np.exp(-members(masks, n) @ worth) + noise)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_budget_is_never_exceeded_and_the_draw_is_all_that_matters(name: str) -> None:
    for budget in (40, 45, 64):
        asked: set[int] = set()
        table = noisy_game(0).table()

        def watched(masks: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Values:
            asked.update(masks.tolist())  # noqa: B023
            return np.asarray(table[masks])  # noqa: B023

        runs = [
            evaluate(game, name, budget=budget, rng=np.random.default_rng(5))
            for game in (CoalitionGame(6, watched), noisy_game(0))
        ]
        assert len(asked) == runs[0].evaluations <= budget
        assert runs[0].values.tolist() == runs[1].values.tolist()
        other = evaluate(noisy_game(0), name, budget=budget, rng=np.random.default_rng(6))
        assert budget == 64 or other.values.tolist() != runs[0].values.tolist()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_mean_over_draws_is_the_exact_value_and_errors_say_how_far(name: str) -> None:
    game = noisy_game(1)
    exact = evaluate(game, TARGETS[name]).values
    draws = 300
    found = [evaluate(game, name, budget=45, rng=np.random.default_rng(k)) for k in range(draws)]
    values = np.array([result.values for result in found])
    spread = values.std(axis=0, ddof=1)
    bias = np.abs(values.mean(axis=0) - exact)
    assert (bias < 4 * spread / np.sqrt(draws) + 0.05 * spread).all()
    errors = np.array([result.standard_errors for result in found])
    stated = np.nanmean(errors, axis=0)
    assert (stated > 0.4 * spread).all()
    assert (stated < 2.5 * spread).all()


@pytest.mark.parametrize("name", ["permutation", "kernel-shap", "stratified"])
def test_more_budget_is_more_accurate(name: str) -> None:
    game = noisy_game(2, n=9)
    exact = shapley_values(game)
    errors = [
        np.mean(
            [
                np.linalg.norm(
                    evaluate(game, name, budget=budget, rng=np.random.default_rng(k)).values - exact
                )
                for k in range(10)
            ]
        )
        for budget in (70, 300)
    ]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("name", ["permutation", "kernel-shap"])
@given(seed=seeds, n=st.integers(1, 6))
@settings(max_examples=12)
def test_what_adds_up_does_so_in_every_sample(name: str, seed: int, n: int) -> None:
    game = CoalitionGame.from_table(np.random.default_rng(seed).normal(size=1 << n))
    found = evaluate(game, name, budget=max(20, 2 * n), rng=np.random.default_rng(seed))
    assert found.values.sum() == pytest.approx(game.value(*range(n)) - game.value(), abs=1e-9)


@given(seed=seeds, n=st.integers(1, 8))
@settings(max_examples=10)
def test_additive_games_need_no_more_than_one_sample(seed: int, n: int) -> None:
    worth = np.random.default_rng(seed).normal(size=n)
    game = CoalitionGame(n, lambda masks: members(masks, n) @ worth)
    for name in ("permutation", "kernel-shap", "stratified"):
        found = evaluate(game, name, budget=256, rng=np.random.default_rng(seed)).values
        np.testing.assert_allclose(found, worth, atol=1e-9)


def saturated(n: int = 8) -> CoalitionGame:
    """Any two players reach all there is to reach."""
    return CoalitionGame(n, lambda masks: np.minimum(np.bitwise_count(masks), 2) / 2.0)


@pytest.mark.parametrize("name", ["truncated", "gtg"])
def test_truncation_saves_evaluations_where_nothing_is_left_to_gain(name: str) -> None:
    found = evaluate(saturated(), name, budget=60, rng=np.random.default_rng(0))
    whole = evaluate(saturated(), "permutation", budget=60, rng=np.random.default_rng(0))
    assert found.values.sum() == pytest.approx(1.0)
    exact = np.full(8, 1 / 8)
    assert np.abs(found.values - exact).max() < np.abs(whole.values - exact).max()


def test_gtg_skips_a_round_that_changed_nothing() -> None:
    asked = []

    def flat(masks: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Values:
        asked.extend(masks.tolist())
        return np.asarray(0.5 + 0.001 * (masks == 31))

    game = CoalitionGame(5, flat)
    rng = np.random.default_rng(0)
    found = evaluate(game, "gtg", budget=50, rng=rng, round_tolerance=0.01)
    assert found.values.tolist() == [0.0] * 5
    assert sorted(asked) == [0, 31]


def test_gtg_puts_everybody_first_once_in_a_sweep_and_stops_when_settled() -> None:
    from fedfm_sim.mechanisms.contribution.guided_truncation import guided_orders

    orders = guided_orders(6, np.random.default_rng(3))
    sweep = [next(orders) for _ in range(6)]
    assert sorted(int(order[0]) for order in sweep) == list(range(6))
    assert all(sorted(order.tolist()) == list(range(6)) for order in sweep)

    worth = np.arange(1.0, 7.0)
    additive = CoalitionGame(6, lambda masks: members(masks, 6) @ worth)
    found = evaluate(additive, "gtg", budget=64, rng=np.random.default_rng(0), tolerance=0.0)
    assert found.converged
    assert found.evaluations < 64
    assert found.values == pytest.approx(worth)


#: Shapley values of a player of each weight among 51 (Castro, Gomez and Tejada 2009): the
#: states of the United States' Electoral College, at a quota of 270 of 538.
ELECTORAL = {
    45: (1, 0.088309395),
    41: (1, 0.079727355),
    27: (1, 0.050963123),
    26: (2, 0.048976822),
    25: (1, 0.046998933),
    21: (1, 0.03916926),
    17: (2, 0.031465634),
    14: (1, 0.025766946),
    13: (2, 0.023881964),
    12: (3, 0.022004132),
    11: (1, 0.020133369),
    10: (4, 0.018269595),
    9: (4, 0.016412733),
    8: (2, 0.014562707),
    7: (4, 0.012719443),
    6: (4, 0.010882867),
    5: (1, 0.00905291),
    4: (9, 0.007229501),
    3: (7, 0.005412571),
}


def test_the_electoral_college_of_51() -> None:
    weights = [w for w, (count, _) in ELECTORAL.items() for _ in range(count)]
    assert (len(weights), sum(weights)) == (51, 538)
    expected = [value for count, value in ELECTORAL.values() for _ in range(count)]
    found = weighted_voting_shapley(weights, 270)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(1, 20))
def test_counting_by_weight_is_the_value_from_the_table(weights: list[int], quota: int) -> None:
    sums = np.zeros(1 << len(weights))
    for i, weight in enumerate(weights):
        sums[1 << i : 2 << i] = sums[: 1 << i] + weight
    exact = shapley_values(CoalitionGame.from_table((sums >= quota).astype(float)))
    np.testing.assert_allclose(weighted_voting_shapley(weights, quota), exact, atol=1e-12)


@pytest.mark.parametrize(("weights", "quota"), [([1.5], 1), ([-1], 1), ([1], 0), ([[1]], 1)])
def test_impossible_votes_are_refused(weights: list[int], quota: int) -> None:
    with pytest.raises(UserError, match=r"voting weights|quota"):
        weighted_voting_shapley(weights, quota)


GAME = CoalitionGame.from_table([0.0, 1, 1, 3])


def test_misuse_is_one_clear_line() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="give it rng"):
        evaluate(GAME, "gtg")
    with pytest.raises(UserError, match=r"'shapley' is exact and takes no budget.*permutation"):
        evaluate(GAME, "shapley", budget=3)
    with pytest.raises(UserError, match="budget of 2 coalitions is too small for 2 players"):
        evaluate(GAME, "permutation", budget=2, rng=rng)
    with pytest.raises(UserError, match="'gtg': tolerance"):
        evaluate(GAME, "gtg", rng=rng, tolerance=-1)
    with pytest.raises(UserError, match="'beta': gamma"):
        evaluate(GAME, "beta", gamma=1)


@pytest.mark.parametrize("name", SAMPLED)
def test_one_player_gets_everything(name: str) -> None:
    alone = CoalitionGame.from_table([2.0, 5.0])
    found = evaluate(alone, name, budget=10, rng=np.random.default_rng(0))
    assert found.values == pytest.approx([3.0])


def test_results_print_and_tabulate() -> None:
    found = evaluate(GAME, "permutation", budget=4, rng=np.random.default_rng(0))
    table = found.to_frame()
    assert table["value"].tolist() == found.values.tolist()
    assert "standard_error" in table
    assert "standard_error" not in evaluate(GAME).to_frame()
    shown = repr(Contribution("x", np.arange(comb(5, 2), dtype=float), 3))
    assert shown == "Contribution(x: [0, 1, 2, 3, 4, 5, 6, 7, ...], 3 evaluations)"


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_where_it_was_published_is_said(name: str) -> None:
    assert any(character.isdigit() for character in SCHEMES[name].source)
