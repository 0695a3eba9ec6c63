"""A run's folder: resumed to the same bits, loaded as it was, and never read for another run's."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import sys
from io import StringIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

import fedfm_sim as fs
from fedfm_sim.agents.participant import Participant
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import PART
from fedfm_sim.core.progress import Progress
from fedfm_sim.experiments import folder as names
from fedfm_sim.experiments.folder import RunFolder
from fedfm_sim.experiments.identity import VERSION, identity_of
from fedfm_sim.experiments.unlearn import unlearn, unlearned
from fedfm_sim.learning.backbone import DIGITS_VIT
from fedfm_sim.learning.federation import Federation
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.reputation import Reputation
from fedfm_sim.mechanisms.rules.fli import FairInstalments
from fedfm_sim.reporting.tables import print_result
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.model import FederationModel
from fedfm_sim.simulation.population.arrays import Population
from fedfm_sim.simulation.population.result import PopulationResult
from fedfm_sim.simulation.result import RunResult
from fedfm_sim.simulation.state import all_or_nothing, state_of

run_module = importlib.import_module("fedfm_sim.experiments.run")

#: Everything that remembers: accounts, trust, beliefs, learning policies, a mechanism's queues,
#: a rule's history, marks by cycles, audits, fines, reports and deviations.
REMEMBERING = [
    "participants.count=5",
    "participants.semi_honest=1",
    "participants.malicious=2",
    "rounds=3",
    "training.epochs=1",
    "policies.malicious={name='q-learning', temperature=3.0}",
    "mechanism=fli",
    "mechanism.budget=8",
    "defence=foolsgold",
    "watermark={name='fedcip', cycle=2, bits=16}",
    "contribution.every=2",
    "contribution.examples=20",
    "deviations.rounds=1",
    "deviations.actions=['free-ride']",
]


def stop_after(rounds: int) -> Progress:
    def progress(done: int, total: int) -> None:
        if done == rounds:
            raise KeyboardInterrupt

    return progress


def remembering(out: Path | None = None, **more: object) -> RunResult:
    result = fs.run("quickstart", 5, out, REMEMBERING, report=False, **more)  # type: ignore[arg-type]
    assert isinstance(result, RunResult)
    return result


def timeless(result: RunResult | PopulationResult) -> dict[str, object]:
    return {key: value for key, value in result.summary.items() if key != "timing"}


def same(first: RunResult, second: RunResult) -> None:
    for name in ("rounds", "participants", "deviations", "journal"):
        one, two = getattr(first, name), getattr(second, name)
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert torch.equal(first.adapter, second.adapter)
    assert first.scenario == second.scenario
    assert timeless(first) == timeless(second)


@pytest.fixture(scope="module")
def whole() -> RunResult:
    return remembering()


def test_a_resumed_run_is_the_whole_one_bit_for_bit(whole: RunResult, tmp_path: Path) -> None:
    rounds = 2
    stopped = remembering(tmp_path, progress=stop_after(rounds), keep_updates=True)
    assert (stopped.summary["status"], len(stopped.rounds)) == ("interrupted", rounds)
    same(fs.load(tmp_path), stopped)  # type: ignore[arg-type]
    with RunFolder.of(tmp_path, stopped.scenario, 5) as own:
        own.begin(stopped.scenario, 5, resume=True)
    with pytest.raises(UserError, match="was stopped"):
        fs.load(tmp_path)
    same(remembering(tmp_path, resume=True, keep_updates=True), whole)
    assert len(RunFolder.existing(tmp_path).history()) == 3
    same(fs.load(tmp_path), whole)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_killed_run_goes_on_after_its_last_whole_round(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    write = RunFolder.write_round

    def dies(self: RunFolder, tables: object, state: object) -> None:
        write(self, tables, state if state["round"] < 2 else None)  # type: ignore
        if state["round"] == 2:  # type: ignore[index]
            (self.path / f"rounds.parquet{PART}").write_bytes(b"torn")
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "KEEPING", math.inf)
        patch.setattr(RunFolder, "write_round", dies)
        with pytest.raises(Killed):
            remembering(tmp_path)
    assert len(pd.read_parquet(tmp_path / "rounds.parquet")) == 2
    with pytest.raises(UserError, match="was stopped; go on with fedfm-sim run --resume"):
        fs.load(tmp_path)
    steps, step = [], FederationModel.step

    def counted(self: FederationModel) -> None:
        steps.append(self.round)
        step(self)

    monkeypatch.setattr(FederationModel, "step", counted)
    same(remembering(tmp_path, resume=True), whole)
    assert steps == [1, 2]
    # What is finished is loaded.
    same(remembering(tmp_path, resume=True), whole)
    assert steps == [1, 2]


def test_short_rounds_are_kept_now_and_then_and_none_is_lost_to_an_interruption(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, write = [], RunFolder.write_round

    def counted(self: RunFolder, tables: object, state: dict[str, int]) -> None:
        kept.append(state["round"])
        write(self, tables, state)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "KEEPING", 1e-9)
    monkeypatch.setattr(RunFolder, "write_round", counted)
    remembering(tmp_path, progress=stop_after(2), keep_updates=True)
    assert kept == [1, 2]
    assert len(RunFolder.existing(tmp_path).history()) == 2
    same(remembering(tmp_path, resume=True, keep_updates=True), whole)
    assert kept == [1, 2, 3, 3]
    assert RunFolder.existing(tmp_path).has_updates


#: Where an interruption strikes: before anybody has moved, between two who learn, while money
#: moves, before the mechanism learns, after the model has changed.
WITHIN: list[tuple[type, str, int]] = [
    (Participant, "choose", 3),
    (Participant, "learn", 3),
    (AccountBook, "transfer_many", 2),
    (Reputation, "update", 1),
    (FairInstalments, "learn", 1),
    (Federation, "advance", 1),
]


def interrupting(patch: pytest.MonkeyPatch, owner: type, name: str, times: int) -> None:
    """Interrupt after so many calls of a method, as if by Ctrl-C."""
    calls, real = [0], getattr(owner, name)

    def struck(self: object, *arguments: object, **named: object) -> object:
        done = real(self, *arguments, **named)
        calls[0] += 1
        if calls[0] == times:
            raise KeyboardInterrupt
        return done

    patch.setattr(owner, name, struck)


@pytest.mark.slow
def test_wherever_a_round_is_stopped_nothing_of_it_is_left(
    whole: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FederationModel(whole.scenario, 5, keep_updates=True)
    model.step()
    before, tables = str(state_of(model)), model.tables()

    def step() -> None:
        with all_or_nothing(model):
            model.step()

    for owner, name, times in WITHIN:
        with monkeypatch.context() as patch:
            interrupting(patch, owner, name, times)
            with pytest.raises(KeyboardInterrupt):
                step()
        assert str(state_of(model)) == before
        assert len(model.history) == 1
        assert all(one.equals(two) for one, two in zip(model.tables(), tables, strict=True))
    step()
    first = whole.participants[whole.participants["round"] <= 2]
    pd.testing.assert_frame_equal(model.tables()[1], first, check_exact=True)


def test_an_interruption_within_a_round_leaves_whole_rounds_alone(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, Federation, "advance", 3)
        stopped = remembering(tmp_path)
    assert (stopped.summary["status"], stopped.summary["rounds"]) == ("interrupted", 2)
    assert stopped.summary["money_error"] < 1e-9
    assert stopped.journal["round"].max() == 2
    assert stopped.deviations.empty
    first = whole.participants[whole.participants["round"] <= 2]
    pd.testing.assert_frame_equal(stopped.participants, first, check_exact=True)
    same(fs.load(tmp_path), stopped)  # type: ignore[arg-type]
    same(remembering(tmp_path, resume=True), whole)


def test_who_interrupts_twice_waits_for_the_round_to_be_put_back(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, recall, struck = Federation.advance, AccountBook.recall, [0]

    def once(self: Federation, adapter: torch.Tensor) -> None:
        advance(self, adapter)
        struck[0] += 1
        if struck[0] == 2:
            raise KeyboardInterrupt

    def again(self: AccountBook, memory: dict[str, object]) -> None:
        struck[0] += 1
        if struck[0] == 3:
            raise KeyboardInterrupt
        recall(self, memory)

    with monkeypatch.context() as patch:
        patch.setattr(Federation, "advance", once)
        patch.setattr(AccountBook, "recall", again)
        stopped = remembering(tmp_path)
    assert stopped.summary["rounds"] == 1
    assert stopped.summary["money_error"] < 1e-9
    first = whole.participants[whole.participants["round"] == 1]
    assert stopped.participants["utility"].tolist() == first["utility"].tolist()
    state = RunFolder.existing(tmp_path).state()
    assert state is not None
    assert state["round"] == 1


@pytest.mark.parametrize("name", ["quickstart", "model-theft"])
def test_a_run_interrupted_in_its_first_round_has_a_result(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    small = ["rounds=2", "participants.count=4", "training.epochs=1", "deviations.rounds=0"]
    with monkeypatch.context() as patch:
        patch.setattr(Reputation, "update", interrupted)
        made = fs.run(name, 1, tmp_path, small, report=name == "quickstart")
    assert isinstance(made, RunResult)
    assert (made.summary["status"], made.summary["rounds"]) == ("interrupted", 0)
    loaded = fs.load(tmp_path)
    assert loaded.summary == made.summary
    assert len(loaded.rounds) == len(loaded.participants) == 0
    print_result(made, Console(file=StringIO()))
    assert "0 rounds" in repr(made)


def test_what_is_loaded_is_what_the_run_gave(tmp_path: Path) -> None:
    overrides = [
        "participants.count=4",
        "rounds=2",
        "departure.participant=3",
        "departure.executors=['fine-tune']",
    ]
    made = fs.run("right-to-be-forgotten", 1, tmp_path, overrides)
    loaded = fs.load(tmp_path)
    assert isinstance(made, RunResult)
    assert isinstance(loaded, RunResult)
    same(made, loaded)
    assert made.summary == loaded.summary
    assert made.departure is not None
    assert loaded.departure is not None
    assert made.departure.threat == loaded.departure.threat
    pd.testing.assert_frame_equal(made.departure.table, loaded.departure.table)
    pd.testing.assert_frame_equal(made.departure.shares, loaded.departure.shares)
    assert repr(loaded) == repr(made)


SMALL = ["participants.count=2000", "rounds=5"]


def test_a_population_is_loaded_and_resumed(tmp_path: Path) -> None:
    whole = fs.run("million-clients", 7, overrides=SMALL)
    fs.run("million-clients", 7, tmp_path, SMALL, stop_after(2), report=False)
    made = fs.run("million-clients", 7, tmp_path, SMALL, report=False, resume=True)
    pd.testing.assert_frame_equal(made.rounds, whole.rounds, check_exact=True)
    assert timeless(made) == timeless(whole)
    loaded = fs.load(tmp_path)
    assert isinstance(loaded, PopulationResult)
    assert isinstance(made, PopulationResult)
    assert (loaded.actions, loaded.summary) == (made.actions, made.summary)
    pd.testing.assert_frame_equal(loaded.rounds, whole.rounds, check_exact=True)


TINY = [
    "participants.count=3",
    "participants.malicious=0",
    "participants.semi_honest=0",
    "rounds=1",
    "training.epochs=1",
    "contribution.every=0",
    "deviations.rounds=0",
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept")
    fs.run("quickstart", 2, path, TINY, keep_updates=True)
    return path


@pytest.fixture
def copied(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "copy"))


def test_a_population_that_was_stopped_before_its_first_round_is_loaded(tmp_path: Path) -> None:
    made = fs.run("million-clients", 7, tmp_path, SMALL, stop_after(0), report=False)
    loaded = fs.load(tmp_path)
    assert isinstance(loaded, PopulationResult)
    assert isinstance(made, PopulationResult)
    assert loaded.actions == made.actions
    assert len(made.actions) > 1


def test_a_population_interrupted_within_a_round_goes_on_from_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fs.run("million-clients", 7, overrides=SMALL)
    real, calls = Population.play_round, [0]

    def interrupted(self: Population, source: MeasuredOutcomes) -> object:
        done = real(self, source)
        calls[0] += 1
        if calls[0] == 4:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Population, "play_round", interrupted)
        stopped = fs.run("million-clients", 7, tmp_path, SMALL, report=False)
    assert (stopped.summary["rounds"], stopped.summary["status"]) == (3, "interrupted")
    made = fs.run("million-clients", 7, tmp_path, SMALL, report=False, resume=True)
    pd.testing.assert_frame_equal(made.rounds, whole.rounds, check_exact=True)


def test_every_file_says_whose_it_is(kept: Path) -> None:
    own = RunFolder.existing(kept)
    scenario = fs.load_scenario("quickstart", TINY)
    assert own.about == {"version": VERSION, "identity": identity_of(scenario, 2)}
    assert own.identity != identity_of(scenario, 3)
    assert own.identity != identity_of(fs.load_scenario("quickstart", [*TINY, "rounds=2"]), 2)
    assert own.identity != identity_of(scenario, 2, "cells")
    assert json.loads((kept / "summary.json").read_text())["identity"] == own.identity
    assert own.state() is not None
    assert len(own.history()) == 1
    study = [*TINY, "description='other words'", "design.capital=0.5"]
    assert own.identity == identity_of(fs.load_scenario("quickstart", study), 2)
    assert not list(kept.glob("*.part"))


def test_an_edited_backbone_is_another_run(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DIGITS_VIT, tmp_path / "mine"))
    scenario = fs.load_scenario("quickstart", [f"backbone='{folder}'"])
    before = identity_of(scenario, 0)
    assert before == identity_of(scenario, 0)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert identity_of(scenario, 0) != before


def test_an_edited_table_of_outcomes_is_another_run(tmp_path: Path) -> None:
    shipped = fs.load_scenario("million-clients").outcomes.path
    table = tmp_path / "mine.parquet"
    shutil.copy(shipped, table)
    scenario = fs.load_scenario("million-clients", [*SMALL, f"outcomes.table='{table}'"])
    fs.run(scenario, 0, tmp_path / "run", report=False)
    measured = pq.read_table(table)
    column = measured.schema.get_field_index("accuracy")
    halved = pa.array(measured["accuracy"].to_numpy() / 2)
    pq.write_table(measured.set_column(column, "accuracy", halved), table)
    changed = fs.run(scenario, 0, tmp_path / "run", report=False, resume=True)
    fresh = fs.run(scenario, 0, report=False)
    pd.testing.assert_frame_equal(changed.rounds, fresh.rounds, check_exact=True)


def installed(folder: Path, points: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that registers attacks."""
    about = folder / "elsewhere-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[fedfm_sim.attacks]\n{points}")
    monkeypatch.syspath_prepend(str(folder))


