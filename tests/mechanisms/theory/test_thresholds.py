"""Thresholds: deterrence by the formula and by brute force."""

from __future__ import annotations

from math import inf, nan, nextafter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values
from fedfm_sim.mechanisms import (
    deterrence_rate,
    deterring_discount,
    deterring_fine,
    exclusion_deters,
    expected_fine,
)

probability = st.floats(0, 1)
money = st.floats(0, 1e3)


def advantage(p: float, gain: float, fine: float, d: float, f: float, confiscate: bool) -> float:
    """Add up cheating's gain over honesty, outcome by outcome."""
    cheating = honest = 0.0
    for chance, audited in ((p, True), (1 - p, False)):
        for caught in (True, False):
            hit = d if caught else 1 - d
            alarm = f if caught else 1 - f
            if not audited:
                hit = alarm = float(not caught)
            keeps = 0.0 if caught and confiscate else gain
            cheating += chance * hit * (keeps - (fine if caught else 0.0))
            honest += chance * alarm * (-fine if caught else 0.0)
    return cheating - honest


def test_the_two_published_forms() -> None:
    assert deterrence_rate(2, 6, 0.5) == pytest.approx(2 / (0.5 * (6 + 2)))
    assert deterrence_rate(2, 6, 0.5, confiscate=False) == pytest.approx(2 / (0.5 * 6))
    assert deterrence_rate(1, 9, 0.8, false_alarm=0.2) == pytest.approx(1 / (0.8 * 10 - 0.2 * 9))


@given(st.floats(0.01, 1e3), money, probability, probability, st.booleans())
def test_the_rate_is_where_cheating_stops_paying(
    gain: float, fine: float, d: float, f: float, confiscate: bool
) -> None:
    rate = deterrence_rate(gain, fine, d, confiscate=confiscate, false_alarm=f)
    grid = np.linspace(0, 1, 201)
    pays = np.array([advantage(p, gain, fine, d, f, confiscate) > 1e-9 * gain for p in grid])
    if rate == inf:
        assert pays[grid < 1 - 1e-6].all()
    else:
        assert 0 <= rate <= 1
        assert pays[grid < rate - 1e-6].all()
        assert not pays[grid > rate].any()


@given(st.floats(0.01, 1e3), money, st.floats(0.01, 1), st.booleans())
def test_more_of_anything_deters_no_less(
    gain: float, fine: float, d: float, confiscate: bool
) -> None:
    rate = deterrence_rate(gain, fine, d, confiscate=confiscate)
    assert deterrence_rate(gain, 2 * fine + 1, d, confiscate=confiscate) <= rate
    assert deterrence_rate(gain, fine, (d + 1) / 2, confiscate=confiscate) <= rate
    assert deterrence_rate(gain, fine, d, confiscate=True) <= rate
    assert deterrence_rate(gain / 2, fine, d, confiscate=False) <= deterrence_rate(
        gain, fine, d, confiscate=False
    )


@pytest.mark.parametrize(
    ("gain", "fine", "detection", "confiscate", "expected"),
    [
        (0.0, 0.0, 0.0, True, 0.0),
        (-3.0, 1.0, 0.5, True, 0.0),
        (1.0, 1e9, 0.0, True, inf),
        (1.0, 0.0, 1.0, True, 1.0),  # losing the gain for certain makes it worth nothing
        (1.0, 0.0, 1.0, False, inf),
        (4.0, 4.0, 1.0, False, 1.0),
        (4.0, nextafter(4.0, 0), 1.0, False, inf),
    ],
)
def test_limits(
    gain: float, fine: float, detection: float, confiscate: bool, expected: float
) -> None:
    assert deterrence_rate(gain, fine, detection, confiscate=confiscate) == expected


@given(probability, money, probability, probability)
def test_expected_fine_is_what_cheating_adds(p: float, fine: float, d: float, f: float) -> None:
    added = expected_fine(p, fine, d, false_alarm=f)
    assert added == pytest.approx(-advantage(p, 0.0, fine, d, f, False), abs=1e-9)


