"""Unknown keys, in models that lie in others in whatever way."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from fedfm_sim.core.keys import unknown_key


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 1
    height: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    plain: Inner = Inner()
    maybe: Inner | None = None
    named: dict[str, Inner] = {}
    deep: dict[str, dict[str, Inner]] | None = None
    several: tuple[Inner, ...] = ()


@pytest.mark.parametrize(
    "given",
    [
        {"plain": {"hight": 1}},
        {"maybe": {"hight": 1}},
        {"named": {"a": {"hight": 1}}},
        {"deep": {"a": {"b": {"hight": 1}}}},
        {"several": [{}, {"hight": 1}]},
    ],
)
def test_the_keys_of_the_model_that_was_meant_are_listed(given: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(given)
    location = caught.value.errors()[0]["loc"]
    expected = "unknown key (did you mean 'height'?); expected one of: width, height"
    assert unknown_key(Outer, location, also=["name"]) == expected


def test_keys_beside_those_of_the_model_are_listed_first() -> None:
    expected = "unknown key (did you mean 'name'?); expected one of: name, width, height"
    assert unknown_key(Inner, ["nam"], also=["name"]) == expected
