"""Fixtures of the tests that train; only those that ask for one import torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fedfm_sim.learning.adapters import AdapterLayout
    from fedfm_sim.learning.backbone import Backbone
    from fedfm_sim.learning.datasets import SplitData

# Read when transformers and torch are imported. Tests need no network and never
# wait for one. Models this small gain nothing from threads, and lose much when
# another process has the second core.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes says more about the machine than about the code. Every run draws
# other examples; `pytest --hypothesis-profile thorough` draws many.
settings.register_profile("usual", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("usual")


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """Return the shipped digits-vit; whoever changes it must put it back."""
    from fedfm_sim.learning.backbone import load_backbone

    return load_backbone("digits-vit")


@pytest.fixture(scope="session")
def layout(backbone: Backbone) -> AdapterLayout:
    """Return the layout of the default LoRA settings on digits-vit."""
    from fedfm_sim.learning.adapters import LoraSettings, adapter_layout

    return adapter_layout(backbone, LoraSettings(rank=4, alpha=8.0))


@pytest.fixture(scope="session")
def digits() -> SplitData:
    """Return the digits in their four parts."""
    from fedfm_sim.learning.datasets.digits import load_digits_split

    return load_digits_split()


@pytest.fixture(scope="session")
def small_layout() -> AdapterLayout:
    """Return a layout of two modules of rank 2, scaling 1.5, for algebra without a model."""
    from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings

    shapes = {
        "base_model.model.one.lora_A.weight": (2, 3),
        "base_model.model.one.lora_B.weight": (4, 2),
        "base_model.model.two.lora_A.weight": (2, 5),
        "base_model.model.two.lora_B.weight": (2, 2),
    }
    return AdapterLayout(("one", "two"), shapes, LoraSettings(rank=2, alpha=3.0))
