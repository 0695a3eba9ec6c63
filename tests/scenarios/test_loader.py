"""Scenario files: every mistake is one line that names file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from fedfm_sim.core.errors import UserError
from fedfm_sim.scenarios import Scenario, catalogue, load_scenario
from fedfm_sim.scenarios.loader import CATALOGUE
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.overrides import alternatives

MISTAKES = {
    "participants.malicous=3": ("participants.malicous", "semi_honest"),
    "mechanism.price=-1": ("mechanism.price", "greater than or equal to 0"),
    "mechanism.prize=1": ("mechanism.prize", "price"),
    "participants.malicious=12": ("participants", "at most count = 10"),
    "mechanism=foo": ("mechanism.name", "posted-price"),
    "defence=multikrum": ("defence.name", "did you mean 'multi-krum'"),
    "policies.honest.name=x": ("policies.honest.name", "best-response"),
    "policies.evil.name=logit": (
        "policies.evil",
        "expected one of: honest, semi-honest, malicious",
    ),
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
def test_a_mistake_is_one_line_with_its_option_key_and_expectation(override: str) -> None:
    key, expected = MISTAKES[override]
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [override])
    message = str(caught.value)
    assert message.startswith(f"--set {override}: ")
    assert "quickstart.toml" not in message
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
    assert str(caught.value).removeprefix(f"--set {override}: ").startswith(line)


@pytest.mark.parametrize(
    ("content", "overrides", "blamed"),
    [
        ("round = 3", [], "FILE: round: unknown key (did you mean 'rounds'?)"),
        ("round = 3", ["rounds=3"], "FILE: round: unknown key"),
        ("rounds = 0", ["lora.rank=4"], "FILE: rounds: "),
        ("rounds = 3", ["lora.rank=4", "rounds=0"], "--set rounds=0: rounds: "),
        # Each is well by itself; both are named where neither is about the key that is wrong.
        (
            "[departure]\nparticipant = 5",
            ["participants.count=3", "rounds=2"],
            "--set participants.count=3 --set rounds=2: departure.participant: 5; expected less",
        ),
        ("[participants]\nmalicious = 5", ["participants.count=3"], "--set participants.count=3"),
    ],
)
def test_a_mistake_is_put_down_to_whom_it_was_made_by(
    content: str, overrides: list[str], blamed: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        load_scenario(path, overrides)
    assert str(caught.value).startswith(blamed.replace("FILE", str(path)))


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("data.partition=diriclet", "unknown value 'diriclet' (did you mean 'dirichlet'?)"),
        ("policies.malicious=qlearning", "did you mean 'q-learning'?"),
        ("policies.malicous=logit", "did you mean 'malicious'?"),
        ("contribution.measure=Mutual_Information", "did you mean 'mutual-information'?"),
        ('deviations.actions=["backdor"]', "did you mean 'backdoor'?"),
        ('contribution.schemes=["shaply"]', "did you mean 'shapley'?"),
        ('data.domains=["rotate"]', "did you mean 'rotated'?"),
        ("watermark=fedtraker", "did you mean 'fedtracker'?"),
        ("participant.count=3", "did you mean 'participants'?"),
    ],
)
def test_the_nearest_of_every_sort_of_name_is_suggested(override: str, near: str) -> None:
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [override])
    assert near in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "rounds=" + "[" * 3000,
        "rounds=" + "9" * 5000,
        "defence=" + "x" * 5000,
        "a" * 5000 + "=1",
        "data.partition=" + "y" * 5000,
        "rounds=1\nlora = 3",
    ],
    ids=["nested", "digits", "plug-in", "key", "word", "two-lines"],
)
def test_long_and_odd_values_make_one_short_line(override: str) -> None:
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [override])
    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000, "nul\0", "quikstart", "/", ""])
def test_a_source_that_is_no_scenario(name: str) -> None:
    with pytest.raises(UserError, match="expected a TOML file or one of: attack-") as caught:
        load_scenario(name)
    assert ("did you mean 'quickstart'?" in str(caught.value)) == (name == "quikstart")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,2.5", [1, 2.5]),
        ("a.b=vcg, fmore", ["vcg", "fmore"]),
        ("a.b=true,false", [True, False]),
        ("a.b=1,auto", [1, "auto"]),
        ("a.b=[1, 2],[3]", [[1, 2], [3]]),
        ('a.b={name = "vcg", value = 2.0}', [{"name": "vcg", "value": 2.0}]),
    ],
)
def test_alternatives_keep_their_types(text: str, values: list[object]) -> None:
    key, found = alternatives(text)
    assert (key, found) == ("a.b", values)
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=1,,2"])
def test_alternatives_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match=r"--over .*key=value,value"):
        alternatives(text)


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


@pytest.mark.parametrize("table", [name for name, own in Scenario() if isinstance(own, BaseModel)])
def test_a_key_with_the_value_that_it_has_anyway_changes_nothing(table: str) -> None:
    usual = Scenario()
    for key, value in getattr(usual, table).model_dump(mode="json", exclude_none=True).items():
        assert Scenario.model_validate({table: {key: value}}) == usual, key


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("rounds = 2\n", encoding="utf-8-sig")
    assert load_scenario(path).rounds == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits-vti", "unknown backbone 'digits-vti' (did you mean 'digits-vit'?)"),
        ("./nowhere", "no folder './nowhere'"),
        ("/nowhere/at/all", "no folder '/nowhere/at/all'"),
        ("~/nowhere", "no folder '~/nowhere'"),
    ],
)
def test_a_backbone_that_can_not_be_is_refused_before_a_hub_is_asked(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", [f"backbone={name}"])
    assert said in str(caught.value)
    assert load_scenario("quickstart", ["backbone=google/vit-base"]).backbone == "google/vit-base"


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
