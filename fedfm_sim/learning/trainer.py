"""The batched LoRA trainer: all participants' adapters in one pass over one frozen model.

The frozen product is shared by everyone, so K adapters train on a batch of
shape (K * B, ...): one frozen matrix product and two batched ones for the
adapters. The objective is the sum over participants of each one's mean loss,
so their gradients, clipping and optimiser states stay independent. It equals
a loop over plain peft (`fedfm_sim.learning.reference`), which a test holds to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone, example_losses, module_at
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.lanes import in_lanes

if TYPE_CHECKING:
    from dp_accounting import DpEvent


class TrainingSettings(Settings):
    """Local training of one round."""

    #: Whose privacy `spends` is about.
    unit: ClassVar[str] = "example"
    #: How units come into a step, and what is added.
    scheme: ClassVar[str] = (
        "Poisson sampling: each step draws every example by itself, and adds Gaussian noise"
    )

    epochs: int = Field(default=2, ge=1, le=1000, description="passes over the shard in a round")
    batch_size: int = Field(default=16, ge=1, le=4096, description="examples in a step")
    learning_rate: float = Field(default=5e-3, gt=0, description="of the optimizer")
    optimizer: Literal["adamw", "sgd"] = Field(
        default="adamw", description="of local training, begun anew in each round"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled; AdamW only")
    clip_norm: float = Field(default=1.0, gt=0, description="L2 norm of a participant's gradient")
    proximal: float = Field(default=0.0, ge=0, description="mu of FedProx (Li et al. 2020)")
    example_clip: float | None = Field(
        default=None, gt=0, description="bound on each example's gradient; turns on DP-SGD"
    )
    example_noise: float = Field(
        default=0.0, ge=0, description="noise of DP-SGD over the bound (Abadi et al. 2016)"
    )
    freeze_a: bool = Field(default=False, description="train B alone, FFA-LoRA (Sun et al. 2024)")

    def spends(self, examples: int) -> DpEvent | None:
        """Return what training on so many examples spends of one's privacy; None without DP-SGD.

        Every step draws each example with the same chance, apart from all others, and adds
        noise to the sum, whoever was drawn (Abadi et al. 2016). Other private training is a
        subclass that a rule prescribes, with an event of its own.
        """
        if self.example_clip is None:
            return None
        from dp_accounting import GaussianDpEvent, NoOpDpEvent, PoissonSampledDpEvent
        from dp_accounting import SelfComposedDpEvent as Repeated

        if not examples:
            return NoOpDpEvent()
        noisy = GaussianDpEvent(self.example_noise)
        step = PoissonSampledDpEvent(sampling_rate(examples, self), noisy)
        return Repeated(step, private_steps(examples, self))


@dataclass(frozen=True)
class Trained:
    """What local training gave.

    Attributes
    ----------
    adapters : Tensor
        (K, P) adapters after training.
    losses : (K,) array
        Mean training loss of the last epoch, nats; NaN for a participant with no step.
    samples : (K,) array
        Examples processed, epochs included.
    """

    adapters: Tensor
    losses: Array
    samples: Index


Plan = list[Index]

#: Changes the (k, P) gradients of the second argument in place, given the (k, P)
#: adapters as they are and which of the K adapters these are, (k,): a penalty on the
#: weights adds its own gradient, a mask sets to zero what is to stay.
Adjust = Callable[[Tensor, Tensor, Index], None]


def batch_plan(count: int, settings: TrainingSettings, rng: np.random.Generator) -> Plan:
    """Return the example indices of every local step, reshuffled each epoch."""
    size = settings.batch_size
    plan: Plan = []
    if settings.example_clip is not None and count:
        return _poisson_plan(count, settings, rng)
    for _ in range(settings.epochs if count else 0):
        order = rng.permutation(count)
        plan += [order[start : start + size] for start in range(0, count, size)]
    return plan


def _poisson_plan(count: int, settings: TrainingSettings, rng: np.random.Generator) -> Plan:
    """Return as many steps as without DP, each example in each with the same chance."""
    rate = sampling_rate(count, settings)
    steps = range(private_steps(count, settings))
    return [np.flatnonzero(rng.random(count) < rate) for _ in steps]


def private_steps(count: int, settings: TrainingSettings) -> int:
    """Return how many steps of DP-SGD a participant with ``count`` examples takes in a round."""
    return settings.epochs * -(-count // settings.batch_size)


def sampling_rate(count: int, settings: TrainingSettings) -> float:
    """Return the chance of an example of ``count`` to be in a step of DP-SGD."""
    return min(1.0, settings.batch_size / count)


class StackedLinear(nn.Module):
    """A frozen Linear or Conv1D layer under K adapters, the batch holding K equal blocks."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.scaling = 1.0
        # Lanes of one training share the frozen model, each with adapters of its own.
        self._own = local()

    @property
    def factors(self) -> tuple[Tensor, Tensor] | None:
        """A (K, r, in) and B (K, out, r) of this thread; None leaves the base as it is."""
        return getattr(self._own, "factors", None)

    @factors.setter
    def factors(self, factors: tuple[Tensor, Tensor] | None) -> None:
        self._own.factors = factors

    @property
    def weight(self) -> Tensor:
        """The frozen weight, for models that look at its type or place."""
        return self.base.weight  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        """Return ``W x + b + s B_k A_k x`` for the rows of block k."""
        output: Tensor = self.base(x)
        if self.factors is None:
            return output
        a, b = self.factors
        rows = x.reshape(len(a), -1, x.shape[-1])
        update = torch.bmm(torch.bmm(rows, a.transpose(1, 2)), b.transpose(1, 2))
        return output + self.scaling * update.view_as(output)


