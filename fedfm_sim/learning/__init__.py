"""The real federation: backbones, data, the batched LoRA trainer, aggregation, evaluation.

Knows nothing of money: `fedfm_sim.mechanisms` prices what is measured here.
"""
