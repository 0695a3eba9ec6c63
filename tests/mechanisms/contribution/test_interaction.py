"""The accuracy model finds planted contributions, and says when there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.interaction import accuracy_model
from fedfm_sim.mechanisms.contribution.shapley import shapley_values

QUALITY = np.array([0.4, 0.2, 0.1, 0.05, 0.0])


def rounds(count: int, noise: float, seed: int) -> tuple[Values, Values]:
    """Return sizes and saturating accuracies of participants of unequal quality."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0, 1, (count, QUALITY.size)) * (rng.uniform(size=(count, 5)) < 0.8)
    accuracy = 0.5 + 0.45 * (1 - np.exp(-2 * sizes @ QUALITY))
    return sizes, np.asarray(accuracy + noise * rng.normal(size=count))


def test_planted_contributions_are_found() -> None:
    inside = members(np.arange(32), 5)
    planted = CoalitionGame.from_table(0.45 * (1 - np.exp(-2 * inside @ QUALITY)))
    sizes, accuracies = rounds(120, 0.005, 0)
    model = accuracy_model(sizes * 250, accuracies)
    assert model.skill > 0.95
    # Contributions of 0.18, 0.10, 0.05, 0.02 and 0.
    assert model.values == pytest.approx(shapley_values(planted), abs=0.012)
    assert model.game.value(0, 1) == pytest.approx(0.5 + planted.value(0, 1), abs=0.03)


def test_sizes_are_in_any_unit() -> None:
    sizes, accuracies = rounds(60, 0.005, 1)
    one, other = accuracy_model(sizes, accuracies), accuracy_model(1024 * sizes, accuracies)
    np.testing.assert_allclose(one.values, other.values, atol=1e-12)


def test_without_a_relation_there_is_no_skill() -> None:
    sizes, _ = rounds(80, 0.0, 2)
    noise = np.random.default_rng(3).normal(size=80)
    assert accuracy_model(sizes, noise).skill < 0.2


def test_the_seed_decides() -> None:
    sizes, accuracies = rounds(40, 0.01, 4)
    one, again, other = (accuracy_model(sizes, accuracies, seed=s) for s in (0, 0, 1))
    assert one.values.tolist() == again.values.tolist()
    assert one.values.tolist() != other.values.tolist()


def test_one_participant() -> None:
    shares = np.linspace(0, 1, 30)[:, None]
    model = accuracy_model(shares, 0.5 + 0.3 * shares[:, 0])
    assert model.values == pytest.approx([0.3], abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, a: (s[:5], a[:5]), "rounds at least"),
        (lambda s, a: (s[:, 0], a), "participants"),
        (lambda s, a: (s, a[:-1]), "participants"),
        (lambda s, a: (-s, a), "at least 0"),
        (lambda s, a: (s, np.full_like(a, np.nan)), "finite"),
        (lambda s, a: (np.ones_like(s), a), "vary"),
        (lambda s, a: (s, np.ones_like(a)), "vary"),
    ],
)
def test_impossible_input_is_refused(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(UserError, match=message):
        accuracy_model(*change(*rounds(20, 0.0, 0)))
    with pytest.raises(UserError, match="hidden"):
        accuracy_model(*rounds(20, 0.0, 0), hidden=0)
