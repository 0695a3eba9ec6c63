"""Attacks by name; each acts on the attacker's data, on its update, or on both."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.security.attacks.protocol import Attack, TriggerAttack, View

ATTACKS: Registry[type[Attack]] = Registry(
    "attack",
    "fedfm_sim.attacks",
    {
        "backdoor": "fedfm_sim.security.attacks.backdoor:Backdoor",
        "free-ride": "fedfm_sim.security.attacks.free_ride:FreeRide",
        "gaussian": "fedfm_sim.security.attacks.gaussian:Gaussian",
        "inner-product": "fedfm_sim.security.attacks.inner_product:InnerProduct",
        "little-is-enough": "fedfm_sim.security.attacks.little_is_enough:LittleIsEnough",
        "min-max": "fedfm_sim.security.attacks.min_max:MinMax",
        "min-sum": "fedfm_sim.security.attacks.min_max:MinSum",
        "label-flip": "fedfm_sim.security.attacks.label_flip:LabelFlip",
        "neurotoxin": "fedfm_sim.security.attacks.neurotoxin:Neurotoxin",
        "sybil": "fedfm_sim.security.attacks.sybil:Sybil",
        "sign-flip": "fedfm_sim.security.attacks.sign_flip:SignFlip",
    },
    base="fedfm_sim.security.attacks.protocol:Attack",
)

__all__ = ["ATTACKS", "Attack", "TriggerAttack", "View"]
