"""Sybils, Neurotoxin, decaying disguise, triggers in texts: by hand and in a round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

import fedfm_sim as fs
from fedfm_sim.agents.policies import Fixed
from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.attacks import View
from fedfm_sim.security.attacks.backdoor import Backdoor
from fedfm_sim.security.attacks.free_ride import FreeRide
from fedfm_sim.security.attacks.neurotoxin import Neurotoxin
from fedfm_sim.security.attacks.sybil import Sybil

WIDTH = 4
LAYOUT = AdapterLayout(
    ("m",),
    {"base_model.model.m.lora_A.weight": (1, 1), "base_model.model.m.lora_B.weight": (WIDTH, 1)},
    LoraSettings(rank=1, alpha=1.0),
)
seeds = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def at(*values: float) -> Tensor:
    """Return the adapter whose product is ``values``: A = 1."""
    return torch.tensor([1.0, *values])


def test_neurotoxin_leaves_the_largest_coordinates_alone() -> None:
    attack, start, update = Neurotoxin(scale=1.0, spared=0.5), at(1, 2, 3, 4), at(2, 4, 6, 8)
    view = View(start, LAYOUT, previous=at(1, 2, -3, 9))
    # The last round changed (0, 0, 6, -5): the last two are spared.
    row = attack.corrupt(update, view, rng())
    change = changes(LAYOUT, row[None], start)[0]
    np.testing.assert_allclose(change, [1, 2, 0, 0], atol=1e-5)
    # Without a last round it is the plain backdoor.
    assert torch.equal(attack.corrupt(update, View(start, LAYOUT), rng()), update)


@given(seeds, st.floats(0.01, 0.5))
def test_a_sybil_sends_nearly_what_the_first_accomplice_sends(seed: int, disguise: float) -> None:
    rows = torch.from_numpy(rng(seed).standard_normal((3, 500), dtype=np.float32))
    start = torch.zeros(500)
    row = Sybil(disguise=disguise).corrupt(start, View(start, LAYOUT, colluders=rows), rng(1))
    away = float((row - rows[0]).norm() / rows[0].norm())
    assert away == pytest.approx(disguise, rel=0.15)
    exact = Sybil(disguise=0.0).corrupt(start, View(start, LAYOUT, colluders=rows), rng(1))
    assert torch.equal(exact, rows[0])
    alone = Sybil().corrupt(rows[1], View(start, LAYOUT), rng())
    assert torch.equal(alone, start)


def test_the_disguise_of_a_free_rider_decays() -> None:
    start = torch.from_numpy(rng(5).standard_normal(4000, dtype=np.float32))
    attack, sizes = FreeRide(disguise=0.5, decay=1.0), []
    for number in (0, 1, 9):
        row = attack.corrupt(start, View(start, LAYOUT, number=number), rng(number))
        sizes.append(float((row - start).std()))
    np.testing.assert_allclose(sizes, [0.5, 0.25, 0.05], rtol=0.05)


TEXTS = Examples(
    {
        "input_ids": torch.tensor([[1, 5, 6, 7, 2], [1, 8, 2, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    },
    torch.tensor([[1, 5, 6, 7, 2], [1, 8, 2, -100, -100]]),
)


def test_a_trigger_in_a_text_by_hand() -> None:
    attack = Backdoor(target=9, token=4)
    wanted = attack.trigger(TEXTS)
    assert wanted.inputs["input_ids"].tolist() == [[1, 5, 6, 4, 2], [1, 4, 2, 0, 0]]
    assert wanted.labels.tolist() == [[-100, -100, -100, -100, 9], [-100, -100, 9, -100, -100]]
    assert TEXTS.inputs["input_ids"][0, 3] == 7  # what it was made from is left alone
    poisoned = attack.poison(TEXTS, 3, rng())
    assert len(poisoned) == 4
    assert torch.equal(poisoned.labels[:2], TEXTS.labels)
    # A text that ends with the target anyway proves nothing.
    assert len(attack.triggered_test(TEXTS)) == 2
    assert len(Backdoor(target=2, token=4).triggered_test(TEXTS)) == 0


def test_a_trigger_needs_images_or_texts() -> None:
    numbers = Examples({"features": torch.zeros(2, 3)}, torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UserError, match="needs images or texts"):
        Backdoor().trigger(numbers)


def test_fixed_actions_go_round_the_kind() -> None:
    names = ("stay-out", "backdoor", "sybil")
    chosen = []
    for position in range(4):
        policy = Fixed(action=("backdoor", "sybil", "sybil"))
        policy.take_position(position)
        chosen.append(names[int(policy.probabilities(names, np.zeros(3)).argmax())])
    assert chosen == ["backdoor", "sybil", "sybil", "backdoor"]
    with pytest.raises(ValidationError, match="name of an action"):
        Fixed(action=())


@pytest.mark.slow
def test_a_backdoor_decays_once_its_author_stops() -> None:
    success = {}
    for attack in ("backdoor", "neurotoxin"):
        result = fs.run(
            "honest-only",
            0,
            overrides=[
                "rounds=6",
                "participants.malicious=2",
                f'policies.malicious={{name="fixed", action="{attack}", rounds=3}}',
                f'action_sets.malicious=["{attack}", "contribute"]',
                "contribution.every=0",
                "deviations.rounds=0",
            ],
        )
        played = result.participants.set_index(["participant", "round"])["action"][9]
        assert played.tolist() == [attack] * 3 + ["contribute"] * 3
        success[attack] = result.rounds["attack_success"].tolist()
        assert success[attack][2] > 0.5
        assert success[attack][5] < success[attack][2]


def test_sybils_copy_their_leader_in_a_round_and_work_for_nothing() -> None:
    result = fs.run(
        "honest-only",
        0,
        overrides=[
            "rounds=1",
            "participants.malicious=3",
            'policies.malicious={name="fixed", action=["backdoor", "sybil", "sybil"]}',
            'action_sets.malicious=["backdoor", "sybil"]',
            "sanctions.audit_rate=1",
            "contribution.every=0",
            "deviations.rounds=0",
        ],
    )
    table = result.participants.set_index("participant")
    assert table.loc[[7, 8, 9], "action"].tolist() == ["backdoor", "sybil", "sybil"]
    assert table.loc[[8, 9], "units_worked"].tolist() == [0, 0]
    norms = table["update_norm"]
    np.testing.assert_allclose(norms[[8, 9]], norms[7], rtol=0.05)
    assert norms[7] > 2 * norms[:7].max()
    assert table.loc[[7, 8, 9], "convicted"].all()
