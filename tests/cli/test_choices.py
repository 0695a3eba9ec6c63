"""What there is to choose from: lists, explanations, the schema, and names where files go."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedfm_sim.cli import app, main
from fedfm_sim.cli.explain import _known
from fedfm_sim.cli.folders import SETTINGS, free_run_folder, study_folder
from fedfm_sim.cli.lists import LISTINGS, LISTS
from fedfm_sim.core.describe import parameters_of
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import room_for_folder
from fedfm_sim.core.keys import model_in
from fedfm_sim.experiments.folder import RunFolder
from fedfm_sim.experiments.mechanism_audit import MechanismAudit
from fedfm_sim.scenarios import load_scenario
from fedfm_sim.scenarios.names import CATALOGUE, names
from fedfm_sim.scenarios.schema import Scenario

NAMES = [command.__name__ for command in LISTS]


def printed(*arguments: str, columns: int = 80) -> str:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", NAMES)
def test_every_list_fits_and_is_whole(name: str, columns: int) -> None:
    shown = printed(name, columns=columns)
    assert max(map(len, shown.splitlines())) <= columns
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    listed = json.loads(printed(name, "--json"))
    assert listed
    for entry in listed:
        assert entry in shown


def test_lists_and_help_load_neither_torch_nor_the_schema() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from fedfm_sim.cli import app\n"
        f"for name in [*{NAMES}, '--help']:\n"
        "    assert CliRunner().invoke(app, [name]).exit_code == 0, name\n"
        "print(sorted({'torch', 'mesa', 'cvxpy', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_everything_listed_is_explained() -> None:
    known = _known()
    assert {"krum", "vcg", "free-ride", "contribute", "rotated", "quickstart", "gtg"} <= set(known)
    assert len(known) > 150
    for name in ("krum", "posted-price", "rotated", "contribute-half", "digits", "q-learning"):
        assert name in printed("explain", name)


def test_an_explanation_has_parameters_bounds_units_and_source() -> None:
    shown = " ".join(printed("explain", "krum").split())
    assert "defence = 'krum'" in shown
    assert "attackers integer, at least 0 2 f, how many updates may be malicious" in shown
    assert "source: Blanchard et al., NeurIPS 2017" in shown
    shown = " ".join(printed("explain", "contract-menu").split())
    assert "Baron and R. Myerson" in shown  # a reference
    assert "fedfm-sim run contract-menu" in shown  # a scenario of the same name
    shown = " ".join(printed("explain", "sanctions.fine").split())
    assert "Money that a violator pays. number, at least 0; default: 0.0" in shown
    assert "audit_rate number, at least 0, at most 1" in " ".join(
        printed("explain", "sanctions", columns=200).split()
    )


def test_every_key_has_a_meaning() -> None:
    missing = [
        f"{name}.{each.name}"
        for name, field in Scenario.model_fields.items()
        if (inner := model_in(field.annotation)) is not None
        for each in parameters_of(inner)
        if not each.meaning
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["policies", "attacks", "defences", "leakage", "protections",
                                  "schemes", "watermarks", "removals", "executors"])  # fmt: skip
def test_every_parameter_of_a_plug_in_has_a_meaning(name: str) -> None:
    from importlib import import_module

    module, _, registry = LISTINGS[name].place.partition(":")
    plugins = getattr(import_module(module), registry)
    missing = [
        f"{plugin}.{each.name}"
        for plugin in plugins
        for each in parameters_of(plugins[plugin])
        if not each.meaning
    ]
    assert missing == []


def test_the_schema_takes_the_catalogue_and_refuses_mistakes() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    schema = json.loads(printed("schema"))
    validator.check_schema(schema)
    check = validator(schema)
    for name in names():
        content = tomllib.loads((CATALOGUE / f"{name}.toml").read_text())
        assert not list(check.iter_errors(content)), name
    for wrong in (
        {"round": 3},
        {"rounds": 0},
        {"defence": "krumm"},
        {"defence": {"name": "krum", "atackers": 1}},
        {"mechanism": {"price": 1}},
        {"policies": {"malicous": "logit"}},
        {"data": {"partition": "diriclet"}},
    ):
        assert list(check.iter_errors(wrong)), wrong


def test_folders_of_other_settings_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = []
    for settings in (("a", 1), ("a", 2), ("a", 1)):
        with study_folder(None, "audit-vcg", MechanismAudit, settings) as folder:
            (folder / "made.txt").write_text(str(settings))
            made.append(str(folder))
    assert made == ["runs/audit-vcg", "runs/audit-vcg-2", "runs/audit-vcg"]
    assert capsys.readouterr().err == (
        "runs/audit-vcg holds results of other settings, which stay; writing to runs/audit-vcg-2\n"
    )
    (tmp_path / "runs/theirs").mkdir()  # of an earlier version, or of somebody else
    with study_folder(None, "theirs", MechanismAudit, 1) as folder:
        assert folder.name == "theirs-2"
    assert not (tmp_path / "runs/theirs-2").exists()  # nothing was written
    with study_folder(tmp_path / "runs/theirs", "x", MechanismAudit, 1) as folder:
        assert folder.name == "theirs"
        assert not (folder / SETTINGS).exists()
    (folder / "report.html").write_text("mine")
    refused = study_folder(folder, "x", MechanismAudit, 1)
    with pytest.raises(UserError, match="which no study wrote"), refused:
        pass


def test_a_run_goes_to_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = load_scenario("honest-only"), load_scenario("honest-only", ["rounds=2"])
    first = free_run_folder("honest-only-0", one, 0)
    assert str(first) == "runs/honest-only-0"
    with RunFolder.of(first, one, 0) as folder:
        folder.begin(one, 0)
    assert free_run_folder("honest-only-0", one, 0) == first
    second = free_run_folder("honest-only-0", other, 0)
    assert str(second) == "runs/honest-only-0-2"
    with RunFolder.of(second, other, 0) as folder:
        folder.begin(other, 0)
    assert free_run_folder("honest-only-0", other, 0) == second
    assert free_run_folder("honest-only-0", load_scenario("honest-only", ["rounds=3"]), 0).name == (
        "honest-only-0-3"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--over", "rounds=1,2", "--over", "rounds=3"],
            "--over rounds: named twice; expected all its values in one --over",
        ),
        (
            ["--over", "rounds=1,2", "--set", "rounds=3"],
            "--set rounds=3: --over varies 'rounds'; expected one of the two",
        ),
    ],
)
def test_no_value_of_a_comparison_is_dropped(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["compare", "quickstart", *arguments, "--out", str(tmp_path)])
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == said
    assert not [*tmp_path.glob("*/")]


def test_a_home_folder_is_spelt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert room_for_folder(Path("~/own")) == tmp_path / "own"
    with pytest.raises(UserError, match="--out ~nobody-of-that-name/own"):
        room_for_folder(Path("~nobody-of-that-name/own"))


def test_a_working_directory_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["fedfm-sim", "scenarios"])
    with pytest.raises(SystemExit) as caught:
        main()
    monkeypatch.chdir(tmp_path)
    assert caught.value.code == 2
    assert "the working directory is gone" in capsys.readouterr().err
