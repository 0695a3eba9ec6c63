"""Scenario files: every mistake is one line that names file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedfm_sim.core.errors import UserError
from fedfm_sim.scenarios import Scenario, catalogue, load_scenario
from fedfm_sim.scenarios.loader import CATALOGUE
from fedfm_sim.scenarios.lock import to_toml

MISTAKES = {
    "participants.malicous=3": ("participants.malicous", "semi_honest"),
    "mechanism.price=-1": ("mechanism.price", "greater than or equal to 0"),
    "mechanism.prize=1": ("mechanism.prize", "price"),
    "participants.malicious=12": ("participants", "at most count = 10"),
    "mechanism=foo": ("mechanism.name", "posted-price"),
    "defence=multikrum": ("defence.name", "did you mean 'multi-krum'"),
    "policies.honest.name=x": ("policies.honest.name", "best-response"),
    "policies.evil.name=logit": ("policies.evil", "'malicious'"),
    "prices.compute=nan": ("prices.compute", "finite"),
    "prices.compute=-1": ("prices.compute", "greater than or equal to 0"),
    'data.domains=["x"]': ("data.domains", "inverted"),
    "data.name=mnist": ("data.name", "digits"),
    "rounds=0": ("rounds", "greater than or equal to 1"),
    "rounds=2.5": ("rounds", "integer"),
    "sanctions.bounty=100": ("sanctions", "fine"),
    "sanctions.audit_rate=1.5": ("sanctions.audit_rate", "less than or equal to 1"),
    'actions.mine.attack="x"': ("actions.mine", "label-flip"),
    'deviations.actions=["fly"]': ("deviations.actions", "stay-out"),
    'contribution.schemes=["q"]': ("contribution.schemes", "shapley"),
    "lora=3": ("lora", "got 3"),
    "lora.rank=0": ("lora.rank", "greater than or equal to 1"),
}


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_one_line_with_file_key_and_expectation(override: str) -> None:
    key, expected = MISTAKES[override]
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [override])
    message = str(caught.value)
    assert "quickstart.toml: " in message
    assert f" {key}" in message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("rouns=3", "rouns: unknown key (did you mean 'rounds'?); expected one of: name, descr"),
        ("lora.x=3", "lora.x: unknown key; expected one of: rank, "),
        ("departure.pott=3", "departure.pott: unknown key (did you mean 'pot'?); expected one of"),
        ("actions.x.atack='y'", "actions.x.atack: unknown key (did you mean 'attack'?); expected"),
        ("mechanism.prize=1", "mechanism.prize: unknown key (did you mean 'price'?); expected"),
        ("mechanisms.vcg.prize=1", "mechanisms.vcg.prize: unknown key; expected one of: name, "),
    ],
)
def test_an_unknown_key_is_told_the_nearest_and_all_of_its_table(override: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [override])
    assert str(caught.value).partition("quickstart.toml: ")[2].startswith(line)


@pytest.mark.parametrize("override", ["rounds", "=3", "a..b=1", "rounds.x=1"])
def test_an_override_that_is_no_key_and_value(override: str) -> None:
    with pytest.raises(UserError, match="--set"):
        load_scenario("quickstart", [override])


def test_a_missing_file_names_itself_and_the_catalogue() -> None:
    with pytest.raises(UserError, match=r"nowhere\.toml: no such scenario; .*quickstart"):
        load_scenario("nowhere.toml")


@pytest.mark.parametrize("content", [b"rounds = ", b"\xff\xfe", b"[a]\n[a]\n"])
def test_a_file_that_is_not_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.toml: ") as caught:
        load_scenario(path)
    assert "\n" not in str(caught.value)


def test_a_fixed_policy_must_name_an_action_of_the_set() -> None:
    with pytest.raises(UserError, match=r"policies\.malicious\.action: unknown action 'report'"):
        load_scenario("backdoor-undefended", ["policies.malicious.action=report"])


def test_the_catalogue_loads_and_describes_itself() -> None:
    found = catalogue()
    assert {"quickstart", "honest-only", "backdoor-undefended", "backdoor-defended"} <= set(found)
    for name, description in found.items():
        assert load_scenario(name).name == name
        assert description
        assert "\n" not in description


def test_the_name_of_a_file_changes_nothing(tmp_path: Path) -> None:
    content = (CATALOGUE / "quickstart.toml").read_text()
    for text, name in ((content, "quickstart"), (content.partition("\n")[2], "scenario")):
        one, other = tmp_path / "one.toml", tmp_path / "other.toml"
        one.write_text(text)
        other.write_text(text)
        assert load_scenario(one).name == name
        assert to_toml(load_scenario(one), 3) == to_toml(load_scenario(other), 3)


def test_quickstart_is_what_it_says() -> None:
    kinds = load_scenario("quickstart").participants.kinds
    assert [kinds.count(k) for k in ("honest", "semi-honest", "malicious")] == [6, 2, 2]
    assert load_scenario("quickstart").rounds == 10


def test_defended_differs_from_undefended_in_the_defence_alone() -> None:
    keep = {"name", "description", "defence"}
    a, b = (load_scenario(f"backdoor-{kind}defended") for kind in ("un", ""))
    assert a.model_dump(exclude=keep) == b.model_dump(exclude=keep)
    assert a.defence != b.defence


def test_an_override_reaches_a_nested_key() -> None:
    scenario = load_scenario("quickstart", ["training.learning_rate=0.1", "defence=multi-krum"])
    assert isinstance(scenario, Scenario)
    assert scenario.training.learning_rate == 0.1
    assert type(scenario.defence.build()).__name__ == "MultiKrum"


def test_an_action_names_its_attack_once() -> None:
    """A name among the parameters would be another attack than the lock says."""
    turned = "actions.turn={attack='sign-flip', parameters={name='free-ride'}}"
    with pytest.raises(UserError, match=r"actions\.turn\.parameters\.name: the attack is named by"):
        load_scenario("quickstart", [turned])
