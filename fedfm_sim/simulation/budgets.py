"""Whether sampled contribution schemes can keep to their budgets, tried before anything trains."""

from __future__ import annotations

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution import evaluate, is_sampled
from fedfm_sim.scenarios.schema import Scenario


def check_budgets(scenario: Scenario) -> None:
    """Try sampled contribution schemes on an additive game of as many players.

    Raises
    ------
    UserError
        Naming the key, when a budget of coalitions is too small for a scheme.
    """
    own, mechanism = scenario.contribution, scenario.mechanism.settings
    asked: list[tuple[str, str, int | None]] = [
        ("contribution.budget", name, own.budget) for name in own.schemes if own.every
    ]
    if "scheme" in mechanism:
        key = "mechanism.evaluations"
        asked.append((key, mechanism["scheme"], mechanism.get("evaluations")))
    for key, name, budget in asked:
        if is_sampled(name):
            try:
                rng = np.random.default_rng(0)
                evaluate(_additive(scenario.participants.count), name, budget=budget, rng=rng)
            except UserError as error:
                raise UserError(f"{key}: '{name}': {error}") from error


def _additive(players: int) -> CoalitionGame:
    """Return the game in which everybody brings 1."""

    def values(masks: Masks) -> Values:
        return np.asarray(((masks[:, None] >> np.arange(players)) & 1).sum(1), dtype=np.float64)

    return CoalitionGame(players, values)
