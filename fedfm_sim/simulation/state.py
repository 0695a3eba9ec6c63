"""All that a run carries from one round to the next: taken, copied, stored, and put back.

A state is a tree of plain values and arrays. It is stored as safetensors, the values in the
metadata as JSON: nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fedfm_sim.agents.participant import Beliefs, Participant
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.tensor_files import write_tensors
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.population.arrays import Population

#: A tree of dictionaries, lists, sets, plain values, arrays and tensors.
State = dict[str, Any]

#: What the arrays of a population are called; the others follow from its scenario.
POPULATION = (
    *("regrets", "positive", "negative", "account", "action"),
    *("payment", "incurred", "burdened", "trust", "utility", "audited", "convicted"),
)


def state_of(model: FederationModel) -> State:
    """Return a copy of what the next round of a federation depends on."""
    setting, federation = model.setting, model.setting.federation
    state: State = _copy(
        {
            "round": model.round,
            "adapter": federation.adapter,
            "previous": federation.previous,
            "mechanism": setting.mechanism.memory(),
            "defence": setting.defence.memory(),
            "watermark": setting.watermark.memory(),
            "reputation": [model.reputation.positive, model.reputation.negative],
            "book": model.book.memory(),
            "participants": [
                {
                    "action": own.action,
                    "policy": own.policy.memory(),
                    "beliefs": asdict(own.beliefs),
                }
                for own in model.participants
            ],
        }
    )
    return state


def put_back(model: FederationModel, state: State) -> None:
    """Let a model of the same scenario and seed go on from a state."""
    own = _copy(state)
    setting = model.setting
    setting.federation.adapter, setting.federation.previous = own["adapter"], own["previous"]
    setting.mechanism.recall(own["mechanism"])
    setting.defence.recall(own["defence"])
    setting.watermark.recall(own["watermark"])
    model.reputation.positive, model.reputation.negative = own["reputation"]
    model.book.recall(own["book"])
    for participant, mind in zip(model.participants, own["participants"], strict=True):
        _remind(participant, mind)
    model.go_on_from(own["round"])


def _remind(participant: Participant, mind: State) -> None:
    participant.action = mind["action"]
    participant.policy.recall(mind["policy"])
    participant.beliefs = Beliefs(**mind["beliefs"])


@contextmanager
def all_or_nothing(model: FederationModel) -> Iterator[None]:
    """Whoever is stopped within the block leaves the model at the round that it entered with."""
    before = state_of(model)
    try:
        yield
    except BaseException:
        while not _went_back(model, before):
            pass
        raise


def _went_back(model: FederationModel, state: State) -> bool:
    """Return whether a model was put back; who interrupts that as well has to wait for it."""
    try:
        put_back(model, state)
        model.records.cut(model.round)
        del model.history[model.round :]
    except KeyboardInterrupt:
        return False
    return True


def branch(model: FederationModel) -> FederationModel:
    """Return a second model at the same point: what is tried on it leaves the first as it is."""
    setting = model.setting
    other = FederationModel(
        setting.scenario, setting.streams.seed, model.keep_updates, setting, model.recording
    )
    put_back(other, state_of(model))
    other.records = model.records.copy()
    other.history = list(model.history)
    return other


def population_state(population: Population) -> State:
    """Return a copy of what the next round of a population depends on."""
    arrays = {name: getattr(population, name) for name in POPULATION}
    plain = {name: getattr(population, name) for name in ("server", "outside", "round")}
    state: State = _copy(arrays | plain)
    return state


def put_population_back(population: Population, state: State) -> None:
    """Let a population of the same scenario and seed go on from a state."""
    for name, value in _copy(state).items():
        setattr(population, name, value)


def save_state(state: State, path: Path, about: Mapping[str, Any]) -> None:
    """Write a state, whole or not at all; ``about`` is plain values to find it again by."""
    arrays: dict[str, Tensor] = {}
    tree = _packed(state, "state", arrays)
    metadata = {"state": json.dumps(tree), "about": json.dumps(about)}
    write_tensors(path, arrays, metadata)


def load_state(path: Path, about: Mapping[str, Any]) -> State | None:
    """Read what `save_state` wrote; None when it is about something else, or is not there.

    Raises
    ------
    UserError
        When the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if json.loads(metadata["about"]) != dict(about):
                return None
            names = stored.keys()
            arrays = {name: stored.get_tensor(name) for name in names}
        state: State = _unpacked(json.loads(metadata["state"]), arrays)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: no state of a run can be read ({error})") from error
    return state


def _copy(value: Any) -> Any:
    """Return a deep copy, arrays and tensors included."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _copy(own) for key, own in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(_copy(own) for own in value)
    return value


def _packed(value: Any, path: str, arrays: dict[str, Tensor]) -> Any:
    """Return JSON of a value, its arrays put aside under the names of their places."""
    if isinstance(value, (Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(value)
        arrays[path] = tensor.contiguous().clone()
        return {kind: path}
    if isinstance(value, dict):
        items = [[key, _packed(own, f"{path}.{key}", arrays)] for key, own in value.items()]
        return {"items": items}
    if isinstance(value, (list, tuple, set)):
        members = sorted(value) if isinstance(value, set) else value
        packed = [_packed(own, f"{path}.{n}", arrays) for n, own in enumerate(members)]
        return {type(value).__name__: packed}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(f"{path}: a {type(value).__name__} can't be stored in the state of a run")


def _unpacked(value: Any, arrays: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return arrays[content]
    if kind == "array":
        return arrays[content].numpy()
    if kind == "items":
        return {key: _unpacked(own, arrays) for key, own in content}
    members = (_unpacked(own, arrays) for own in content)
    return {"list": list, "tuple": tuple, "set": set}[kind](members)
