"""Executors that train without the forgotten data: from scratch, from history, or on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.aggregation import normalised, weighted_mean
from fedfm_sim.security.unlearning.executor import (
    Executor,
    Steps,
    Task,
    federated_rounds,
    mending,
)
from fedfm_sim.security.unlearning.request import Request


class Retrain(Executor):
    """Train the whole federation again without the data: what all others are measured by."""

    source: ClassVar[str] = "the definition of exact unlearning (Cao and Yang, S&P 2015)"
    needs: ClassVar[str] = "the remaining participants, for as long as the first time"

    def steps(self, request: Request) -> Steps:
        """Yield as many rounds as the federation once had, from the initial adapter."""
        start = request.federation.initial
        return (yield from federated_rounds(request, start, request.retain, request.rounds))


class FineTune(Executor):
    """Train on for a few rounds without the data, and hope that it fades."""

    source: ClassVar[str] = "catastrophic forgetting as a method (Golatkar et al., CVPR 2020)"
    needs: ClassVar[str] = "the remaining participants for some rounds"
    rounds: int = Field(default=2, ge=1, description="of training without the data")

    def steps(self, request: Request) -> Steps:
        """Yield the rounds."""
        return (yield from federated_rounds(request, request.adapter, request.retain, self.rounds))


class FedEraser(Executor):
    """Replay kept rounds, old steps' length in a new direction (Liu et al. 2021).

    Every ``interval``-th kept round is replayed from the initial adapter: the remaining
    participants train for one epoch, and each tensor moves by
    ``sqrt(interval) |old mean update| * new / |new|`` (their calibration, per layer; the
    square root stands for the rounds left out, whose directions differ).
    """

    source: ClassVar[str] = "Liu et al., IWQoS 2021"
    needs: ClassVar[str] = "kept updates; the remaining participants for short rounds"
    uses_history: ClassVar[bool] = True
    interval: int = Field(default=3, ge=1, description="of kept rounds, which to replay")
    rounds: int = Field(default=1, ge=0, description="of mending")

    def steps(self, request: Request) -> Steps:
        """Yield the replayed rounds."""
        if not request.history:
            raise UserError("federaser needs the updates of past rounds, and none were kept")
        settings = request.federation.settings.model_copy(update={"epochs": 1})
        adapter = request.federation.initial
        for past in request.history[:: self.interval]:
            rows = [row for row, k in enumerate(past.members.tolist()) if len(request.retain[k])]
            if not rows:
                continue
            members = past.members[rows].tolist()
            weights = normalised(np.array([len(request.retain[k]) for k in members], dtype=float))
            old = weighted_mean(past.updates[rows], past.reference, weights) - past.reference
            trained = yield Task(
                adapter.repeat(len(members), 1),
                [request.retain[k] for k in members],
                members,
                settings,
            )
            new = weighted_mean(trained, adapter, weights) - adapter
            step = calibrated(request.federation.layout, old, new)
            adapter = adapter + self.interval**0.5 * step
        return (yield from mending(request, adapter, self.rounds))


def calibrated(layout: AdapterLayout, old: Tensor, new: Tensor) -> Tensor:
    """Return ``|old| * new / |new|`` tensor by tensor, of (P,) changes."""
    lengths, step = layout.views(old[None]), new[None].clone()
    for name, view in layout.views(step).items():
        norm = float(view.norm())
        view *= float(lengths[name].norm()) / norm if norm > 0 else 0.0
    return step[0]


class Fused(Executor):
    """A sparse adapter trained over the old one without the data, and removable again (FUSED).

    The most telling modules are those in which participants' updates differ most from
    the global adapter; a random share of their numbers is trained and all others stay,
    so that the difference to the old adapter is sparse (Zhong et al. 2025).
    """

    source: ClassVar[str] = "Zhong et al., CVPR 2025"
    needs: ClassVar[str] = "the remaining participants for some rounds; kept updates help"
    rounds: int = Field(default=2, ge=1, description="of training without the data")
    modules: float = Field(default=0.5, gt=0, le=1, description="share of modules that learn")
    density: float = Field(default=0.5, gt=0, le=1, description="share of their numbers")

    def steps(self, request: Request) -> Steps:
        """Yield rounds in which only the sparse part moves."""
        mask = self.mask(request)

        def adjust(rows: Tensor, gradients: Tensor, members: object) -> None:
            gradients *= mask

        return (
            yield from federated_rounds(
                request, request.adapter, request.retain, self.rounds, adjust=adjust
            )
        )

    def mask(self, request: Request) -> Tensor:
        """Return which numbers of the adapter learn, (P,) of 0 and 1."""
        layout, rng = request.federation.layout, request.streams.generator("fused")
        spread = dict.fromkeys(layout.modules, 0.0)
        for past in request.history[-1:]:
            for name, view in layout.views(past.updates - past.reference).items():
                spread[_module(name)] += float((view - view.mean(0)).abs().mean())
        count = max(1, round(self.modules * len(spread)))
        chosen = set(sorted(spread, key=lambda m: -spread[m])[:count])
        mask = torch.zeros(1, layout.size)
        for name, view in layout.views(mask).items():
            if _module(name) in chosen:
                draws = rng.random(tuple(view.shape)) < self.density
                view.copy_(torch.from_numpy(draws))
        return mask[0]


def _module(name: str) -> str:
    return name.removeprefix("base_model.model.").rpartition(".lora_")[0]
