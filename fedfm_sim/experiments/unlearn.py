"""Make a finished run forget a participant, and check it against retraining.

Works from the run's own folder: its lock file names the data, its adapter is in peft's
format, and ``history/`` holds what was aggregated when the run kept it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import NestedError
from fedfm_sim.experiments.folder import UNLEARNED, RunFolder, without
from fedfm_sim.experiments.forgetting import Forgetting
from fedfm_sim.experiments.identity import identity_of
from fedfm_sim.learning.examples import Examples
from fedfm_sim.scenarios.loader import load_lock
from fedfm_sim.security.attacks import TriggerAttack
from fedfm_sim.security.unlearning import EXECUTORS, Executor, execute_together
from fedfm_sim.security.unlearning.past_round import PastRound
from fedfm_sim.security.unlearning.request import Request, forget_client
from fedfm_sim.security.unlearning.retraining import Retrain
from fedfm_sim.security.unlearning.verification import Probes, compare
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.round import Round
from fedfm_sim.simulation.setting import Setting


def unlearn(
    run: str | Path, client: int, method: str, parameters: Mapping[str, Any] | None = None
) -> Forgetting:
    """Remove a participant from a finished run's adapter, and verify it.

    The outcome lies in ``RUN/without-K``, K being the participants that are gone, with the
    adapter in peft's format and the comparison with a retrained federation. The run's own
    adapter stays. A second participant is removed from the outcome of the first. The same one
    by another method is removed from the same adapter as at first, to compare: that outcome lies
    in ``RUN/without-K-by-METHOD``, and nothing goes on from there.

    Parameters
    ----------
    run : str or Path
        Folder that ``fedfm-sim run --out`` wrote.
    client : int
        Number of the participant, from 0.
    method : str
        Name of an executor.
    parameters : mapping, optional
        Of the executor.

    Raises
    ------
    UserError
        When the folder is no finished run, the participant never took part or has been
        removed by this method already, the method needs updates that were not kept, or another
        command is writing there.
    """
    executor = _executor(method, parameters or {})
    with RunFolder.existing(run, alone=True) as folder:
        return _unlearn(folder, client, method, executor)


def _unlearn(folder: RunFolder, client: int, method: str, executor: Executor) -> Forgetting:
    setting, before = _setting(folder), unlearned(folder)
    gone = [int(entry["client"]) for entry in before]
    again = client in gone
    if again:
        gone = gone[: gone.index(client)]
        first = before[len(gone)]["method"]
        done = folder.path / without([*gone, client], "" if method == first else method)
        if done.is_dir():
            raise UserError(
                f"{folder.path}: participant {client} has been unlearned by '{method}' already; "
                f"the outcome is in {done.name}; expected another method"
            )
    played = folder.read_table("participants")
    request = request_of(folder, setting, client, played, gone)
    if executor.uses_history and not folder.has_updates:
        raise UserError(
            f"{folder.path}: '{method}' needs the updates of past rounds; "
            "run the scenario again with --keep-updates"
        )
    retrained, made = execute_together([(Retrain(), request), (executor, request)])
    table = compare(
        request, {method: made}, retrained, probes_of(setting, client, played["action"])
    )
    layout, backbone = setting.federation.layout, setting.federation.backbone
    target = folder.write_without(
        [*gone, client], made.adapter, layout, backbone, table, method if again else ""
    )
    if not again:
        folder.write_json(UNLEARNED, {"gone": [*before, {"client": client, "method": method}]})
    return Forgetting(client, method, table, target)


def unlearned(folder: RunFolder) -> list[dict[str, Any]]:
    """Return which participants were taken out of a run since, in order: ``client``, ``method``.

    Raises
    ------
    UserError
        When the list is damaged, or of another run.
    """
    stored = folder.read_json(UNLEARNED).get("gone", [])
    try:
        return [{"client": int(own["client"]), "method": str(own["method"])} for own in stored]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder.path / UNLEARNED}: not a list of participants") from error


def request_of_model(model: FederationModel, client: int) -> Request:
    """Return the request that a model after its last round and a participant make."""
    shards = trained_on(model.setting, model.tables()[1])
    return _request(model.setting, shards, client, model.adapter, model.history)


def request_of(
    folder: RunFolder,
    setting: Setting,
    client: int,
    played: pd.DataFrame,
    gone: Sequence[int] = (),
) -> Request:
    """Return the request that a saved run and a participant make.

    Raises
    ------
    UserError
        When the participant never took part, or the adapter or history is damaged.
    """
    adapter = folder.adapter(setting.federation.layout, gone)
    history = folder.history()
    shards = trained_on(setting, played)
    for other in gone:
        shards, _ = forget_client(shards, other)
    try:
        return _request(setting, shards, client, adapter, history)
    except UserError as error:
        raise UserError(f"{folder.path}: {error}") from error


def _request(
    setting: Setting,
    shards: Sequence[Examples],
    client: int,
    adapter: Tensor,
    history: Sequence[PastRound],
) -> Request:
    retain, forget = forget_client(shards, client)
    return Request(
        setting.federation,
        adapter,
        retain,
        forget,
        setting.holdings.validation,
        setting.streams,
        setting.scenario.rounds,
        tuple(history),
        client,
    )


def trained_on(setting: Setting, participants: pd.DataFrame) -> tuple[Examples, ...]:
    """Return what each participant's last action trained on; nothing for one who never sent."""
    updates = Round.open_to_all(setting, 0).updates
    taking_part = participants[participants["weight"] > 0]
    actions = taking_part.groupby("participant")["action"].last()
    return tuple(
        updates.data_of(k, actions[k]) if k in actions else shard.select(slice(0, 0))
        for k, shard in enumerate(setting.holdings.shards)
    )


def probes_of(setting: Setting, client: int, played: Iterable[str]) -> Probes:
    """Return what models are asked after a participant has gone.

    The trigger is asked for only where an action that was ``played`` planted one.
    """
    holdings, trigger = setting.holdings, setting.evaluator.reference_trigger
    attacks = [a for n in set(played) if isinstance(a := setting.attacks.get(n), TriggerAttack)]
    return Probes(
        holdings.test,
        tuple(holdings.held_out),
        holdings.shards[client],
        holdings.others[client],
        trigger.triggered_test(holdings.test) if attacks else None,
    )


def _executor(method: str, parameters: Mapping[str, Any]) -> Executor:
    try:
        return EXECUTORS.build({"name": method, **parameters})
    except NestedError as error:
        raise UserError(f"--method {method}: {error.line}") from error


def _setting(folder: RunFolder) -> Setting:
    if not folder.is_finished:
        raise UserError(f"{folder.path}: no finished run")
    folder.check_lock()
    scenario, seed = load_lock(folder.lock)
    if identity_of(scenario, seed) != folder.identity:
        raise UserError(
            f"{folder.path}: the backbone or another file that the run read is not as it was, "
            "or the program is another version; run it again"
        )
    return Setting.create(scenario, seed)
