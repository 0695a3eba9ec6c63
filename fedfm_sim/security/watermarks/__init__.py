"""Watermarks: who owns an adapter, and who leaked it."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.security.watermarks.protocol import Watermark, World, without_marks

WATERMARKS: Registry[type[Watermark]] = Registry(
    "watermark",
    "fedfm_sim.watermarks",
    {
        "none": "fedfm_sim.security.watermarks.protocol:Watermark",
        "dynamic-fingerprints": "fedfm_sim.security.watermarks.server_marks:DynamicFingerprints",
        "fedcip": "fedfm_sim.security.watermarks.cycling:FedCIP",
        "fedipr": "fedfm_sim.security.watermarks.client_marks:FedIPR",
        "fedsov": "fedfm_sim.security.watermarks.client_marks:FedSOV",
        "fedtracker": "fedfm_sim.security.watermarks.server_marks:FedTracker",
        "unique-triggers": "fedfm_sim.security.watermarks.server_marks:UniqueTriggers",
        "waffle": "fedfm_sim.security.watermarks.server_marks:Waffle",
    },
    base="fedfm_sim.security.watermarks.protocol:Watermark",
)

__all__ = ["WATERMARKS", "Watermark", "World", "without_marks"]
