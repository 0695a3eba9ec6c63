"""A participant leaves: by which executor it is forgotten, and who is owed what afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import stack

from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.experiments.unlearn import probes_of, request_of_model
from fedfm_sim.learning.aggregation import weighted_mean
from fedfm_sim.mechanisms.theory.holdup import hold_up, settled_again
from fedfm_sim.security.unlearning import EXECUTORS, execute_together
from fedfm_sim.security.unlearning.request import Request
from fedfm_sim.security.unlearning.retraining import Retrain
from fedfm_sim.security.unlearning.verification import compare
from fedfm_sim.simulation.departure import Departure
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.setting import Setting

#: Columns in which an unlearned model must not miss the retrained one by more than the
#: tolerance, and in which direction it would be worse.
FIDELITY = {"accuracy": -1, "attack_success": 1, "membership": 1}


def depart(model: FederationModel) -> Departure:
    """Let the scenario's leaver go after the last round of a model that kept its updates."""
    settings = model.setting.scenario.departure
    if settings is None:
        raise RuntimeError("the scenario has no departure")
    leaver = settings.participant
    request = request_of_model(model, leaver)
    jobs = [(EXECUTORS[name](), request) for name in settings.executors]
    retrained, *made = execute_together([(Retrain(), request), *jobs])
    by_name = dict(zip(settings.executors, made, strict=True))
    table = compare(
        request, by_name, retrained, probes_of(model.setting, leaver, model.tables()[1]["action"])
    )
    table["miss"] = _misses(table)
    table["money"] = _money(model.setting, table)
    chosen = _cheapest(table, settings.tolerance)
    game = history_game(request, model.setting)
    before, after = settled_again(game, leaver, settings.pot)
    # The others lose what accuracy is worth, and pay for the executor that was chosen.
    accuracy, money = _column(table, "accuracy"), _column(table, "money")
    loss = settings.value * (accuracy["original"] - accuracy[chosen]) + money[chosen]
    shares = pd.DataFrame({"participant": range(len(before)), "before": before, "after": after})
    return Departure(table, chosen, shares, hold_up(float(before[leaver]), loss))


def history_game(request: Request, setting: Setting) -> CoalitionGame:
    """Return the game whose v(S) is what the updates of S alone would have made.

    All kept rounds are played again with the members of S only, each moving the adapter
    by its weighted mean change (multi-round reconstruction, Song et al. 2019); the value is
    accuracy over that of the base model on the server's validation examples.
    """
    federation, players = setting.federation, setting.participants
    examples = setting.holdings.coalition_examples
    base = float(
        federation.evaluate(request.federation.initial[None], examples).accuracy(examples.labels)[0]
    )

    def made_by(members: npt.NDArray[np.bool_]) -> Any:
        adapter = federation.initial
        for past in request.history:
            weights = past.weights * members[past.members]
            if weights.sum() > 0:
                mean = weighted_mean(past.updates, past.reference, weights / weights.sum())
                adapter = adapter + (mean - past.reference)
        return adapter

    def values(masks: Masks) -> Values:
        members = ((masks[:, None] >> np.arange(players)) & 1).astype(bool)
        adapters = stack([made_by(row) for row in members])
        return federation.evaluate(adapters, examples).accuracy(examples.labels) - base

    return CoalitionGame(players, values)


def _misses(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    exact = table.iloc[-1]
    gaps = [
        sign * (table[name] - exact[name]).fillna(0.0).to_numpy() for name, sign in FIDELITY.items()
    ]
    return np.asarray(np.maximum(0.0, np.max(gaps, axis=0)), dtype=np.float64)


def _money(setting: Setting, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return what each executor costs: arithmetic, and Eq. 16's bytes at the efficiency price."""
    prices, costs = setting.scenario.prices, setting.costs
    gflops = costs.gflops_per_unit * table["examples"].to_numpy(dtype=np.float64)
    megabytes = setting.federation.layout.size_bytes / 1e6 * table["messages"].to_numpy()
    return np.asarray(
        prices.compute * gflops + prices.efficiency * prices.bytes * megabytes, dtype=np.float64
    )


def _column(table: pd.DataFrame, name: str) -> dict[str, float]:
    return dict(zip(table["executor"], table[name].astype(float), strict=True))


def _cheapest(table: pd.DataFrame, tolerance: float) -> str:
    tried = table.iloc[1:]  # not the original, which forgot nothing
    good = tried[tried["miss"] <= tolerance]
    return str(good.sort_values("money", kind="stable")["executor"].iloc[0])
