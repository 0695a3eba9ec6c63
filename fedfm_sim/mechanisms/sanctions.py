"""Sanctions: audits, fines and deposits. How much of them deters: `theory.thresholds`."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.settings import Settings


class Sanctions(Settings):
    """What the server audits and what a violation costs.

    Attributes
    ----------
    audit_rate : float
        Probability that a participant is audited in a round, in [0, 1].
    audit_focus : float
        Share of the audits that go to the most suspect updates first, in [0, 1]; the
        rest is drawn by lot.
    tolerance : float
        Evidence above it is a violation, in the unit of the evidence.
    fine : float
        Money that a violator pays.
    deposit : float
        Money that a participant leaves in escrow while it takes part; a fine
        can be collected from it.
    bounty : float
        Money that a true report earns, out of the fine it led to.
    false_report_fee : float
        Money that a false report costs its author.
    audit_cost : float
        Money that one audit costs the server.
    watch_rate : float
        Probability that a sold copy of the model is found, in [0, 1].
    theft_fine : float
        Money that a participant owes when a found copy is traced to it.

    Raises
    ------
    UserError
        When the bounty is more than the fine: a participant could then earn
        by having itself reported.
    """

    audit_rate: float = Field(default=0.0, ge=0, le=1)
    audit_focus: float = Field(default=0.0, ge=0, le=1)
    tolerance: float = Field(default=0.0, ge=0)
    fine: float = Field(default=0.0, ge=0)
    deposit: float = Field(default=0.0, ge=0)
    bounty: float = Field(default=0.0, ge=0)
    false_report_fee: float = Field(default=0.0, ge=0)
    audit_cost: float = Field(default=0.0, ge=0)
    watch_rate: float = Field(default=0.0, ge=0, le=1)
    theft_fine: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _bounty_is_paid_by_the_fine(self) -> Self:
        if self.bounty > self.fine:
            raise UserError(
                f"the bounty ({self.bounty}) is paid out of the fine ({self.fine}) "
                "and cannot be more"
            )
        return self


def draw_audits(rate: float | Array, participants: int, rng: np.random.Generator) -> Mask:
    """Draw who is audited, independently of each other.

    Parameters
    ----------
    rate : float or (n,) array
        Probability of an audit, in [0, 1].
    participants : int
        Number of participants n.
    rng : numpy.random.Generator
        Source of the draw. The same draws are compared with whatever rate, so
        raising the rate only adds audits.

    Returns
    -------
    (n,) bool array

    Raises
    ------
    UserError
        When the rate is outside [0, 1].
    """
    for chance in np.unique(rate).tolist():
        check_probability("audit rate", chance)
    return rng.random(participants) < rate


def check_probability(name: str, value: float) -> None:
    """Raise `UserError` unless ``value`` lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"the {name} must lie in [0, 1], got {value}")