def test_an_edited_plugin_is_another_run_once_it_is_loaded_and_only_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "elsewhere_attacks.py"
    code.write_text(
        "from fedfm_sim.security.attacks.sign_flip import SignFlip\n"
        "class Mirror(SignFlip):\n    pass\n"
    )
    installed(tmp_path, "mirror = elsewhere_attacks:Mirror\n", monkeypatch)
    using = fs.load_scenario("quickstart", ["actions.reflect={attack='mirror'}"])
    without = fs.load_scenario("quickstart")
    before = identity_of(using, 0), identity_of(without, 0)
    code.write_text(code.read_text() + "    _strong = True\n")
    assert identity_of(using, 0) == before[0]
    importlib.reload(sys.modules["elsewhere_attacks"])
    assert identity_of(using, 0) != before[0]
    assert identity_of(without, 0) == before[1]


def test_a_broken_plugin_that_nobody_asks_for_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_attacks.py").write_text("1 / 0\n")
    before = identity_of(fs.load_scenario("quickstart"), 0)
    installed(tmp_path, "flip = broken_attacks:Flip\nnothing = nowhere:X\n", monkeypatch)
    assert identity_of(fs.load_scenario("quickstart"), 0) == before


def test_another_version_of_the_package_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity_of(fs.load_scenario("quickstart"), 0)
    monkeypatch.setattr("fedfm_sim.experiments.identity.version", lambda name: "99.0")
    assert identity_of(fs.load_scenario("quickstart"), 0) != before