@contextmanager
def stacked(backbone: Backbone, layout: AdapterLayout) -> Iterator[dict[str, StackedLinear]]:
    """Put `StackedLinear` layers into the backbone for the time of the block."""
    layers: dict[str, StackedLinear] = {}
    try:
        for module in layout.modules:
            parent, name = module_at(backbone.model, module)
            layer = StackedLinear(getattr(parent, name))
            layer.scaling = layout.scaling
            layers[module] = layer
            setattr(parent, name, layer)
        yield layers
    finally:
        for module, layer in layers.items():
            parent, name = module_at(backbone.model, module)
            setattr(parent, name, layer.base)


class _Optimizer:
    """AdamW or SGD on the rows of a matrix; a row that is not active keeps still."""

    def __init__(self, settings: TrainingSettings, shape: torch.Size) -> None:
        self.settings = settings
        self.mean = torch.zeros(shape)
        self.square = torch.zeros(shape)

    def step(self, rows: Tensor, gradient: Tensor, number: int) -> None:
        """Update ``rows`` (k, P), the first k of the matrix, in place; steps count from 1."""
        settings, active = self.settings, len(rows)
        norms = gradient.norm(dim=1, keepdim=True)
        gradient *= (settings.clip_norm / (norms + 1e-6)).clamp(max=1.0)
        if settings.optimizer == "sgd":
            rows -= settings.learning_rate * gradient
            return
        beta1, beta2, epsilon = ADAM
        rows *= 1 - settings.learning_rate * settings.weight_decay
        mean = self.mean[:active].lerp_(gradient, 1 - beta1)
        square = self.square[:active].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = (square / (1 - beta2**number)).sqrt_().add_(epsilon)
        rows.addcdiv_(mean, scale, value=-settings.learning_rate / (1 - beta1**number))


#: AdamW's beta1, beta2 and epsilon; epsilon is large enough that gradients at
#: the level of rounding error do not become steps of full size.
ADAM = (0.9, 0.999, 1e-5)

#: Examples per backward pass when each has a gradient of its own.
GRADIENT_ROWS = 64


