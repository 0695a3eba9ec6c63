"""What a run spent of differential privacy."""

from __future__ import annotations

from typing import Any

from fedfm_sim.learning.trainer import sampling_rate
from fedfm_sim.security.privacy.accounting import epsilon
from fedfm_sim.security.privacy.protection import GaussianMechanism
from fedfm_sim.simulation.setting import Setting

#: The delta at which epsilon is stated.
DELTA = 1e-5


def privacy_spent(setting: Setting, rounds: int) -> dict[str, Any] | None:
    """Return epsilon after so many rounds, and what it is about; None without DP.

    DP-SGD protects examples: its epsilon is that of the smallest shard, whose examples are
    in most steps. The Gaussian mechanism protects participants, in the plain sum of all
    updates; a rule that weighs or leaves out some has less noise than the sum.
    """
    training, protection = setting.federation.settings, setting.protection
    if training.example_clip is not None:
        size = min(len(shard) for shard in setting.holdings.shards)
        steps = rounds * training.epochs * -(-size // training.batch_size)
        spent = epsilon(training.example_noise, steps, sampling_rate(size, training), DELTA)
        unit = "example"
    elif isinstance(protection, GaussianMechanism):
        spent, unit = epsilon(protection.noise_multiplier, rounds, 1.0, DELTA), "participant"
    else:
        return None
    # JSON has no infinity; without noise there is no bound.
    bound = spent if spent != float("inf") else None
    return {"epsilon": bound, "delta": DELTA, "adjacency": f"add or remove one {unit}"}