@pytest.mark.parametrize(
    "mine", ["adapter", "history", "report.html", "history/round-1.safetensors"]
)
def test_what_is_the_users_own_is_never_removed(tmp_path: Path, mine: str) -> None:
    path = tmp_path / mine
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UserError, match=rf"holds '{Path(mine).name}', which no run wrote"):
        fs.run("quickstart", 2, tmp_path, TINY, keep_updates=True)
    assert path.read_text() == "mine"
    assert [own for own in tmp_path.iterdir() if own.name != names.IN_USE] == [
        tmp_path / Path(mine).parts[0]
    ]


@pytest.mark.parametrize("left", ["summary", "lock only", "nothing"])
def test_files_of_other_names_stay_beside_a_run(copied: Path, left: str) -> None:
    beside = ["adapter/w", "history/diary.txt", "without-2024-11/plan.txt", "notes.txt"]
    for name in beside:
        (copied / name).parent.mkdir(exist_ok=True)
        (copied / name).write_text("mine")
    if left == "lock only":
        (copied / "summary.json").unlink()
        with pytest.raises(UserError, match="which no run wrote"):
            fs.run("quickstart", 3, copied, TINY, report=False)
    else:
        fs.run("quickstart", 3, copied, TINY, report=False)
        assert not list(copied.glob("history/round-*"))
    assert [(copied / name).read_text() for name in beside] == ["mine"] * 4


