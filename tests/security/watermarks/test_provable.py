"""Whether a claim can stand at all is said before anything is marked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedfm_sim.security.watermarks import WATERMARKS
from fedfm_sim.security.watermarks.triggers import secrets
from fedfm_sim.security.watermarks.verification import answers_claim, claim, unprovable


@pytest.mark.parametrize(
    ("name", "parameters", "answers", "said"),
    [
        ("waffle", {}, 10, None),
        ("waffle", {"triggers": 5}, 10, "triggers = 5 of 10 answers: if all are known, p is 1e-05"),
        ("waffle", {"triggers": 30}, 2, None),
        ("waffle", {"triggers": 19, "style": "noise"}, 2, "triggers = 19 of 2 answers"),
        ("waffle", {}, 1, "triggers = 30 of 1 answers: if all are known, p is 1e+00"),
        ("unique-triggers", {"triggers": 7}, 10, None),
        ("unique-triggers", {"triggers": 6}, 10, "p is 1e-05"),
        ("fedtracker", {"bits": 24}, 10, None),
        ("fedtracker", {"bits": 23}, 10, "bits = 23: if all are known, p is 1e-06, and a claim"),
        ("fedtracker", {"triggers": 3}, 10, "triggers = 3 of 10 answers"),
        ("dynamic-fingerprints", {"bits": 24}, 10, "bits = 24"),
        ("fedipr", {"bits": 16}, 10, "bits = 16: if all are known, p is 2e-04"),
        ("fedipr", {"weight": 0.0, "triggers": 4}, 10, "triggers = 4 of 10 answers"),
        ("fedsov", {}, 10, None),
        ("fedcip", {"bits": 19}, 10, "bits = 19"),
        ("fedcip", {"bits": 20}, 10, None),
        ("none", {}, 10, None),
    ],
)
def test_too_few_secrets_are_said(
    name: str, parameters: dict[str, Any], answers: int, said: str | None
) -> None:
    layout = SimpleNamespace(size=10_000)
    scheme = WATERMARKS.build({"name": name, **parameters})
    world: Any = SimpleNamespace(
        participants=10, classes=answers, federation=SimpleNamespace(layout=layout)
    )
    scheme.enter(world)
    told = scheme.condition()
    assert (told is None) == (said is None)
    assert said is None or said in str(told)


def test_what_is_said_is_the_claim_of_a_model_that_knows_all() -> None:
    """The same p-value as the claim itself has, for bits and for answers."""
    assert unprovable("", 19, 2) is not None
    assert not claim("a", 19, 19).stands
    assert unprovable("", 20, 2) is None
    assert claim("a", 20, 20).stands
    own = np.zeros(secrets(10, 6, "noise"), dtype=np.int64)
    assert answers_claim("a", own, own, 10).stands == (unprovable("", 6, 10) is None)
