"""How good a model is, and how far an attack's trigger works on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from fedfm_sim.core.arrays import Array
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.security.attacks import TriggerAttack


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Measures of adapters over the participants' domains.

    Attributes
    ----------
    federation : Federation
        Its backbone and initial adapter.
    test : Examples
    reference_trigger : TriggerAttack
        The trigger by which every run's attack success is measured.
    """

    federation: Federation
    test: Examples
    reference_trigger: TriggerAttack
    _base_rates: dict[TriggerAttack, float] = field(default_factory=dict, repr=False)

    def accuracies(self, adapters: Tensor) -> Array:
        """Return the test accuracy of (M, P) adapters, (M,)."""
        return self.federation.evaluate(adapters, self.test).accuracy(self.test.labels)

    @cached_property
    def base_accuracy(self) -> float:
        """The base model's test accuracy."""
        return float(self.accuracies(self.federation.initial[None])[0])

    def trigger_rates(self, adapters: Tensor, attack: TriggerAttack) -> Array:
        """Return how often triggered test examples get the attacker's answer, (M,)."""
        triggered = attack.triggered_test(self.test)
        return self.federation.evaluate(adapters, triggered).accuracy(triggered.labels)

    def base_trigger_rate(self, attack: TriggerAttack) -> float:
        """Return the trigger's rate on the base model, measured once for each attack."""
        if attack not in self._base_rates:
            rates = self.trigger_rates(self.federation.initial[None], attack)
            self._base_rates[attack] = float(rates[0])
        return self._base_rates[attack]