def test_at_the_deterrence_rate_the_expected_fine_is_the_gain() -> None:
    rate = deterrence_rate(3.0, 20.0, 0.7, confiscate=False)
    assert expected_fine(rate, 20.0, 0.7) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nan, 1.0, 0.5), "gain"),
        ((inf, 1.0, 0.5), "gain"),
        ((1.0, -1.0, 0.5), "fine"),
        ((1.0, nan, 0.5), "fine"),
        ((1.0, 1.0, 1.5), "detection"),
        ((1.0, 1.0, nan), "detection"),
    ],
)
def test_impossible_numbers_are_refused(
    arguments: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        deterrence_rate(*arguments)


@given(st.floats(0.01, 100), probability, probability, probability, st.booleans())
def test_the_fine_is_where_cheating_stops_paying(
    gain: float, p: float, d: float, f: float, confiscate: bool
) -> None:
    assume(abs(d - f) > 1e-3 and 1 - p * d > 1e-6)  # else rounding decides
    fine = deterring_fine(gain, p, d, confiscate=confiscate, false_alarm=f)
    if fine == inf:
        assert advantage(p, gain, 1e9, d, f, confiscate) > 0
        return
    assert advantage(p, gain, fine, d, f, confiscate) <= 1e-9 * (1 + gain + fine)
    if fine > 0:
        assert advantage(p, gain, 0.99 * fine, d, f, confiscate) > 0


def test_fine_and_rate_are_two_sides_of_one_threshold() -> None:
    fine = deterring_fine(2.0, 0.25, 0.8)
    assert fine == pytest.approx(2 * (1 - 0.2) / 0.2)
    assert deterrence_rate(2.0, fine, 0.8) == pytest.approx(0.25)
    fine = deterring_fine(2.0, 0.25, 0.8, confiscate=False, false_alarm=0.1)
    assert fine == pytest.approx(2 / (0.25 * 0.7))
    again = deterrence_rate(2.0, fine, 0.8, confiscate=False, false_alarm=0.1)
    assert again == pytest.approx(0.25)


def best_plan(
    gain: float,
    profit: float,
    caught: float,
    accused: float,
    discount: float,
    fine: float,
    strikes: int,
) -> tuple[float, float]:
    """Return the values of honesty and of the best plan, by value iteration."""
    honesty, best = np.zeros(strikes + 1), np.zeros(strikes + 1)

    def value(earned: float, convicted: float, later: Values) -> Values:
        stays = (1 - convicted) * (earned + discount * later[1:])
        return stays + convicted * (discount * later[:-1] - fine)

    for _ in range(400):
        honesty[1:] = value(profit, accused, honesty)
        best[1:] = np.maximum(value(profit, accused, best), value(profit + gain, caught, best))
    return float(honesty[strikes]), float(best[strikes])


exclusions = st.tuples(
    st.floats(0.1, 10),
    st.floats(0, 5),
    probability,
    probability,
    st.floats(0, 5),
    st.integers(1, 3),
)


@settings(max_examples=60)
@given(exclusions, st.one_of(st.just(0.0), probability), st.floats(0, 0.9))
def test_exclusion_by_value_iteration(
    case: tuple[float, float, float, float, float, int], f: float, discount: float
) -> None:
    gain, profit, p, d, fine, strikes = case
    honest, best = best_plan(gain, profit, p * d, p * f, discount, fine, strikes)
    assume(abs(best - honest) > 1e-6 or best == honest)
    found = exclusion_deters(
        gain, profit, p, d, discount, fine=fine, strikes=strikes, false_alarm=f
    )
    assert found == (best <= honest + 1e-9)


@pytest.mark.parametrize("false_alarm", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("strikes", [1, 2, 4])
def test_both_answers_occur_and_agree_with_value_iteration(
    strikes: int, false_alarm: float
) -> None:
    answers = set()
    for gain in (0.2, 2.0, 60.0):
        found = exclusion_deters(
            gain, 2.0, 0.5, 0.8, 0.9, fine=0.5, strikes=strikes, false_alarm=false_alarm
        )
        honest, best = best_plan(gain, 2.0, 0.4, 0.5 * false_alarm, 0.9, 0.5, strikes)
        assert found == (best <= honest + 1e-9)
        answers.add(found)
    assert answers == {True, False}


def test_only_the_last_strike_threatens_where_nobody_is_accused_falsely() -> None:
    # One round: 0.7 (1 + 1) - 1 = 0.4 is gained; 0.3 of 1 a round for ever is at stake.
    assert exclusion_deters(1.0, 1.0, 0.3, 1.0, 0.99)
    assert not exclusion_deters(1.0, 1.0, 0.3, 1.0, 0.99, strikes=2)
    # Where one can be, the strike that is lost may be needed.
    assert exclusion_deters(1.0, 1.0, 0.3, 1.0, 0.99, strikes=2, false_alarm=0.2)


@pytest.mark.parametrize(("p", "d", "f"), [(0.3, 1.0, 0.0), (0.5, 0.8, 0.1), (0.9, 0.6, 0.3)])
def test_with_one_strike_the_patience_needed_is_the_closed_form(
    p: float, d: float, f: float
) -> None:
    q, a = p * d, p * f
    honest = (1 - a) * 1.5 - a * 0.2
    tempts = (1 - q) * (1.5 + 2.0) - q * 0.2 - honest
    expected = tempts / (tempts * (1 - a) + (q - a) * honest)
    found = deterring_discount(2.0, 1.5, p, d, fine=0.2, false_alarm=f)
    assert 0 < found < 1
    assert found == pytest.approx(expected, rel=1e-9)


@given(exclusions, probability)
def test_the_patience_needed_is_a_threshold(
    case: tuple[float, float, float, float, float, int], f: float
) -> None:
    gain, profit, p, d, fine, strikes = case

    def deters(discount: float) -> bool:
        return exclusion_deters(
            gain, profit, p, d, discount, fine=fine, strikes=strikes, false_alarm=f
        )

    least = deterring_discount(gain, profit, p, d, fine=fine, strikes=strikes, false_alarm=f)
    for discount in np.linspace(0, 0.999, 30):
        if discount < least - 1e-6:
            assert not deters(discount)
        # Where the honest are convicted more often, or lose money, patience does not help.
        elif discount > least + 1e-6 and least > 0:
            assert deters(discount)


def test_no_patience_is_enough_where_audits_tell_nothing() -> None:
    assert deterring_discount(1.0, 1.0, 0.5, 0.3, false_alarm=0.3) == inf
    assert deterring_discount(1.0, 1.0, 0.0, 1.0) == inf
    assert deterring_discount(1.0, 1.0, 1.0, 0.5, strikes=2) == 0.0  # half of 2 is 1
    assert deterring_discount(1.1, 1.0, 1.0, 0.5, strikes=2) == inf


def test_patience_deters_where_one_round_does_not() -> None:
    assert deterrence_rate(1.0, 0.0, 1.0) > 0.3
    assert not exclusion_deters(1.0, 1.0, 0.3, 1.0, discount=0.1)
    assert exclusion_deters(1.0, 1.0, 0.3, 1.0, discount=0.9)


@pytest.mark.parametrize(
    "bad",
    [
        {"discount": 1.0},
        {"discount": nan},
        {"strikes": 0},
        {"honest_profit": -1},
        {"honest_profit": inf},
        {"gain": nan},
    ],
)
def test_impossible_exclusions_are_refused(bad: dict[str, float]) -> None:
    fields = {"gain": 1.0, "honest_profit": 1.0, "discount": 0.5, "strikes": 1} | bad
    with pytest.raises(UserError, match="exclusion needs"):
        exclusion_deters(
            fields["gain"],
            fields["honest_profit"],
            0.5,
            0.5,
            fields["discount"],
            strikes=int(fields["strikes"]),
        )
