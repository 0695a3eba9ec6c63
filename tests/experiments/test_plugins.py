"""Plug-ins of a notebook: registered or refused, known to workers, part of a run's identity."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

import fedfm_sim as fs
from fedfm_sim.cli.lists import LISTINGS, MECHANISMS
from fedfm_sim.core.registry import REGISTERED
from fedfm_sim.experiments.identity import identity_of
from fedfm_sim.experiments.plugins import REGISTRIES, SLOTS, with_plugins
from fedfm_sim.mechanisms import MECHANISMS as RULES
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Mechanism, Offers
from fedfm_sim.mechanisms.rules.posted_price import PostedPrice
from fedfm_sim.security.attacks import ATTACKS, Attack
from fedfm_sim.security.attacks.protocol import Goal
from fedfm_sim.security.defences.krum import Krum

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
SMALL = ["rounds=1", "participants.count=4", "contribution.schemes=[]"]


class Silence(Attack):
    """Send nothing new."""

    goal: ClassVar[Goal] = "damage"


class PayAll(Mechanism):
    """The same for everybody."""

    each: float = 1.0

    def allocate(self, offers: Offers, announcement: Announcement) -> Allocation:
        return Allocation(offers.units > 0, np.where(offers.units > 0, self.each, 0.0))


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    REGISTERED.clear()


def test_a_registered_name_is_listed_built_and_replaced() -> None:
    assert fs.register("attack", "silence", Silence) is Silence
    assert type(ATTACKS.build({"name": "silence"})) is Silence
    assert LISTINGS["attacks"].entries()["silence"]["goal"] == "damage"

    @fs.register("attack", "silence")
    class Louder(Silence):
        """Another cell of the notebook."""

    assert type(ATTACKS.build({"name": "silence"})) is Louder
    assert ATTACKS.name_of(Louder) == "silence"
    assert ATTACKS.name_of(Silence) is None


class Unfinished(Mechanism):
    """A mechanism that chooses nobody."""


class Aimless(Attack):
    """An attack that does not say what it is after."""


@pytest.mark.parametrize(
    ("kind", "name", "plugin", "told"),
    [
        ("atack", "x", Silence, "nothing of kind 'atack' can be registered (did you mean 'attack'"),
        ("attack", "My Attack", Silence, "attack 'My Attack': expected a name of lower-case"),
        ("attack", "backdoor", Silence, "'backdoor' is one of this package; choose another name"),
        ("attack", "x", PayAll, "expected a subclass of fedfm_sim.security.attacks.protocol.Att"),
        ("attack", "x", Silence(), "expected a subclass of"),
        ("attack", "x", Aimless, "attack 'x' lacks the class attribute 'goal'"),
        ("mechanism", "x", Unfinished, "mechanism 'x' lacks the method 'allocate'"),
        ("data set", "x", 3, "expected an instance of collections.abc.Callable; got 3"),
        ("backbone", "x", "folder", "expected an instance of pathlib.Path; got 'folder'"),
    ],
)
def test_what_can_not_be_played_is_refused_in_one_line(
    kind: str, name: str, plugin: Any, told: str
) -> None:
    with pytest.raises(fs.UserError, match=re.escape(told)) as caught:
        fs.register(kind, name, plugin)
    assert "\n" not in str(caught.value)
    assert not REGISTERED


def test_every_registry_of_the_package_can_be_added_to() -> None:
    kinds = set()
    for path in Path(fs.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Registry":
                kinds.add(ast.literal_eval(node.args[0]))
                assert {each.arg for each in node.keywords} == {"base"}, path
    assert kinds == set(REGISTRIES)
    assert all(REGISTRIES[kind][name] is not None for kind in kinds for name in REGISTRIES[kind])


@pytest.mark.parametrize("listing", [*LISTINGS.values(), MECHANISMS], ids=lambda own: own.place)
def test_own_entries_say_where_they_are_from(listing: Any) -> None:
    for name, facts in listing.entries().items():
        told = facts.get("properties") or facts
        if name != "none" and "source" in told:
            assert told["source"], name


def test_an_object_is_the_plug_in_that_is_named() -> None:
    named = [
        *SMALL,
        "mechanism={name='posted-price', price=0.02}",
        "defence={name='krum', attackers=1}",
    ]
    given = {"mechanism": PostedPrice(price=0.02), "defence": Krum(attackers=1)}
    scenario = with_plugins(fs.load_scenario("quickstart", SMALL), given)
    assert scenario == fs.load_scenario("quickstart", [*SMALL, *named])
    assert not REGISTERED


def test_an_object_of_ones_own_is_registered_under_its_class_and_in_the_lock(
    tmp_path: Path,
) -> None:
    made = fs.run("quickstart", out=tmp_path, overrides=SMALL, report=False, mechanism=PayAll())
    assert made.scenario.mechanism.name == "pay-all"
    assert set(made.participants["payment"]) <= {0.0, 1.0}
    assert RULES["pay-all"] is PayAll
    again = fs.load(tmp_path)
    pd.testing.assert_frame_equal(again.participants, made.participants)
    REGISTERED.clear()
    with pytest.raises(fs.UserError, match="unknown mechanism 'pay-all'"):
        fs.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mechansim": PayAll()}, "a run can't be given 'mechansim' (did you mean 'mechanism'"),
        ({"mechanism": Silence()}, "mechanism 'silence': expected a subclass of"),
        ({"mechanism": PayAll}, "mechanism: expected an object, as PayAll(); got the class"),
        ({"mechanism": "vcg"}, "mechanism: expected an object"),
    ],
)
def test_other_objects_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(fs.UserError, match=re.escape(told)):
        fs.run("quickstart", overrides=SMALL, **given)


def test_every_slot_is_a_key_of_scenarios() -> None:
    assert set(SLOTS) <= set(fs.Scenario.model_fields)


CELL = """
from fedfm_sim.security.attacks import Attack
class Silence(Attack):
    goal = "damage"
    share: float = {default}
    def corrupt(self, update, view, rng):
        return {returned}
"""


def test_a_cell_that_is_run_again_with_other_code_is_another_run() -> None:
    def registered(default: str = "1.0", returned: str = "view.reference") -> str:
        cell: dict[str, Any] = {"__name__": "nowhere"}
        exec(CELL.format(default=default, returned=returned), cell)
        fs.register("attack", "silence", cell["Silence"])
        return identity_of(using, 0)

    fs.register("attack", "silence", Silence)
    using = fs.load_scenario("quickstart", ["actions.hush={attack='silence'}"])
    assert registered() == registered()
    assert len({registered(), registered("2.0"), registered(returned="update"), ""}) == 4
    plain = fs.load_scenario("quickstart")
    before = identity_of(plain, 0)
    REGISTERED.clear()
    assert identity_of(plain, 0) == before


@pytest.mark.slow
def test_workers_know_what_is_registered_here(tmp_path: Path) -> None:
    fs.register("attack", "silence", Silence)
    hush = ["actions.hush={attack='silence'}", "action_sets.malicious=['hush']"]
    hush += ["policies.malicious={name='fixed', action='hush'}", *SMALL]
    made = [
        fs.compare("quickstart", {"participants.malicious": [1, 2]}, [0], hush, workshop)
        for workshop in (fs.Workshop(), fs.Workshop.at(jobs=2))
    ]
    pd.testing.assert_frame_equal(made[0].runs, made[1].runs)


@pytest.mark.slow
def test_the_page_runs() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(BLOCKS) == 9
