"""Outcomes: what trained federations give, and what a surface fitted to them may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor

import fedfm_sim as fs
from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Announcement
from fedfm_sim.scenarios.loader import load_lock
from fedfm_sim.scenarios.lock import to_toml
from fedfm_sim.scenarios.outcomes import SHIPPED
from fedfm_sim.simulation import measurements
from fedfm_sim.simulation.measured import MeasuredOutcomes
from fedfm_sim.simulation.measurements import Measurements, Workload
from fedfm_sim.simulation.outcomes import PROBES, TrainedOutcomes
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.updates import RoundUpdates

ACTIONS = ("contribute", "free-ride", "backdoor")
WORK = Workload((40.0,), 0.0056, 0.12, 0.013)
NOISE = 0.01


def surface(shares: Array) -> tuple[float, float]:
    """Return a planted success of the third action, and accuracy."""
    return float(0.1 + 0.8 * shares[2] * (2 - shares[2])), float(0.9 - 0.4 * shares[1] ** 2)


def planted(points: Array, seed: int = 0) -> Measurements:
    rng, rows = np.random.default_rng(seed), []
    for shares in points:
        success, accuracy = np.array(surface(shares)) + NOISE * rng.standard_normal(2)
        each = dict.fromkeys((f"success:{a}" for a in ACTIONS), 0.0) | {"success:backdoor": success}
        each |= {f"detection:{a}": float(a != "contribute") for a in ACTIONS}
        each |= {f"leakage:{a}": 0.1 for a in ACTIONS} | {"accuracy": accuracy}
        named = {f"share:{a}": float(s) for a, s in zip(ACTIONS, shares, strict=True)}
        rows.append({"scenario": "planted", "seed": 0, "digest": "0" * 32, **named, **each})
    return Measurements(ACTIONS, "", WORK, pd.DataFrame(rows))


def grid(step: int = 5) -> Array:
    whole = [(a, b) for a in range(step + 1) for b in range(step + 1 - a)]
    return np.array([(a, b, step - a - b) for a, b in whole]) / step


@pytest.fixture(scope="module")
def fitted() -> MeasuredOutcomes:
    return MeasuredOutcomes.fit(planted(np.repeat(grid(), 2, axis=0)))


def test_a_planted_surface_is_found_within_its_intervals(fitted: MeasuredOutcomes) -> None:
    inside = []
    for shares in np.random.default_rng(1).dirichlet(np.ones(3), 60):
        found, deviation = fitted.outcome(shares), fitted.uncertainty(shares)
        success, accuracy = surface(shares)
        assert found.success[2] == pytest.approx(success, abs=0.06)
        assert found.accuracy == pytest.approx(accuracy, abs=0.06)
        inside.append(abs(found.success[2] - success) <= 2 * deviation.success[2])
        inside.append(abs(found.accuracy - accuracy) <= 2 * deviation.accuracy)
        assert deviation.accuracy > 0.5 * NOISE
        # What never varied is a constant.
        assert (found.detection.tolist(), found.leakage.tolist()) == ([0, 1, 1], [0.1] * 3)
        assert (deviation.detection == 0).all()
    assert np.mean(inside) > 0.9


def test_uncertainty_is_larger_where_nothing_was_measured() -> None:
    points = grid()
    away = points[~((points[:, 0] > 0) & (points[:, 1] > 0) & (points[:, 2] > 0))]
    source = MeasuredOutcomes.fit(planted(np.repeat(away, 2, axis=0)))
    middle, corner = (source.uncertainty(np.array(s)) for s in ([1 / 3] * 3, [1.0, 0.0, 0.0]))
    assert middle.accuracy > 1.2 * corner.accuracy


def test_it_refuses_to_extrapolate_and_names_the_nearest() -> None:
    points = grid()
    source = MeasuredOutcomes.fit(planted(points[points[:, 2] <= 0.4]))
    source.outcome(np.array([0.3, 0.3, 0.4]))
    nearest = "nearest measured: contribute 0.6, free-ride 0, backdoor 0.4"
    for ask in (source.outcome, source.uncertainty):
        with pytest.raises(UserError, match=f"outside what was measured; {nearest}"):
            ask(np.array([0.58, 0.0, 0.42]))


def test_the_hold_out_error_is_that_of_a_refit_without_the_point(fitted: MeasuredOutcomes) -> None:
    table = fitted.held_out[fitted.held_out["output"] == "accuracy"]
    values = fitted.table.rows["accuracy"].to_numpy(np.float64)
    points, regressor = fitted.table.points, fitted.fitted["accuracy"]
    for shares in np.unique(points, axis=0)[::4]:
        own = (points == shares).all(axis=1)
        slow = GaussianProcessRegressor(regressor.kernel_, optimizer=None)
        slow.fit(np.sqrt(points[~own]), (values[~own] - values.mean()) / values.std())
        mean, deviation = slow.predict(np.sqrt(points[own]), return_std=True)
        rows = table[np.isin(table["measured"], values[own])]
        foretold = mean * values.std() + values.mean()
        np.testing.assert_allclose(rows["foretold"], foretold, atol=1e-6)
        np.testing.assert_allclose(rows["deviation"], deviation * values.std(), atol=1e-6)
    missed = table["measured"] - table["foretold"]
    assert fitted.error["accuracy"] == pytest.approx(float(np.sqrt((missed**2).mean())))
    assert set(fitted.error) == {"success:backdoor", "accuracy"}
    assert 0.85 < fitted.coverage <= 1


@pytest.mark.parametrize(
    "shares", [[1.0], [0.5, 0.6, 0.0], [-0.1, 0.6, 0.5], [np.nan, 0.5, 0.5], []]
)
def test_what_are_no_shares_is_said(shares: Any, fitted: MeasuredOutcomes) -> None:
    with pytest.raises(UserError, match="shares"):
        fitted.outcome(np.array(shares))


SPOILT: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing": (lambda t: t.drop(columns="leakage:backdoor"), "unknown columns: leakage:backdoor"),
    "renamed": (lambda t: t.rename(columns={"share:backdoor": "share:x"}), "share:x"),
    "empty": (lambda t: t.iloc[:0], "there is none"),
    "nan": (lambda t: t.assign(accuracy=np.nan), r"numbers in \[0, 1\]"),
    "large": (lambda t: t.assign(accuracy=1.5), r"numbers in \[0, 1\]"),
    "sum": (lambda t: t.assign(**{"share:backdoor": 0.9}), "add up to 1"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_table_is_refused(how: str) -> None:
    spoil, message = SPOILT[how]
    with pytest.raises(UserError, match=message):
        Measurements(ACTIONS, "", WORK, spoil(planted(grid(2)).rows))


def test_a_table_survives_its_file_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    table = planted(grid(2))
    table.save(tmp_path / "t.parquet")
    again = Measurements.load(tmp_path / "t.parquet")
    assert (again.actions, again.lock, again.workload) == (table.actions, "", WORK)
    pd.testing.assert_frame_equal(again.rows, table.rows, check_exact=True)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    table.rows.to_parquet(tmp_path / "bare.parquet")
    for name in ("x", "bare", "nowhere"):
        with pytest.raises(UserError, match=f"{name}.parquet: no measured runs can be read"):
            Measurements.load(tmp_path / f"{name}.parquet")


def test_the_shipped_table_names_its_runs_and_foretells_them(tmp_path: Path) -> None:
    table = Measurements.load(SHIPPED / "million-clients.parquet")
    table.check(fs.load_scenario("million-clients"))
    source = MeasuredOutcomes.fit(table)
    assert len(source.runs) >= 60
    path = tmp_path / "lock.toml"
    path.write_text(table.lock)
    measured, _ = load_lock(path)
    runs = source.runs[["scenario", "seed", "digest"]].to_numpy().tolist()
    for scenario, seed, digest in runs:
        assert scenario == "million-clients"
        assert digest == measurements.digest(to_toml(measured, seed))
    assert max(source.error.values()) < 0.12
    assert source.coverage > 0.9
    # Who does not attack is never convicted, and more attackers succeed more at first.
    few, some = (source.outcome(np.array([1 - b, 0, 0, b])) for b in (0.02, 0.1))
    assert few.detection.tolist() == [0, 0, 1, 1]
    assert few.success[3] < some.success[3]
    # The corners were measured, so nothing lies outside.
    for corner in np.eye(4):
        source.outcome(corner)


TINY = ["participants.count=12", "rounds=1", "outcomes.source=trained"]


@pytest.fixture(scope="module")
def trained() -> TrainedOutcomes:
    return TrainedOutcomes(fs.load_scenario("million-clients", TINY), ACTIONS, 5)


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(lambda w: sum(w) > 0))
def test_counts_are_the_nearest_by_largest_remainder(
    trained: TrainedOutcomes, weights: list[int]
) -> None:
    shares = np.array(weights) / sum(weights)
    counts = trained.counts(shares)
    assert counts.sum() == 12
    assert (np.abs(counts - 12 * shares) < 1).all()
    whole = np.array([(a, b, 12 - a - b) for a in range(13) for b in range(13 - a)])
    away = np.abs(whole - 12 * shares).sum(1)
    assert np.abs(counts - 12 * shares).sum() == pytest.approx(away.min(), abs=1e-9)


def test_counts_by_hand(trained: TrainedOutcomes) -> None:
    assert trained.counts(np.array([0.45, 0.28, 0.27])).tolist() == [6, 3, 3]  # 5.4, 3.36, 3.24
    assert trained.counts(np.array([0.0, 1 / 3, 2 / 3])).tolist() == [0, 4, 8]
    assert trained.counts(np.array([0.5, 0.375, 0.125])).tolist() == [6, 5, 1]  # a tie: the first


def test_a_trained_outcome_is_what_playing_the_round_gives(trained: TrainedOutcomes) -> None:
    shares = np.array([0.5, 0.25, 0.25])
    outcome = trained.outcome(shares)
    again = trained.outcome(shares)
    for name in ("success", "detection", "leakage", "accuracy"):
        assert np.array_equal(getattr(outcome, name), getattr(again, name)), name
    setting = trained.setting
    names = np.empty(12, dtype=object)
    names[trained.order] = ["contribute"] * 6 + ["free-ride"] * 3 + ["backdoor"] * 3
    nobody, price = np.zeros(12), Announcement.of_price(1e9)
    play = Play(setting, RoundUpdates(setting, 0), tuple(names), price, nobody, nobody)
    villain = list(names).index("backdoor")
    proceeds = setting.scenario.prices.backdoor * outcome.success
    assert proceeds[2] == pytest.approx(play.proceeds_of(villain))
    assert proceeds[:2].tolist() == [0, 0]
    assert outcome.accuracy == float(setting.evaluator.accuracies(play.new_adapter[None])[0])
    assert outcome.detection.tolist() == [0, 1, 1]
    # An action is tried on every probe, whatever it plays.
    own = [play.updates.upload(k, "contribute") for k in range(PROBES)]
    leaked = [play.updates.leakage(k, "contribute", sent) for k, sent in enumerate(own)]
    assert outcome.leakage[0] == pytest.approx(np.mean(leaked))


def test_measuring_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, path = fs.load_scenario("million-clients", TINY), tmp_path / "t.parquet"
    design, calls = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], []
    real = TrainedOutcomes.outcome

    def counted(self: TrainedOutcomes, shares: Array) -> Any:
        calls.append(shares)
        return real(self, shares)

    monkeypatch.setattr(TrainedOutcomes, "outcome", counted)
    measurements.measure(scenario, ACTIONS, design[:1], [0], path)
    table = measurements.measure(scenario, ACTIONS, design, [0], path)
    assert len(calls) == 2
    assert len(table.rows) == 2
    pd.testing.assert_frame_equal(Measurements.load(path).rows, table.rows)
    with pytest.raises(UserError, match="holds runs of another scenario or of other actions"):
        measurements.measure(scenario, ACTIONS[:2], [(1.0, 0.0)], [0], path)
    # An action that nobody takes has an outcome too: its update would be found out.
    assert table.rows["detection:backdoor"].tolist() == [1, 1]
    assert (table.rows["success:backdoor"] < 0.1).all()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (("contribute",), "expected two or more"),
        (("contribute", "contribute"), "expected two or more"),
        (("contribute", "fly"), "unknown action 'fly'"),
        (("contribute", "label-flip"), "'label-flip' earns by what single participants"),
        (("contribute", "snoop"), "'snoop' earns"),
        (("contribute", "stay-out"), "'stay-out' earns"),
        (("contribute", "sybil"), "'sybil' earns"),
    ],
)
def test_actions_that_shares_do_not_tell_are_refused(
    actions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        TrainedOutcomes(fs.load_scenario("million-clients", TINY), actions, 0)
