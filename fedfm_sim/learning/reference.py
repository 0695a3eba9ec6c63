"""The loop over plain peft: slow, obvious, and what the batched trainer must equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from fedfm_sim.learning.adapters import AdapterLayout, attach
from fedfm_sim.learning.backbone import Backbone, example_losses
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import ADAM, Trained, TrainingSettings, batch_plan


def train(
    backbone: Backbone,
    layout: AdapterLayout,
    adapters: Tensor,
    shards: Sequence[Examples],
    settings: TrainingSettings,
    generators: Sequence[np.random.Generator],
) -> Trained:
    """Train K adapters one after the other; same meaning as `trainer.train`."""
    model = attach(backbone, layout.settings)
    for name, parameter in model.named_parameters():
        if settings.freeze_a and ".lora_A." in name:
            parameter.requires_grad_(False)
    trained = torch.empty_like(adapters)
    losses = np.full(len(shards), np.nan)
    for k, (shard, rng) in enumerate(zip(shards, generators, strict=True)):
        views = layout.views(adapters[k : k + 1])
        set_peft_model_state_dict(model, {name: view[0] for name, view in views.items()})
        losses[k] = _train_one(model, shard, settings, rng)
        trained[k] = layout.flatten(get_peft_model_state_dict(model))
    samples = np.array([len(shard) * settings.epochs for shard in shards], dtype=np.int64)
    return Trained(trained, losses, samples)


def _train_one(
    model: torch.nn.Module,
    shard: Examples,
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> float:
    parameters = [p for p in model.parameters() if p.requires_grad]
    starts = [p.detach().clone() for p in parameters]
    plan = batch_plan(len(shard), settings, rng)
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adamw":
        beta1, beta2, epsilon = ADAM
        optimizer = torch.optim.AdamW(
            parameters, settings.learning_rate, (beta1, beta2), epsilon, settings.weight_decay
        )
    else:
        optimizer = torch.optim.SGD(parameters, settings.learning_rate)
    tail: list[tuple[float, int]] = []
    for index in plan:
        batch = shard.select(index)
        loss = example_losses(model(**batch.inputs).logits, batch.labels).mean()
        moved = [(p - start).square().sum() for p, start in zip(parameters, starts, strict=True)]
        objective = loss + settings.proximal / 2 * torch.stack(moved).sum()
        optimizer.zero_grad()
        objective.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimizer.step()
        tail.append((loss.item(), len(index)))
    if not tail:
        return float("nan")
    last = tail[-(len(plan) // settings.epochs) :]
    return float(np.average([x for x, _ in last], weights=[n for _, n in last]))
