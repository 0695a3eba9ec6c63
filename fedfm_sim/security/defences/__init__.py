"""Aggregation rules that a server can defend with, by name."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.aggregation import AggregationRule

DEFENCES: Registry[type[AggregationRule]] = Registry(
    "defence",
    "fedfm_sim.defences",
    {
        "fedavg": "fedfm_sim.learning.aggregation:FedAvg",
        "fedprox": "fedfm_sim.learning.proximal:FedProx",
        "exact": "fedfm_sim.learning.product_aggregation:Exact",
        "frozen-a": "fedfm_sim.learning.product_aggregation:FrozenA",
        "bulyan": "fedfm_sim.security.defences.bulyan:Bulyan",
        "centred-clipping": "fedfm_sim.security.defences.clipping:CentredClipping",
        "divide-and-conquer": "fedfm_sim.security.defences.spectral:DivideAndConquer",
        "flame": "fedfm_sim.security.defences.flame:Flame",
        "fltrust": "fedfm_sim.security.defences.fltrust:FLTrust",
        "foolsgold": "fedfm_sim.security.defences.foolsgold:FoolsGold",
        "geometric-median": "fedfm_sim.security.defences.geometric_median:GeometricMedian",
        "krum": "fedfm_sim.security.defences.krum:Krum",
        "median": "fedfm_sim.security.defences.trimmed_mean:Median",
        "multi-krum": "fedfm_sim.security.defences.multi_krum:MultiKrum",
        "norm-clipping": "fedfm_sim.security.defences.clipping:NormClipping",
        "secure-sum": "fedfm_sim.security.defences.secure_sum:SecureSum",
        "trimmed-mean": "fedfm_sim.security.defences.trimmed_mean:TrimmedMean",
    },
    base="fedfm_sim.learning.aggregation:AggregationRule",
)

__all__ = ["DEFENCES", "AggregationRule"]