def test_whoever_is_stopped_while_clearing_begins_again(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_left", lambda self: 1 / 0)
        patch.setattr(RunFolder, "_check_free", lambda self: None)
        with pytest.raises(ZeroDivisionError):
            fs.run("quickstart", 2, copied, [*TINY, "rounds=2"], report=False)
    longer = [*TINY, "rounds=2"]
    made = fs.run("quickstart", 2, copied, longer, report=False, resume=True)
    assert made.summary["rounds"] == 2
    assert not (copied / "history").exists()


@pytest.mark.parametrize("other", [["rounds=2"], ["training.epochs=2"]])
def test_another_run_leaves_nothing_of_the_first(copied: Path, other: list[str]) -> None:
    (copied / "without-1" / "adapter").mkdir(parents=True)
    (copied / "without-1" / "adapter" / "adapter_config.json").write_text("{}")
    (copied / "summary.json.part").write_text("torn")
    for mine in ("notes.txt", "download.part", "without-words"):
        (copied / mine).write_text("mine")
    fs.run("quickstart", 2, copied, [*TINY, *other], report=False, resume=True)
    assert not (copied / "history").exists()
    assert not (copied / "without-1").exists()
    assert not (copied / "report.html").exists()
    assert not (copied / "summary.json.part").exists()
    for mine in ("notes.txt", "download.part", "without-words"):
        assert (copied / mine).read_text() == "mine"
    with pytest.raises(UserError, match="needs the updates of past rounds"):
        unlearn(copied, 0, "federaser")


FILES = [
    *(f"{name}.parquet" for name in (*names.ROUND_TABLES, "journal")),
    "state.safetensors",
    "history/round-00001.safetensors",
]


def read(own: RunFolder, name: str) -> object:
    if name == "state.safetensors":
        return own.state()
    return own.history() if "history" in name else own.read_table(Path(name).stem)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other")
    fs.run("quickstart", 3, path, TINY, keep_updates=True, report=False)
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_file_of_another_run_is_never_read(copied: Path, name: str, other: Path) -> None:
    shutil.copy(other / name, copied / name)
    own = RunFolder.existing(copied)
    if name == "state.safetensors":
        assert own.state() is None
        return
    with pytest.raises(UserError, match=f"{Path(name).name}: of another run"):
        read(own, name)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(copied: Path, name: str) -> None:
    (copied / name).write_bytes((copied / name).read_bytes()[:40])
    own = RunFolder.existing(copied)
    with pytest.raises(UserError, match=Path(name).name) as caught:
        read(own, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no folder of a run"),
        ("[]", "written by an earlier version"),
        ('{"status": "finished"}', "written by an earlier version"),
        ('{"identity": "x", "version": 99}', "of version 99, expected 1"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match=message):
        fs.load(tmp_path)


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    scenario = fs.load_scenario("quickstart")
    with (
        RunFolder.of(tmp_path, scenario, 0),
        pytest.raises(UserError, match="another command is writing there"),
    ):
        RunFolder.of(tmp_path, scenario, 1)
    RunFolder.of(tmp_path, scenario, 1).close()


def test_what_cannot_be_written_is_said_and_left_free(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    scenario = fs.load_scenario("quickstart")
    for name in ("file", "x" * 300, "x" * 5000, "nu\0ll"):
        with pytest.raises(UserError, match="can't be written") as caught:
            RunFolder.of(tmp_path / name, scenario, 0)
        assert len(str(caught.value)) < 600
    (tmp_path / "run" / "summary.json").mkdir(parents=True)
    with (
        RunFolder.of(tmp_path / "run", scenario, 0) as own,
        pytest.raises(UserError, match="run: can't be written"),
    ):
        own.begin(scenario, 0)
    (tmp_path / "run" / "summary.json").rmdir()
    RunFolder.of(tmp_path / "run", scenario, 0).close()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_that_cannot_begin_leaves_what_is_there(copied: Path, kept: Path) -> None:
    with pytest.raises(UserError, match="backbone"):
        fs.run("quickstart", 1, copied, ["backbone=nosuch"])
    same(fs.load(copied), fs.load(kept))  # type: ignore[arg-type]


def test_no_run_writes_into_the_folder_that_it_reads(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DIGITS_VIT, tmp_path / "mine"))
    chosen = [*TINY, f"backbone='{folder}'"]
    with pytest.raises(UserError, match="mine: the run reads it"):
        fs.run("quickstart", 1, folder, chosen, report=False)
    first = fs.run("quickstart", 1, folder / "run", chosen, report=False)
    (folder / "README.md").write_text("beside the model")
    again = fs.run("quickstart", 1, folder / "run", chosen, report=False, resume=True)
    assert again.summary == first.summary  # the time that it took included: it was loaded


def test_an_edited_lock_is_not_believed(copied: Path) -> None:
    lock = copied / "scenario.lock.toml"
    lock.write_text(lock.read_text().replace("seed = 2", "seed = 9"))
    for use in (fs.load, lambda run: unlearn(run, 0, "fine-tune")):
        with pytest.raises(UserError, match=r"scenario\.lock\.toml: not as the run left it"):
            use(copied)


def test_nobody_is_unlearned_on_another_backbone(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DIGITS_VIT, tmp_path / "mine"))
    fs.run("quickstart", 2, tmp_path / "run", [*TINY, f"backbone='{folder}'"], report=False)
    weights = folder / "model.safetensors"
    changed = {name: tensor + 0.1 for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match="the backbone or another file that the run read is not"):
        unlearn(tmp_path / "run", 0, "fine-tune")


def test_two_do_not_unlearn_from_one_run_at_once(copied: Path) -> None:
    with (
        RunFolder.existing(copied, alone=True),
        pytest.raises(UserError, match="another command is writing there"),
    ):
        unlearn(copied, 0, "fine-tune")
    unlearn(copied, 0, "fine-tune")
    made = unlearn(copied, 1, "fine-tune")
    assert made.adapter == copied / "without-0-1" / "adapter"
    assert [entry["client"] for entry in unlearned(RunFolder.existing(copied))] == [0, 1]


def test_a_finished_run_taken_up_again_is_not_finished_until_it_is(tmp_path: Path) -> None:
    longer = [*TINY, "rounds=3"]
    fs.run("quickstart", 2, tmp_path, longer, report=False)

    def killed(done: int, total: int) -> None:
        if done == 1:
            raise SystemExit

    with pytest.raises(SystemExit):
        fs.run("quickstart", 2, tmp_path, longer, killed, True, report=False, resume=True)
    with pytest.raises(UserError, match="was stopped"):
        fs.load(tmp_path)


@pytest.mark.slow
def test_nothing_is_unlearned_from_part_of_the_updates(tmp_path: Path) -> None:
    longer = [*TINY, "rounds=3"]
    fs.run("quickstart", 2, tmp_path, longer, stop_after(1), True, report=False)
    fs.run("quickstart", 2, tmp_path, longer, report=False, resume=True)
    with pytest.raises(UserError, match="needs the updates of past rounds"):
        unlearn(tmp_path, 0, "federaser")
    fs.run("quickstart", 2, tmp_path, longer, keep_updates=True, report=False, resume=True)
    assert RunFolder.existing(tmp_path).has_updates
