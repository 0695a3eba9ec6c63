"""What can be learnt about a participant's data from what it sends, and what protects it."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.security.privacy.leakage import LeakageMeasure
from fedfm_sim.security.privacy.protection import Protection

PROTECTIONS: Registry[type[Protection]] = Registry(
    "protection",
    "fedfm_sim.protections",
    {
        "none": "fedfm_sim.security.privacy.protection:Protection",
        "gaussian-mechanism": "fedfm_sim.security.privacy.protection:GaussianMechanism",
        "quantise": "fedfm_sim.security.privacy.protection:Quantise",
        "random-k": "fedfm_sim.security.privacy.protection:RandomK",
        "top-k": "fedfm_sim.security.privacy.protection:TopK",
    },
    base="fedfm_sim.security.privacy.protection:Protection",
)

LEAKAGE: Registry[type[LeakageMeasure]] = Registry(
    "leakage measure",
    "fedfm_sim.leakage",
    {
        "exposure": "fedfm_sim.security.privacy.secrets:Exposure",
        "likelihood-ratio": "fedfm_sim.security.privacy.membership:LikelihoodRatio",
        "property": "fedfm_sim.security.privacy.property_inference:PropertyInference",
        "loss-threshold": "fedfm_sim.security.privacy.membership:LossThreshold",
    },
    base="fedfm_sim.security.privacy.leakage:LeakageMeasure",
)

__all__ = ["LEAKAGE", "PROTECTIONS", "LeakageMeasure", "Protection"]
