"""What the marks of a run prove, and what its thefts say of deterrence."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from fedfm_sim.mechanisms.theory.theft import theft_threshold
from fedfm_sim.mechanisms.theory.thresholds import deterrence_rate
from fedfm_sim.simulation.setting import Setting


def marks_read(setting: Setting) -> dict[str, Any] | None:
    """Return how well owners can claim the final adapter; None without a watermark.

    ``detection`` is the mean share of bits or triggers that are as the keys say, ``standing``
    the share of claims that stand.
    """
    claims = setting.watermark.claims(setting.federation.adapter)
    if not claims:
        return None
    return {
        "claims": len(claims),
        "standing": float(np.mean([own.stands for own in claims])),
        "detection": float(np.mean([own.detection for own in claims])),
        "p_value": float(max(own.p_value for own in claims)),
    }


def theft(setting: Setting, participants: pd.DataFrame) -> dict[str, Any] | None:
    """Return from which watch rate on selling would not have paid; None without a sale.

    Closed form and replayed lotteries over the sales of the run: see `theft_threshold`.
    ``threshold`` is for one who sells always, ``last`` for one who sells the dearest copy only.
    """
    sales = participants[participants["sold"].notna()] if len(participants) else participants
    if not len(sales):
        return None
    table = setting.scenario.action_table
    efforts = np.array([table[name].effort for name in sales["action"]])
    gains = sales["sold"].to_numpy(dtype=np.float64) - efforts
    fine = setting.scenario.sanctions.theft_fine
    rng = setting.streams.generator("theft")
    found = theft_threshold(gains, sales["traced"].to_numpy(dtype=bool), fine, rng)

    def number(value: float) -> float | None:
        return value if isfinite(value) else None  # JSON has no infinity

    return {
        "sales": len(sales),
        "gain": found.gain,
        "traced": found.traced,
        "fine": fine,
        "dearest": float(gains.max()),
        "watch_rate": setting.scenario.sanctions.watch_rate,
        "threshold": number(found.closed_form),
        "last": number(deterrence_rate(float(gains.max()), fine, found.traced, confiscate=False)),
        "simulated": number(found.simulated),
        "low": number(found.low),
        "high": number(found.high),
    }
