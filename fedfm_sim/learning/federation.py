"""One federation: a frozen backbone, the current global adapter, and local training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.learning import trainer
from fedfm_sim.learning.adapters import (
    AdapterLayout,
    LoraSettings,
    adapter_layout,
    initial_adapter,
)
from fedfm_sim.learning.aggregation import weighted_mean
from fedfm_sim.learning.backbone import Backbone, flop_counter
from fedfm_sim.learning.evaluation import Evaluation, evaluate, evaluate_each
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import Adjust, Trained, TrainingSettings


@dataclass
class Federation:
    """The learning side of a simulation; money is unknown here.

    Attributes
    ----------
    backbone : Backbone
    layout : AdapterLayout
    settings : TrainingSettings
    adapter : Tensor
        (P,) the current global adapter.
    initial : Tensor
        (P,) the adapter of the base model, whose B is zero.
    previous : Tensor or None
        (P,) the global adapter before the last round.
    """

    backbone: Backbone
    layout: AdapterLayout
    settings: TrainingSettings
    adapter: Tensor
    initial: Tensor
    previous: Tensor | None = None
    _flops: float | None = field(default=None, repr=False)

    @classmethod
    def create(
        cls, backbone: Backbone, lora: LoraSettings, settings: TrainingSettings, seed: int
    ) -> Federation:
        """Return a federation at peft's initial adapter."""
        layout = adapter_layout(backbone, lora)
        initial = initial_adapter(backbone, layout, seed)
        return cls(backbone, layout, settings, initial, initial)

    def advance(self, adapter: Tensor) -> None:
        """Make ``adapter`` (P,) the global one."""
        self.previous, self.adapter = self.adapter, adapter

    def train(
        self,
        shards: Sequence[Examples],
        generators: Sequence[np.random.Generator],
        starts: Tensor | None = None,
        settings: TrainingSettings | None = None,
        adjust: Adjust | None = None,
    ) -> Trained:
        """Train one adapter per shard, from the global one or from ``starts`` (K, P).

        ``settings`` are the federation's own unless given; ``adjust`` as in `trainer.train`.
        """
        rows = self.adapter.repeat(len(shards), 1) if starts is None else starts
        return trainer.train(
            self.backbone,
            self.layout,
            rows,
            shards,
            settings or self.settings,
            generators,
            adjust,
        )

    def evaluate(self, adapters: Tensor, examples: Examples) -> Evaluation:
        """Evaluate (M, P) adapters on the same examples."""
        return evaluate(self.backbone, self.layout, adapters, examples)

    def evaluate_each(self, jobs: Sequence[tuple[Tensor, Examples]]) -> list[Evaluation]:
        """Evaluate (M, P) adapters on examples of their own, for each of several jobs."""
        return evaluate_each(self.backbone, self.layout, jobs)

    def training_flops(self, example: Examples) -> float:
        """Return the floating-point operations of one training example, counted once."""
        if self._flops is None:
            one = example.select(slice(0, 1))
            with flop_counter() as counter:
                trainer.example_gradients(self.backbone, self.layout, self.adapter, one)
            self._flops = float(counter.get_total_flops())
        return self._flops

    def round_game(
        self, updates: Tensor, weights: Array, validation: Examples, measure: str
    ) -> CoalitionGame:
        """Return the coalition game of one round, reconstructed from its updates.

        ``v(S)`` is the validation measure of the model that the members of S
        alone would have made: the weighted mean of their updates, at the
        weights the rule gave them; the empty coalition keeps the old model
        (one-round reconstruction, Song et al. 2019).

        Parameters
        ----------
        updates : Tensor
            (n, P), a participant that sent nothing holding the global adapter.
        weights : (n,) array
            Aggregation weights; 0 for those that sent nothing or were rejected.
        measure : str
            "accuracy", or "likelihood": minus the mean loss, in nats.
        """
        reference, players = self.adapter, len(updates)

        def values(masks: Masks) -> Values:
            members = (masks[:, None] >> np.arange(players)) & 1
            parts = members * weights
            totals = parts.sum(1, keepdims=True)
            shares = np.divide(parts, totals, out=np.zeros_like(parts), where=totals > 0)
            result = self.evaluate(weighted_mean(updates, reference, shares), validation)
            return measure_of(result, validation, measure)

        return CoalitionGame(players, values)


def measure_of(result: Evaluation, examples: Examples, measure: str) -> Array:
    """Return what each of M evaluated models is worth, (M,).

    ``measure`` is "accuracy", or "likelihood": minus the mean loss, in nats.
    """
    if measure == "accuracy":
        return result.accuracy(examples.labels)
    return np.asarray(-result.losses.mean(axis=1, dtype=np.float64))