def train(
    backbone: Backbone,
    layout: AdapterLayout,
    adapters: Tensor,
    shards: Sequence[Examples],
    settings: TrainingSettings,
    generators: Sequence[np.random.Generator],
    adjust: Adjust | None = None,
) -> Trained:
    """Train K adapters, each on its own shard, in one batched pass.

    Parameters
    ----------
    adapters : Tensor
        (K, P) starting points; rows may differ (cells of a game, coalitions).
    shards : sequence of K Examples
        Empty shards are allowed: that row returns unchanged.
    generators : sequence of K generators
        Each shuffles its own participant's batches.
    adjust : callable, optional
        Changes the gradients of a step before they are clipped.
    """
    plans = [
        batch_plan(len(shard), settings, rng) for shard, rng in zip(shards, generators, strict=True)
    ]
    # Longest first: at every step the participants still training are a prefix.
    order = sorted(range(len(plans)), key=lambda k: -len(plans[k]))
    rows = adapters[order].clone()
    losses = np.full((len(order), max(map(len, plans), default=0)), np.nan)
    with stacked(backbone, layout) as layers:

        def train_lane(lane: slice) -> None:
            own, told = order[lane], losses[lane]
            rows[lane] = _train_rows(
                backbone,
                layout,
                layers,
                rows[lane].clone(),
                [shards[k] for k in own],
                [plans[k] for k in own],
                [generators[k] for k in own],
                settings,
                told,
                adjust and _in_order(adjust, own),
            )

        in_lanes(train_lane, len(order))
    trained = torch.empty_like(rows)
    trained[order] = rows
    last_epoch = np.full(len(order), np.nan)
    for position, k in enumerate(order):
        steps = len(plans[k])
        if steps:
            weights = np.array([len(batch) for batch in plans[k]], dtype=np.float64)
            tail = slice(steps - steps // settings.epochs, steps)
            last_epoch[k] = np.average(losses[position, tail], weights=weights[tail])
    samples = np.array([len(shard) * settings.epochs for shard in shards], dtype=np.int64)
    return Trained(trained, last_epoch, samples)


def _in_order(adjust: Adjust, order: Sequence[int]) -> Adjust:
    """Return ``adjust`` for rows that stand in ``order``."""
    members = np.array(order, dtype=np.int64)

    def ordered(rows: Tensor, gradients: Tensor, positions: Index) -> None:
        adjust(rows, gradients, members[positions])

    return ordered


def _train_rows(
    backbone: Backbone,
    layout: AdapterLayout,
    layers: dict[str, StackedLinear],
    rows: Tensor,
    shards: Sequence[Examples],
    plans: Sequence[Plan],
    generators: Sequence[np.random.Generator],
    settings: TrainingSettings,
    losses: Array,
    adjust: Adjust | None,
) -> Tensor:
    """Train rows (k, P) in place, note the losses (k, steps), and return the rows."""
    steps = [len(plan) for plan in plans]
    if not any(steps):
        return rows
    pool = Examples.concatenate(shards)
    offsets = np.cumsum([0] + [len(shard) for shard in shards[:-1]])
    optimizer = _Optimizer(settings, rows.shape)
    starts, frozen = rows.clone(), layout.positions_of_a
    for step in range(max(steps)):
        active = sum(count > step for count in steps)
        batches = [plans[k][step] + offsets[k] for k in range(active)]
        index, weights = _pad(batches)
        batch = pool.select(index.ravel())
        if settings.example_clip is None:
            each, flat = _mean_gradients(backbone, layout, layers, rows[:active], batch, weights)
        else:
            sizes = np.array([len(shard) for shard in shards[:active]])
            each, flat = _private_gradients(
                backbone, layout, layers, rows[:active], batch, weights, settings, sizes, generators
            )
        if settings.proximal:
            flat += settings.proximal * (rows[:active] - starts[:active])
        if adjust is not None:
            adjust(rows[:active], flat, np.arange(active))
        if settings.freeze_a:
            flat[:, frozen] = 0
        optimizer.step(rows[:active], flat, step + 1)
        if settings.freeze_a:  # against weight decay
            rows[:active, frozen] = starts[:active, frozen]
        losses[:active, step] = (each.view(active, -1) * weights).sum(1).numpy()
    return rows


def _mean_gradients(
    backbone: Backbone,
    layout: AdapterLayout,
    layers: dict[str, StackedLinear],
    rows: Tensor,
    batch: Examples,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the losses (k B,) and each row's gradient (k, P) of its weighted loss."""
    active = len(rows)
    views = {n: v.detach().requires_grad_() for n, v in layout.views(rows).items()}
    for module in layout.modules:
        layers[module].factors = layout.pair(views, module)
    each = example_losses(backbone.model(**batch.inputs).logits, batch.labels)
    means = (each.view(active, -1) * weights).sum(1)
    # A layer that the model does not use, such as a pooler, has a gradient of 0.
    gradients = torch.autograd.grad(
        means.sum(), list(views.values()), allow_unused=True, materialize_grads=True
    )
    return each.detach(), torch.cat([g.reshape(active, -1) for g in gradients], dim=1)


def _private_gradients(
    backbone: Backbone,
    layout: AdapterLayout,
    layers: dict[str, StackedLinear],
    rows: Tensor,
    batch: Examples,
    weights: Tensor,
    settings: TrainingSettings,
    sizes: Index,
    generators: Sequence[np.random.Generator],
) -> tuple[Tensor, Tensor]:
    """Return the losses (k B,) and DP-SGD's gradient (k, P) (Abadi et al. 2016).

    Each example's gradient is cut to the bound C; their sum gets noise of standard
    deviation ``example_noise C`` and is divided by the expected batch.
    """
    active, width = weights.shape
    own = rows.repeat_interleave(width, 0)  # a row of its own for every example
    losses, gradients = _mean_gradients(
        backbone, layout, layers, own, batch, torch.ones(active * width, 1)
    )
    gradients = gradients.nan_to_num(0.0, 0.0, 0.0)  # one bad example must not show in the sum
    bound = settings.example_clip or 0.0
    scale = (bound / gradients.norm(dim=1).clamp(min=1e-30)).clamp(max=1.0)
    scale *= (weights.reshape(-1) > 0).float()
    sums = (gradients * scale[:, None]).view(active, width, -1).sum(1)
    for row, rng in enumerate(generators[:active]):
        noise = torch.from_numpy(rng.standard_normal(sums.shape[1], dtype=np.float32))
        sums[row] += settings.example_noise * bound * noise
    expected = np.array([count * sampling_rate(int(count), settings) for count in sizes])
    return losses, sums / torch.from_numpy(expected.astype(np.float32))[:, None]


def _pad(batches: Sequence[Index]) -> tuple[Index, Tensor]:
    """Return (k, B) indices and the weights that make each row's sum its batch mean."""
    width = max(1, *map(len, batches))
    index = np.zeros((len(batches), width), dtype=np.int64)
    weights = np.zeros((len(batches), width), dtype=np.float32)
    for row, batch in enumerate(batches):
        index[row, : len(batch)] = batch
        if len(batch):  # a step of DP-SGD may draw nobody
            index[row, len(batch) :] = batch[0]
            weights[row, : len(batch)] = 1 / len(batch)
    return index, torch.from_numpy(weights)


def example_gradients(
    backbone: Backbone, layout: AdapterLayout, adapter: Tensor, examples: Examples
) -> Tensor:
    """Return the gradient of each of N examples' loss by the (P,) adapter, (N, P).

    Every example gets a row of its own of the same adapter, so that one backward
    pass gives as many gradients as there are rows. Memory is N x P float32.
    """
    gradients = torch.empty(len(examples), layout.size)
    with stacked(backbone, layout) as layers:
        for start in range(0, len(examples), GRADIENT_ROWS):
            batch = examples.select(slice(start, start + GRADIENT_ROWS))
            rows = adapter.repeat(len(batch), 1).requires_grad_()
            views = layout.views(rows)
            for module in layout.modules:
                layers[module].factors = layout.pair(views, module)
            each = example_losses(backbone.model(**batch.inputs).logits, batch.labels)
            (gradient,) = torch.autograd.grad(each.sum(), [rows])
            gradients[start : start + len(batch)] = gradient
    return gradients
