"""Plug-ins of a scenario: a slot is one line, and what is built remembers nothing."""

from __future__ import annotations

import pickle
import tomllib
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field, PrivateAttr, ValidationError

from fedfm_sim.core.chosen import FULL, Chosen, Slot
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import NestedError, Registry
from fedfm_sim.core.settings import Plugin
from fedfm_sim.mechanisms.rules.auctions.vcg import VCGAuction
from fedfm_sim.scenarios import Scenario, load_scenario
from fedfm_sim.scenarios.loader import overridden
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.security.defences.foolsgold import FoolsGold
from fedfm_sim.security.defences.multi_krum import MultiKrum


class Clock(Plugin):
    """Adds up its steps."""

    step: int = Field(default=1, ge=1)
    names: tuple[str, ...] = ("a", "b")
    _ticks: list[int] = PrivateAttr(default_factory=list)

    def tick(self) -> int:
        self._ticks.append(self.step)
        return sum(self._ticks)


CLOCKS: Registry[type[Clock]] = Registry(
    "clock", "fedfm_sim.clocks", {"plain": f"{__name__}:Clock"}
)


class Timed(Scenario):
    """A scenario with one more slot."""

    clock: Annotated[Chosen[Clock], Slot(CLOCKS)] = Field("plain", validate_default=True)


def test_a_new_slot_takes_a_name_or_a_table() -> None:
    assert Timed().clock.name == "plain"
    named, told = (Timed.model_validate({"clock": c}) for c in ("plain", {"name": "plain"}))
    assert named == told == Timed()
    assert Timed.model_validate({"clock": {"name": "plain", "step": 3}}) != Timed()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("plan", "name: unknown clock 'plan' (did you mean 'plain'?); expected one of: plain"),
        ({"step": 2}, "name: missing; expected one of: plain"),
        ({"name": "plain", "step": 0}, "step: Input should be greater than or equal to 1, got 0"),
        ({"name": "plain", "x": 0}, "x: unknown key; expected one of: name, step, names"),
    ],
)
def test_a_new_slot_says_what_is_wrong(given: Any, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Timed.model_validate({"clock": given})
    (error,) = caught.value.errors()
    assert error["loc"] == ("clock",)
    assert isinstance(cause := error["ctx"]["error"], NestedError)
    assert cause.line == line
    with pytest.raises(UserError) as told:
        overridden(Timed(), {"clock": given}, "here")
    assert str(told.value) == f"here: clock.{line}"


def test_a_new_slot_builds_copies_that_share_no_memory() -> None:
    scenario = Timed.model_validate({"clock": {"name": "plain", "step": 2}})
    one, other = scenario.clock.build(), scenario.clock.build()
    assert [one.tick(), one.tick(), other.tick()] == [2, 4, 2]
    assert scenario.clock.build().tick() == 2
    assert pickle.loads(pickle.dumps(scenario)).clock.build().tick() == 2


def test_a_new_slot_is_written_as_given_or_in_full() -> None:
    scenario = Timed.model_validate({"clock": {"name": "plain", "step": 2}})
    assert scenario.model_dump()["clock"] == {"name": "plain", "step": 2}
    full = {"name": "plain", "step": 2, "names": ["a", "b"]}
    assert scenario.model_dump(context=FULL)["clock"] == full
    assert overridden(scenario, {"clock.names": ["c"]}).clock.build().names == ("c",)
    locked = tomllib.loads(to_toml(scenario, 3))
    assert locked["clock"] == full
    said = {key: locked[key] for key in locked.keys() - {"version", "seed"}}
    assert Timed.model_validate(said) == scenario
    assert scenario != Timed()
    assert Timed() != Scenario()


def test_what_is_chosen_equals_by_name_and_all_parameters() -> None:
    slot = Slot(CLOCKS)
    assert slot.choose("plain") == slot.choose("plain", step=1, names=["a", "b"])
    assert hash(slot.choose("plain")) == hash(slot.choose("plain", step=1))
    assert slot.choose("plain") != slot.choose("plain", step=2)
    assert slot.choose("plain") != "plain"
    assert repr(slot.choose("plain")) == "plain(step=1, names=['a', 'b'])"


def test_what_is_chosen_keeps_its_parameters_to_itself() -> None:
    names = ["a"]
    chosen = Slot(CLOCKS).choose("plain", names=names)
    names.append("b")
    chosen.parameters["names"].append("c")
    assert chosen.section() == {"name": "plain", "names": ["a"]}
    assert chosen.build().names == ("a",)


def test_a_rule_that_remembers_forgets_between_runs() -> None:
    chosen = load_scenario("sybil-swarm").defence
    used = chosen.build()
    assert isinstance(used, FoolsGold)
    used.memory()["_history"][0] = np.zeros(2)
    assert chosen.build().memory() == {"_history": {}}


def test_what_is_only_named_takes_its_parameters_from_the_section() -> None:
    house = load_scenario("auction-house", ["mechanism=vcg"])
    mechanism = house.mechanism.build()
    assert isinstance(mechanism, VCGAuction)
    assert mechanism.value == 20
    assert house.mechanism.section() == {"name": "vcg"}
    own = load_scenario("auction-house", ["mechanism={name='vcg', value=3.0}"]).mechanism.build()
    assert isinstance(own, VCGAuction)
    assert own.value == 3
    # What the section says later still reaches one that is only named.
    later = overridden(house, {"mechanisms.vcg.value": 5.0}).mechanism.build()
    assert isinstance(later, VCGAuction)
    assert later.value == 5


@pytest.mark.parametrize("key", ["mechanisms.vcg.name", "removals.prune.name"])
def test_a_section_by_name_takes_no_other_name(key: str) -> None:
    with pytest.raises(UserError, match=rf"{key}: unknown key; '\w+' is named already"):
        load_scenario("quickstart", [f"{key}=fmore"])


def test_a_scenario_s_plug_ins_are_built_and_written() -> None:
    scenario = load_scenario("backdoor-defended")
    defence = scenario.defence.build()
    assert isinstance(defence, MultiKrum)
    assert defence.attackers == 2
    assert scenario.model_dump()["defence"] == {"name": "multi-krum", "attackers": 2}
    assert scenario.model_validate(scenario.model_dump()) == scenario
    assert Scenario.model_validate(dict(scenario)) == scenario


def test_a_removal_has_its_parameters_wherever_an_action_names_it() -> None:
    scenario = load_scenario("model-theft", ["removals.fine-tune.steps=7"])
    washing = scenario.action_table["steal-and-wash"]
    assert scenario.removal(washing).settings == {"steps": 7}
    assert scenario.removal(scenario.action_table["steal"]).name == "none"


def test_a_policy_may_be_only_named_and_is_fixed_where_it_is_not() -> None:
    scenario = load_scenario(
        "quickstart", ["policies.honest=logit", "action_sets.malicious=['snoop']"]
    )
    assert scenario.policy("honest").settings == {"temperature": 0.5}
    bare = Scenario.model_validate({"action_sets": {"malicious": ["snoop", "report"]}})
    assert bare.policy("malicious").settings["action"] == "snoop"


def test_an_empty_action_set_is_refused() -> None:
    with pytest.raises(UserError, match=r"action_sets\.honest: .* at least 1 item"):
        load_scenario("quickstart", ["action_sets.honest=[]"])
