"""What is listed can be played as it is, in one tiny scenario, or the error names the keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fedfm_sim.agents.policies import POLICIES
from fedfm_sim.learning.backbone import BACKBONES
from fedfm_sim.learning.datasets import DATASETS
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.auditing.population import POPULATIONS
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.scenarios.loader import load_scenario
from fedfm_sim.security.attacks import ATTACKS
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS
from fedfm_sim.security.unlearning import EXECUTORS
from fedfm_sim.security.watermarks import WATERMARKS
from fedfm_sim.security.watermarks.removal import REMOVALS
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.setting import Setting

TINY = [
    *("rounds=1", "participants.semi_honest=0", "participants.malicious=2", "lora.rank=2"),
    *("training.epochs=1", "training.batch_size=64", "deviations.rounds=0"),
    *("contribution.budget=100", "contribution.every=0", "contribution.examples=10"),
    'lora.targets=["classifier"]',
]


def entries() -> Iterator[tuple[str, str, list[str]]]:
    """Iterate over the slots of a scenario and what can be put into them."""
    for slot, registry in (
        *(("mechanism", MECHANISMS), ("defence", DEFENCES), ("protection", PROTECTIONS)),
        *(("leakage", LEAKAGE), ("watermark", WATERMARKS)),
    ):
        for name in registry:
            yield slot, name, [f"{slot}={name}"]
    for name in SCHEMES:
        yield "scheme", name, ["contribution.every=1", f"contribution.schemes=['{name}']"]
    for name in POLICIES:
        yield "policies", name, [f"policies.malicious={name}"]
    for name in ATTACKS:
        yield (
            "attack",
            name,
            [
                f"actions.mine.attack={name}",
                "action_sets.malicious=['mine']",
                "policies.malicious={name='fixed', action='mine'}",
            ],
        )
    for name in REMOVALS:
        yield (
            "removal",
            name,
            [
                f"actions.mine={{sell=true, wash='{name}'}}",
                "action_sets.malicious=['mine']",
                "policies.malicious={name='fixed', action='mine'}",
            ],
        )


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting.create(load_scenario("quickstart", TINY), 0)


@pytest.mark.slow
@pytest.mark.parametrize(("slot", "name", "overrides"), list(entries()))
def test_what_is_listed_can_be_played(
    slot: str, name: str, overrides: list[str], setting: Setting
) -> None:
    scenario = load_scenario("quickstart", [*TINY, *overrides])
    model = FederationModel(scenario, 0, like=setting)
    model.step()
    rounds, participants, _ = model.tables()
    assert len(rounds) == 1
    assert len(participants) == 10
    assert np.isfinite(participants["utility"]).all()
    assert np.isfinite(model.adapter.numpy()).all()


def test_every_registry_of_a_scenario_is_listed_here() -> None:
    slots = {slot for slot, _, _ in entries()}
    assert slots == {
        *("mechanism", "defence", "protection", "leakage", "watermark", "scheme", "policies"),
        *("attack", "removal"),
    }
    # Backbones and data are in test_fitting, populations and executors in tests of their own.
    assert set(BACKBONES) >= {"digits-vit", "notes-llama"}
    assert set(DATASETS) >= {"digits", "notes"}
    assert set(POPULATIONS)
    assert set(EXECUTORS)
