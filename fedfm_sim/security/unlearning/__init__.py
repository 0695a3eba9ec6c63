"""Unlearning: making a federated model forget, measured against retraining."""

from fedfm_sim.core.registry import Registry
from fedfm_sim.security.unlearning.executor import Executor, Unlearned, execute_together
from fedfm_sim.security.unlearning.past_round import PastRound
from fedfm_sim.security.unlearning.request import Request

EXECUTORS: Registry[type[Executor]] = Registry(
    "unlearning executor",
    "fedfm_sim.executors",
    {
        "adapter-negation": "fedfm_sim.security.unlearning.editing:AdapterNegation",
        "distillation": "fedfm_sim.security.unlearning.editing:Distillation",
        "federaser": "fedfm_sim.security.unlearning.retraining:FedEraser",
        "fine-tune": "fedfm_sim.security.unlearning.retraining:FineTune",
        "fused": "fedfm_sim.security.unlearning.retraining:Fused",
        "gradient-ascent": "fedfm_sim.security.unlearning.ascent:GradientAscent",
        "multi-task": "fedfm_sim.security.unlearning.ascent:MultiTask",
        "projected-ascent": "fedfm_sim.security.unlearning.ascent:ProjectedAscent",
        "retrain": "fedfm_sim.security.unlearning.retraining:Retrain",
        "scrubbing": "fedfm_sim.security.unlearning.editing:Scrubbing",
    },
    base="fedfm_sim.security.unlearning.executor:Executor",
)

__all__ = ["EXECUTORS", "Executor", "PastRound", "Request", "Unlearned", "execute_together"]
