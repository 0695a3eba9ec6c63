"""The actions that every scenario knows by name, and the action set of each kind."""

from __future__ import annotations

from typing import Literal

from fedfm_sim.core.action import Action

Kind = Literal["honest", "semi-honest", "malicious"]
KINDS: tuple[Kind, ...] = ("honest", "semi-honest", "malicious")

#: What everybody is to play; what deviations and attacks bring is measured against it.
HONEST = "contribute"

ACTIONS: dict[str, Action] = {
    "contribute": Action(),
    "contribute-half": Action(share=0.5),
    "contribute-quarter": Action(share=0.25),
    "contribute-with-noise": Action(noise=1.0),
    "overbid": Action(markup=1.5),
    "underbid": Action(markup=0.7),
    "report": Action(report=True),
    "snoop": Action(snoop=True, effort=0.1),
    "free-ride": Action(attack="free-ride"),
    "label-flip": Action(attack="label-flip", effort=0.1),
    "backdoor": Action(attack="backdoor", effort=0.2),
    "sign-flip": Action(attack="sign-flip", effort=0.1),
    "gaussian": Action(attack="gaussian", effort=0.1),
    "inner-product": Action(attack="inner-product", effort=0.2),
    "little-is-enough": Action(attack="little-is-enough", effort=0.2),
    "neurotoxin": Action(attack="neurotoxin", effort=0.2),
    "steal": Action(sell=True, effort=0.1),
    "steal-and-wash": Action(sell=True, wash="fine-tune", effort=0.3),
    "sybil": Action(attack="sybil"),
    "min-max": Action(attack="min-max", effort=0.2),
    "min-sum": Action(attack="min-sum", effort=0.2),
    "stay-out": Action(share=0.0),
}

_PROTOCOL = ("contribute", "contribute-half", "contribute-quarter", "contribute-with-noise")

#: Honest participants choose how much to give; semi-honest ones may also look;
#: malicious ones may also break the protocol.
ACTION_SETS: dict[Kind, tuple[str, ...]] = {
    "honest": (*_PROTOCOL, "report", "stay-out"),
    "semi-honest": (*_PROTOCOL, "snoop", "stay-out"),
    "malicious": ("contribute", "free-ride", "label-flip", "backdoor", "snoop", "stay-out"),
}
