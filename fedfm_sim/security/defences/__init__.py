"""Aggregation rules that a server can defend with, by name."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.aggregation import AggregationRule

DEFENCES: Registry[type[AggregationRule]] = Registry(
    "defence",
    "fedfm_sim.defences",
    {
        "fedavg": "fedfm_sim.learning.aggregation:FedAvg",
        "multi-krum": "fedfm_sim.security.defences.multi_krum:MultiKrum",
    },
)

__all__ = ["DEFENCES", "AggregationRule"]
