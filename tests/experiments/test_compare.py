"""Comparisons: every alternative is run, paired by seed, and kept for `--resume`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import fedfm_sim as fs
from fedfm_sim.experiments.compare import MEASURES, Comparison, compare
from fedfm_sim.experiments.workshop import Workshop
from fedfm_sim.simulation.model import FederationModel

SMALL = [
    "participants.count=3",
    "participants.semi_honest=0",
    "participants.malicious=1",
    "rounds=1",
    "training.epochs=1",
    "contribution.every=0",
    "deviations.rounds=0",
]


def test_alternatives_are_the_runs_one_would_make_by_hand(tmp_path: Path) -> None:
    prices = ["0.01", "0.02"]
    result = compare(
        "quickstart", {"mechanism.price": prices}, [0, 1], SMALL, Workshop.at(tmp_path)
    )
    assert result.runs[["mechanism.price", "seed"]].to_numpy().tolist() == [
        [0.01, 0],
        [0.01, 1],
        [0.02, 0],
        [0.02, 1],
    ]
    alone = fs.run("quickstart", 1, overrides=[*SMALL, "mechanism.price=0.02"]).summary
    assert result.runs["payments"].iloc[3] == alone["payments"]
    assert result.runs["utility_honest"].iloc[3] == alone["utility_by_kind"]["honest"]

    paid = result.runs["payments"].to_numpy().reshape(2, 2)
    assert result.table["payments"].tolist() == pytest.approx(paid.mean(axis=1).tolist())
    standard_error = abs(paid[:, 0] - paid[:, 1]) / 2
    assert result.spread["payments"].tolist() == pytest.approx(standard_error.tolist())
    result.save(tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "comparison.parquet"), result.runs)

    panel = result.plot().axes[list(result.table.columns).index("payments")]
    drawn = [bar.get_path().get_extents(bar.get_patch_transform()).width for bar in panel.patches]
    assert drawn == pytest.approx(result.table["payments"].tolist())


def test_resume_keeps_what_is_finished_and_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = {"mechanism.price": ["0.01", "0.02"]}
    first = compare("quickstart", over, [0], SMALL, Workshop.at(tmp_path))
    ran, step = [], FederationModel.step

    def counted(self: FederationModel) -> None:
        ran.append(self.setting.scenario.training.epochs)
        step(self)

    monkeypatch.setattr(FederationModel, "step", counted)
    shutil.rmtree(tmp_path / "mechanism.price=0.02,seed=0")
    again = compare("quickstart", over, [0], SMALL, Workshop.at(tmp_path, resume=True))
    assert ran == [1]
    pd.testing.assert_frame_equal(again.runs, first.runs)

    other = [*SMALL, "training.epochs=2"]
    compare("quickstart", over, [0], other, Workshop.at(tmp_path, resume=True))
    assert ran == [1, 2, 2]


@pytest.mark.parametrize("over", [{}, {"mechanism.price": []}])
def test_nothing_to_compare_is_refused(over: dict[str, list[str]]) -> None:
    with pytest.raises(fs.UserError, match="expected key=value,value"):
        compare("quickstart", over)


def test_one_bad_alternative_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(fs.UserError, match="unknown mechanism 'posted-prize'"):
        compare(
            "quickstart",
            {"mechanism": ["posted-price", "posted-prize"]},
            workshop=Workshop.at(tmp_path),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_study_takes_no_result_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another study in the same folder, killed in its second run, and gone on with."""

    class Killed(BaseException):
        pass

    over, longer = {"mechanism.price": ["0.01", "0.02"]}, [*SMALL, "rounds=2"]
    compare("quickstart", over, [0], SMALL, Workshop.at(tmp_path))
    step = FederationModel.step

    def dies(self: FederationModel) -> None:
        if self.setting.scenario.mechanism.parameters["price"] == 0.02 and self.round == 1:
            raise Killed
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(FederationModel, "step", dies)
        with pytest.raises(Killed):
            compare("quickstart", over, [0], longer, Workshop.at(tmp_path))
    again = compare("quickstart", over, [0], longer, Workshop.at(tmp_path, resume=True))
    fresh = compare("quickstart", over, [0], longer)
    pd.testing.assert_frame_equal(again.runs, fresh.runs, check_exact=True)
    assert sorted(path.name for path in tmp_path.glob("*/report.html")) == []


def test_means_have_students_interval_and_epsilon_that_of_the_largest() -> None:
    """Two rules on two seeds by hand: t(0.975, 1) = 12.7062, for both together 25.4517."""
    measures = dict.fromkeys(MEASURES, 0.0) | {"epsilon_star": 9.0}
    runs = pd.DataFrame({"price": "1", "seed": [0, 1], **measures, "accuracy_after": [0.5, 0.7]})
    tried = pd.DataFrame(
        [(0, 0, 4.0), (1, 0, 6.0), (1, 1, 3.0)], columns=["seed", "participant", "gain"]
    ).assign(price="1", kind="honest", action="x", error=1.0, rounds=3)
    found = Comparison("by-hand", ("price",), runs, tried)
    low, high = found.ends
    half = 12.7062 * 0.1
    assert [low["accuracy_after"].item(), high["accuracy_after"].item()] == pytest.approx(
        [0.6 - half, 0.6 + half], rel=1e-5
    )
    # The first gains 5 in the mean, the second (0 + 3) / 2: not the mean of each run's largest.
    assert found.table["epsilon_star"].item() == 5
    assert low["epsilon_star"].item() == 0
    assert high["epsilon_star"].item() == pytest.approx(1.5 + 12.7062 * 1.5, rel=1e-5)
    assert found.cells["epsilon_star"].item() == "5.000\n0.000 to 20.559"
    alone = Comparison("by-hand", ("price",), runs[:1], tried[:1])
    assert alone.cells["accuracy_after"].item() == "0.500"
    # Three rounds of one seed: t(0.975, 2) = 4.302653.
    assert alone.epsilon["1"].high == pytest.approx(4 + 4.302653, rel=1e-6)
