"""The lock file: it says everything, and is read back to the same."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfm_sim.agents.actions import ACTIONS, KINDS
from fedfm_sim.agents.policies import POLICIES
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.backbone import DIGITS_VIT, load_backbone
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.scenarios import Scenario, catalogue, load_scenario
from fedfm_sim.scenarios.loader import load_lock, load_run, overridden
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.outcomes import SHIPPED
from fedfm_sim.security.attacks import ATTACKS
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS
from fedfm_sim.security.watermarks import WATERMARKS
from fedfm_sim.security.watermarks.removal import REMOVALS

#: Where a scenario names a plug-in of each registry.
SLOTS: dict[str, Registry[Any]] = {
    "mechanism": MECHANISMS,
    "defence": DEFENCES,
    "protection": PROTECTIONS,
    "leakage": LEAKAGE,
    "watermark": WATERMARKS,
    "policies.malicious": POLICIES,
}
NAMED = [(slot, name) for slot, registry in SLOTS.items() for name in registry]


def check(scenario: Scenario, folder: Path, seed: int = 3) -> dict[str, Any]:
    """Write a scenario's lock, see that it reads back to the same, and return its content."""
    path = folder / "scenario.lock.toml"
    text = to_toml(scenario, seed)
    path.write_text(text, encoding="utf-8", newline="")
    assert load_lock(path) == (scenario, seed)
    assert load_scenario(path) == scenario
    assert to_toml(load_scenario(path), seed) == text
    return tomllib.loads(text)


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_the_catalogue_s_locks_read_back(name: str, tmp_path: Path) -> None:
    content = check(load_scenario(name, ["description='other'"]), tmp_path)
    assert (content["version"], content["seed"]) == (1, 3)
    assert Scenario.model_fields.keys() - content.keys() <= {"game", "departure"}


@pytest.mark.parametrize(("slot", "name"), NAMED)
def test_all_parameters_of_a_plug_in_are_written(slot: str, name: str, tmp_path: Path) -> None:
    plugin = SLOTS[slot][name]
    needed = {"modules": ["vit.layers.1.attention.q_proj"]} if slot == "watermark" else {}
    section = {"name": name} | {key: v for key, v in needed.items() if key in plugin.model_fields}
    table = check(overridden(Scenario(), {slot: section}), tmp_path)
    for key in slot.split("."):
        table = table[key]
    without = {key for key, field in plugin.model_fields.items() if field.default is None}
    assert plugin.model_fields.keys() - table.keys() <= without


@pytest.mark.parametrize(
    "plugin",
    [registry[name] for registry in (*SLOTS.values(), ATTACKS, REMOVALS) for name in registry],
    ids=lambda plugin: str(plugin.__name__),
)
def test_none_is_a_default_wherever_it_is_allowed(plugin: Any) -> None:
    # TOML has no None: what a lock leaves out is None when it is read back.
    for key, field in plugin.model_fields.items():
        if NoneType in get_args(field.annotation):
            assert field.default is None, key


def test_attacks_removals_and_action_sets_are_written_in_full(tmp_path: Path) -> None:
    given = ["actions.mine={attack='sign-flip', parameters={scale=2.0}, sell=true, wash='prune'}"]
    content = check(load_scenario("model-theft", given), tmp_path)
    assert content["actions"]["mine"]["parameters"] == {"scale": 2.0}
    assert content["removals"] == {"prune": {"share": 0.7}, "fine-tune": {"steps": 50}}
    assert set(content["action_sets"]) == set(KINDS)
    taken = {name for names in content["action_sets"].values() for name in names}
    assert taken | {"mine"} == set(content["actions"])
    honest = content["actions"]["contribute"]
    assert honest == {**ACTIONS["contribute"].model_dump(exclude_none=True), "parameters": {}}


def test_the_parameters_of_mechanisms_that_are_only_named_are_kept(tmp_path: Path) -> None:
    content = check(load_scenario("auction-house", ["mechanism=vcg"]), tmp_path)
    assert content["mechanism"]["value"] == content["mechanisms"]["vcg"]["value"] == 20
    assert "scale" in content["mechanisms"]["vcg"]


def test_a_lock_is_of_its_values_and_not_of_how_they_were_said() -> None:
    plain = Scenario()
    said = overridden(plain, {"mechanism": plain.mechanism.section(full=True)})
    assert said.model_dump() != plain.model_dump()
    assert said == plain
    assert to_toml(said, 1) == to_toml(plain, 1)
    assert overridden(plain, {"defence": "multi-krum"}) != plain
    assert plain != "scenario"


TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["\U0001f600", "\x00\x1f\x7f", '"""', "'''\n", "\r\n", "\\u0041", "\u2028", ""]
)
NUMBERS = st.floats(0, 1) | st.sampled_from([0.0, 1e-300, 5e-324, 0.1 + 0.2, 1.0])
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3), max_size=3)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "description": TEXTS,
        "rounds": st.integers(1, 100_000),
        "sanctions": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("audit_rate", "tolerance", "deposit"), NUMBERS)
        ),
        "mechanism": st.sampled_from(["vcg", "posted-price"])
        | st.fixed_dictionaries(
            {"name": st.just("posted-price")},
            optional={"price": st.none() | NUMBERS, "value": st.floats(1, 1e9)},
        ),
        "mechanisms": st.fixed_dictionaries(
            {},
            optional={
                "vcg": st.fixed_dictionaries({}, optional={"value": st.floats(1, 9)}),
                "mcafee": st.fixed_dictionaries(
                    {}, optional={"values": st.lists(st.floats(0, 1), min_size=2, max_size=3)}
                ),
            },
        ),
        "defence": st.sampled_from(["fedavg", "foolsgold", {"name": "multi-krum", "attackers": 2}]),
        "removals": st.fixed_dictionaries(
            {}, optional={"prune": st.fixed_dictionaries({"share": st.floats(0, 0.5)})}
        ),
        "departure": st.none() | st.fixed_dictionaries({"tolerance": NUMBERS}),
        "policies": st.dictionaries(
            st.sampled_from(KINDS),
            st.sampled_from(["logit", {"name": "fixed", "action": ["contribute", "mine"]}]),
        ),
        "game": st.fixed_dictionaries(
            {"actions": st.just({"honest": ["mine"]})}, optional={"rules": TABLES}
        ),
        "design": st.fixed_dictionaries({}, optional={"settings": TABLES}),
    },
)
ACTION = st.fixed_dictionaries(
    {},
    optional={
        "share": NUMBERS,
        "attack": st.none() | st.just("gaussian"),
        "wash": st.none() | st.sampled_from(["prune", "distil"]),
    },
)


@settings(max_examples=25)
@given(SECTIONS, st.dictionaries(TEXTS, ACTION, max_size=2), st.integers(0, 2**70))
def test_any_lock_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    sections: dict[str, Any],
    actions: dict[str, Any],
    seed: int,
) -> None:
    sets = {kind: ["contribute", "mine"] for kind in KINDS}
    content = {"action_sets": sets, "actions": {"mine": {}, **actions}, **sections}
    check(Scenario.model_validate(content), tmp_path_factory.getbasetemp(), seed)


def test_what_toml_cannot_say_is_refused() -> None:
    for value in (None, float("nan"), [None], {1: 2}, object()):
        rules = {"a": {"mechanism.price": value}}
        for key, given_ in (
            ("game", {"actions": {"honest": ["contribute"]}, "rules": rules}),
            ("design", {"settings": rules}),
        ):
            with pytest.raises(UserError, match=rf"^scenario: {key}\..*: expected a text, finite"):
                overridden(Scenario(), {key: given_})


def test_an_empty_rule_stays(tmp_path: Path) -> None:
    content = check(load_scenario("inspection-game", ["game.rules.trust={}"]), tmp_path)
    assert content["game"]["rules"]["trust"] == {}


def test_a_seed_given_comes_before_the_lock_s_and_others_have_none(tmp_path: Path) -> None:
    scenario, path = load_scenario("quickstart", ["rounds=3"]), tmp_path / "lock.toml"
    path.write_text(to_toml(scenario, 7))
    assert load_run(path) == (scenario, 7)
    assert load_run(path, seed=0) == (scenario, 0)
    assert load_run(path, ["seed=9", "rounds=4"]) == (load_scenario("quickstart", ["rounds=4"]), 9)
    assert load_run("quickstart", ["rounds=3"]) == (scenario, 0)
    assert load_run("quickstart", seed=5)[1] == 5
    with pytest.raises(UserError, match="no lock file; expected 'version' and 'seed'"):
        load_lock("quickstart")
    with pytest.raises(UserError, match="seed: unknown key"):
        load_scenario("quickstart", ["seed=3"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("version=2", r"lock\.toml: version: expected 1, got 2"),
        ("seed=-1", r"lock\.toml: seed: expected an integer of at least 0, got -1"),
        ("seed=1.0", "seed: expected an integer"),
        ("seed=true", "seed: expected an integer"),
    ],
)
def test_a_lock_of_another_format_is_refused(override: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lock.toml"
    path.write_text(to_toml(Scenario(), 7))
    with pytest.raises(UserError, match=message):
        load_scenario(path, [override])


def test_what_a_file_names_by_a_path_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    away.mkdir()
    (home / "models").mkdir(parents=True)
    (home / "models/own").symlink_to(DIGITS_VIT)
    (home / "runs.parquet").write_bytes((SHIPPED / "million-clients.parquet").read_bytes())
    path = home / "a.toml"
    path.write_text('backbone = "models/own"\noutcomes = { table = "runs.parquet" }\n')
    monkeypatch.chdir(away)
    scenario = load_scenario(path)
    content = check(scenario, away)
    assert content["outcomes"]["table"] == str(home / "runs.parquet")
    assert Path(content["backbone"]) == DIGITS_VIT.resolve()
    assert load_backbone(scenario.backbone).answers == 10
    # What is said at the command line is seen from where that is.
    monkeypatch.chdir(home)
    for said in ("models/own", str(home / "models/own")):
        assert load_scenario("quickstart", [f"backbone={said}"]).backbone == content["backbone"]
    table = overridden(Scenario(), {"outcomes.table": "runs.parquet"}).outcomes
    assert table.path == home / "runs.parquet"


@pytest.mark.parametrize("name", ["digits-vit", "org/no-such-model", "", "\x00", "x" * 5000])
def test_a_backbone_that_is_no_folder_keeps_its_name(name: str, tmp_path: Path) -> None:
    assert Scenario.model_validate({"backbone": name}).backbone == name


def test_a_shipped_name_is_never_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits-vit").mkdir()
    (tmp_path / "million-clients").write_text("")
    (tmp_path / "a.toml").write_text(
        'backbone = "digits-vit"\noutcomes = { table = "million-clients" }\n'
    )
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario("a.toml")
    assert (scenario.backbone, scenario.outcomes.table) == ("digits-vit", "million-clients")
